/** Content by way of steering: small and large, hot and cold, whole, in parts and on condition; bytes compared. */
import { check } from "k6";
import { sha256 } from "k6/crypto";
import exec from "k6/execution";
import http from "k6/http";
import type { Options } from "k6/options";
import { PULLED_SIZES_BYTES, type PublishedFile, pulledBody, pulledPath } from "../plan.ts";
import { plan, sharedOptions, steadyRate } from "./given-plan.ts";
import { askRanked, askRedirect } from "./steering.ts";

const SECONDS = plan.isSmoke ? 15 : 60;
/** Hashing more than this would load the machine more than serving it does: its length and ends are compared. */
const HASHED_BYTES_MAX = 131_072;
const PULLED_HOT_OBJECTS = 20;

export const options: Options = {
  ...sharedOptions,
  scenarios: {
    redirected: steadyRate("redirected", 8, SECONDS),
    ranked: steadyRate("ranked", 12, SECONDS),
    revalidated: steadyRate("revalidated", 4, SECONDS),
    cold: steadyRate("cold", 4, SECONDS),
  },
  thresholds: {
    checks: ["rate==1"],
    http_req_failed: ["rate==0"],
    "http_req_duration{name:steer (302)}": ["p(95)<150"],
    "http_req_duration{name:steer (JSON)}": ["p(95)<150"],
    "http_req_duration{name:hot}": ["p(95)<150"],
    "http_req_duration{name:range}": ["p(95)<150"],
    "http_req_duration{name:not modified}": ["p(95)<150"],
    "http_req_duration{name:cold}": ["p(95)<1000"],
  },
};

/** A user agent: the site's own name, then where it is sent. */
export function redirected(): void {
  const file = pick(plan.published.hot);
  const location = askRedirect(plan.published.hostname, file.path);
  if (!check(location, { "sent to an edge": (found) => found !== undefined }) || location === undefined) return;
  checkWhole(location, file, "hot");
}

/** A program: the ranked edges, then the best of them; every third asks for a part. */
export function ranked(): void {
  const file = pick(plan.published.hot);
  const edge = askRanked(plan.published.site)[0];
  if (!check(edge, { "edges are ranked": (found) => found !== undefined }) || edge === undefined) return;
  const url = `${edge}${file.path}`;
  if (exec.scenario.iterationInTest % 3 === 0) checkPart(url, file);
  else checkWhole(url, file, "hot");
}

/** What a user agent holds already is not sent again. */
export function revalidated(): void {
  const file = pick(plan.published.hot);
  const location = askRedirect(plan.published.hostname, file.path);
  if (location === undefined) return;
  const etag = http.head(location, { tags: { name: "head" } }).headers["Etag"] ?? "";
  const again = http.get(location, { headers: { "If-None-Match": etag }, tags: { name: "not modified" } });
  check(again, { "304 without content": ({ status, body }) => status === 304 && bytesOf(body) === 0 });
}

/** First asked now: alternately a published object and one of the upstream. */
export function cold(): void {
  const iteration = exec.scenario.iterationInTest;
  const file = plan.published.cold[iteration / 2];
  if (file === undefined) {
    pulled("cold", `${plan.run}-${iteration}`, "cold");
    return;
  }
  const edge = askRanked(plan.published.site)[0];
  if (edge === undefined) return;
  checkWhole(`${edge}${file.path}`, file, "cold");
  pulled("hot", String(iteration % PULLED_HOT_OBJECTS), "hot");
}

function pulled(kind: "hot" | "cold", name: string, tag: string): void {
  const bytes = pick(PULLED_SIZES_BYTES);
  const path = pulledPath(kind, name, bytes);
  const edge = askRanked(plan.pulled.site)[0];
  if (edge === undefined) return;
  const response = http.get(`${edge}${path}`, { tags: { name: tag } });
  check(response, {
    "the upstream's bytes": ({ status, body }) => status === 200 && body === pulledBody(path, bytes),
  });
}

function checkWhole(url: string, file: PublishedFile, name: string): void {
  const response = http.get(url, { responseType: "binary", tags: { name } });
  check(response, {
    "the published bytes": ({ status, body }) =>
      status === 200 &&
      bytesOf(body) === file.bytes &&
      (file.bytes > HASHED_BYTES_MAX || body === null || sha256(body, "hex") === file.digest),
  });
}

function checkPart(url: string, file: PublishedFile): void {
  const start = Math.floor(file.bytes / 3);
  const end = Math.floor(file.bytes / 2);
  const headers = { Range: `bytes=${start}-${end}` };
  const response = http.get(url, { headers, responseType: "binary", tags: { name: "range" } });
  check(response, {
    "the part asked for": ({ status, body, headers: answered }) =>
      status === 206 &&
      bytesOf(body) === end - start + 1 &&
      answered["Content-Range"] === `bytes ${start}-${end}/${file.bytes}`,
  });
}

function bytesOf(body: ArrayBuffer | string | null): number {
  if (body === null) return 0;
  return typeof body === "string" ? body.length : body.byteLength;
}

function pick<T>(items: readonly T[]): T {
  const item = items[Math.floor(Math.random() * items.length)];
  if (item === undefined) throw new Error("the plan has nothing to ask for");
  return item;
}
