/** JSON over HTTP with a deadline; problems become `ClientFailure`. */
import type { ClientClock } from "./clock.ts";
import { ClientFailure } from "./failure.ts";

/** The user is waiting. */
export const REQUEST_DEADLINE_MS = 5000;

export interface JsonRequest {
  readonly method: "GET" | "POST" | "DELETE";
  readonly url: string;
  readonly clock: ClientClock;
  readonly body?: unknown;
  readonly bearer?: string;
  /** REQUEST_DEADLINE_MS where it is not said. */
  readonly withinMs?: number;
  /** Gives up earlier. */
  readonly signal?: AbortSignal | undefined;
  /** Outlives the page that sends it. */
  readonly keepalive?: boolean;
}

/** The answer's JSON; `undefined` for an answer without content. */
export async function requestJson(request: JsonRequest): Promise<unknown> {
  const { method, url, clock, body, bearer, signal, keepalive = false, withinMs = REQUEST_DEADLINE_MS } = request;
  const headers = new Headers({ accept: "application/json" });
  if (body !== undefined) headers.set("content-type", "application/json");
  if (bearer !== undefined) headers.set("authorization", `Bearer ${bearer}`);
  const init = {
    method,
    headers,
    keepalive,
    signal: clock.deadline(withinMs, signal),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  };
  const response = await fetch(url, init).catch((cause: unknown) => {
    throw new ClientFailure("unreachable", `${url}: ${String(cause)}`);
  });
  const answer = await readJson(response).catch((cause: unknown) => {
    throw new ClientFailure("unreachable", `${url}: ${String(cause)}`);
  });
  if (response.ok) return answer;
  const problem = isRecord(answer) ? answer : {};
  const detail = typeof problem["detail"] === "string" ? problem["detail"] : `${url} answered ${response.status}`;
  throw new ClientFailure(
    typeof problem["code"] === "string" ? problem["code"] : `http-${response.status}`,
    detail,
    problem,
  );
}

async function readJson(response: Response): Promise<unknown> {
  const text = await response.text();
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
