/** Half-way the origin and the scheduler fall silent: no reader at the edges may notice, and newcomers still get in. */
import { check, sleep } from "k6";
import http from "k6/http";
import { Trend } from "k6/metrics";
import type { Options } from "k6/options";
import { PULLED_SIZES_BYTES, type PublishedFile, pulledBody, pulledPath } from "../plan.ts";
import { plan, sharedOptions, steadyRate } from "./given-plan.ts";
import { askRanked } from "./steering.ts";

const SECONDS = plan.isSmoke ? 40 : 90;
const BEGIN_SECONDS = plan.isSmoke ? 12 : 45;
const END_SECONDS = plan.isSmoke ? 32 : 75;
/** An edge notices a silent link within 10 s; from then on it answers steering itself. */
const NOTICED_SECONDS = BEGIN_SECONDS + 11;
const READERS_PER_SECOND = 30;
const PULLED_HOT_OBJECTS = 10;
/** Of the readers' requests. */
const PULLED_RATIO = 0.3;
const RETURN_SECONDS_MAX = 30;

const cloudBackMs = new Trend("cloud_answers_again", true);

export const options: Options = {
  ...sharedOptions,
  scenarios: {
    readers: steadyRate("readers", READERS_PER_SECOND, SECONDS),
    newcomers: steadyRate("newcomers", 2, END_SECONDS - NOTICED_SECONDS, NOTICED_SECONDS),
    outage: once("takeCloudAway", BEGIN_SECONDS),
    return: once("giveCloudBack", END_SECONDS),
  },
  thresholds: {
    "checks{scenario:readers}": ["rate==1"],
    "http_req_failed{scenario:readers}": ["rate==0"],
    "http_req_duration{scenario:readers}": ["p(95)<200"],
    "checks{scenario:newcomers}": ["rate==1"],
    "checks{scenario:outage}": ["rate==1"],
    cloud_answers_again: ["max<15000"],
  },
};

function once(name: string, startSeconds: number) {
  return {
    executor: "per-vu-iterations",
    exec: name,
    vus: 1,
    iterations: 1,
    startTime: `${startSeconds}s`,
    maxDuration: `${RETURN_SECONDS_MAX}s`,
  } as const;
}

/** The edges themselves, and where each site is at each of them. */
interface Known {
  readonly nodes: readonly string[];
  readonly published: readonly string[];
  readonly pulled: readonly string[];
}

/** What a user knew before; each edge has answered once for everything that is asked for later. */
export function setup(): Known {
  const published = askRanked(plan.published.site);
  const pulled = askRanked(plan.pulled.site);
  if (published.length === 0 || pulled.length === 0) throw new Error("the scheduler steers nowhere");
  for (const edge of published) for (const { path } of plan.published.hot) http.get(`${edge}${path}`);
  for (const edge of pulled) for (const { path } of pulledHot()) http.get(`${edge}${path}`);
  // A node is asked by its own name: `SITE.NODE` is the site's.
  const nodes = published.map((url) => url.replace(`//${plan.published.site}.`, "//"));
  return { nodes, published, pulled };
}

function pulledHot(): readonly { path: string; bytes: number }[] {
  const names = Array.from({ length: PULLED_HOT_OBJECTS }, (_, index) => String(index));
  return PULLED_SIZES_BYTES.flatMap((bytes) => names.map((name) => ({ path: pulledPath("hot", name, bytes), bytes })));
}

export function readers({ published, pulled }: Known): void {
  if (Math.random() < PULLED_RATIO) readPulled(pick(pulled));
  else readPublished(pick(published));
}

function readPublished(edge: string): void {
  const file: PublishedFile = pick(plan.published.hot);
  const response = http.get(`${edge}${file.path}`, { responseType: "binary", tags: { name: "published" } });
  check(response, {
    "the published bytes": ({ status, body }) => status === 200 && body?.byteLength === file.bytes,
  });
}

function readPulled(edge: string): void {
  const { path, bytes } = pick(pulledHot());
  const response = http.get(`${edge}${path}`, { tags: { name: "pulled" } });
  check(response, {
    "the upstream's bytes": ({ status, body }) => status === 200 && body === pulledBody(path, bytes),
  });
}

/** A user who knows nothing but the edges' names, while the cloud is silent: any edge steers. */
export function newcomers({ nodes }: Known): void {
  const found = askRanked(plan.published.site, pick(nodes), "2s");
  check(found, { "an edge steers while cut off": ({ length }) => length > 0 });
}

export function takeCloudAway(): void {
  const response = http.post(`${plan.outageControl}/begin`);
  check(response, { "the cloud is silent": ({ status }) => status === 204 });
}

export function giveCloudBack(): void {
  const startedMs = Date.now();
  const response = http.post(`${plan.outageControl}/end`);
  check(response, { "the cloud goes on": ({ status }) => status === 204 });
  while (askRanked(plan.published.site, plan.scheduler, "1s").length === 0) sleep(0.2);
  cloudBackMs.add(Date.now() - startedMs);
}

export function teardown(): void {
  http.post(`${plan.outageControl}/end`);
}

function pick<T>(items: readonly T[]): T {
  const item = items[Math.floor(Math.random() * items.length)];
  if (item === undefined) throw new Error("the plan has nothing to ask for");
  return item;
}
