/** Asks where to go, as programs (JSON) and user agents (302) do, and reads the answers. */
import http, { type RefinedResponse, type ResponseType } from "k6/http";
import { plan } from "./given-plan.ts";

export interface ProbeTarget {
  readonly node: string;
  readonly url: string;
  readonly token: string;
}

/** Where the site is at each of the ranked edges, best first; empty where the answer is none. */
export function askRanked(site: string, scheduler = plan.scheduler, timeout = "10s"): readonly string[] {
  const response = http.get(`${scheduler}/v1/steer?site=${site}`, { tags: { name: "steer (JSON)" }, timeout });
  if (response.status !== 200) return [];
  return recordsIn(response, "edges").flatMap(({ url }) => (typeof url === "string" ? [url] : []));
}

/** Where the site's own name sends a user agent; `undefined` where it sends it nowhere. */
export function askRedirect(hostname: string, path: string): string | undefined {
  const port = /:(\d+)$/.exec(plan.scheduler)?.[1] ?? "80";
  const response = http.get(`http://${hostname}:${port}${path}`, { redirects: 0, tags: { name: "steer (302)" } });
  return response.status === 302 ? response.headers["Location"] : undefined;
}

type Answer = RefinedResponse<ResponseType | undefined>;

/** The records in a list of a JSON answer; empty where it has none. */
export function recordsIn(answer: Answer, name: string): readonly Readonly<Record<string, unknown>>[] {
  const list = recordOf(answer)?.[name];
  return Array.isArray(list) ? list.filter(isRecord) : [];
}

/** A text of a JSON answer; empty where it has none. */
export function textIn(answer: Answer, name: string): string {
  const text = recordOf(answer)?.[name];
  return typeof text === "string" ? text : "";
}

function recordOf(answer: Answer): Readonly<Record<string, unknown>> | undefined {
  if (typeof answer.body !== "string") return undefined;
  try {
    const value: unknown = JSON.parse(answer.body);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
