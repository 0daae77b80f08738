/** Edges whose clock is an hour off, and edges that have been cut off for 30 days, so that their own certificate has expired. */
import { systemClock } from "#platform/clock.ts";
import {
  get,
  holds,
  NEWS,
  type Prepared,
  prepareEdge,
  SHOP,
  stopCloud,
  untilStarted,
} from "#test/bench/prepared-edge.ts";
import { document, publish } from "#test/edge-origin/edge-and-origin.ts";
import { PULLED } from "#test/end-to-end/content.ts";
import { type Edge, kill, type Origin, start, startCold, withheldMs } from "#test/end-to-end/fleet.ts";
import { ask } from "#test/end-to-end/http-client.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { apply, operatorOf, untilApplied, untilLink } from "./edge-words.ts";
import { fairTime } from "./fair-times.ts";
import { FakeClock, fakeClockLacks, OFFSET_SEEN_MS } from "./fake-clock.ts";
import type { Fault, Finding, Trial } from "./fault.ts";
import { makeTlsSite, type TlsSite } from "./tls-site.ts";

const OBJECTS = 20;
const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 24 * HOUR_SECONDS;
/** An hour after the end of a certificate that was new when the outage began. */
const AWAY_SECONDS = 30 * DAY_SECONDS + HOUR_SECONDS;
/** 30 days of outage that began when the certificate was 27 days old: at the latest moment for its renewal. */
const EXPIRED_SECONDS = 57 * DAY_SECONDS;
const FIRST_BYTE_MS_MAX = 500;
/** A look at the certificate each minute, and the longest wait between two tries of the link. */
const LINKED_AGAIN_MS_MAX = 90_000;
const TAKEN_MS_MAX = 60_000;
const COUNTED = { name: "counted", host: "counted.example" };

interface World extends Prepared {
  readonly clock: FakeClock;
  readonly site: TlsSite;
}

/** An edge whose clock can be set, with all content, linked. */
async function prepare(trial: Trial): Promise<World> {
  const site = await makeTlsSite(trial);
  const prepared = await prepareEdge(trial, OBJECTS, site.settings);
  const clock = new FakeClock(trial);
  await apply(prepared.origin, [
    document("Site", COUNTED.name, { hostnames: [COUNTED.host], publish: {} }),
    // Who wants pulled content served for longer than a day past its lifetime says so.
    document("Site", NEWS.name, {
      hostnames: [NEWS.host],
      pull: { upstream: prepared.upstream.url },
      cache: { maxStaleSeconds: EXPIRED_SECONDS },
    }),
  ]);
  await untilApplied(prepared.edge, prepared.origin);
  await kill(prepared.edge);
  const edge = clock.edge(prepared.edge);
  await start(trial, edge);
  await untilLink(edge, 1);
  return { ...prepared, edge, clock, site };
}

/** Published, pulled and inside TLS; how many are not right. */
async function countMissing({ edge, content, site }: World): Promise<number> {
  let missing = 0;
  for (const [where, files] of [
    [SHOP, content],
    [NEWS, PULLED],
  ] as const) {
    for (const [path, bytes] of files) if (!holds(bytes)(await get(edge, where, path))) missing += 1;
  }
  const isServed = await site.isServed(edge, "/index.html", content.get("/index.html")).catch(() => false);
  return missing + (isServed ? 0 : 1);
}

/** From a release on to its being served. */
async function takeRelease(origin: Origin, edge: Edge, words: string): Promise<number> {
  const sinceMs = systemClock.monotonicMs();
  await publish(operatorOf(origin), COUNTED.name, { "/words": words });
  const look = () => ask(edge.content, "/words", { headers: { host: COUNTED.host } });
  const isThere = holds(Buffer.from(words));
  await untilSo(`the release of ${words} is served`, look, isThere, { limitMs: TAKEN_MS_MAX * 2 });
  return systemClock.monotonicMs() - sinceMs;
}

async function runSkewed(trial: Trial): Promise<readonly Finding[]> {
  const world = await prepare(trial);
  const { edge, origin, clock } = world;
  const findings: Finding[] = [];
  for (const [words, offsetSeconds] of [
    ["an hour ahead", HOUR_SECONDS],
    ["an hour behind", -HOUR_SECONDS],
  ] as const) {
    clock.set(offsetSeconds);
    await systemClock.sleep(OFFSET_SEEN_MS);
    let missing = await countMissing(world);
    const running = await takeRelease(origin, edge, `${words}, running`);
    await kill(edge);
    startCold(trial, edge);
    await untilStarted(edge);
    missing += await countMissing(world);
    const started = await takeRelease(origin, edge, `${words}, started`);
    findings.push(
      { what: `objects not served ${words}`, value: missing, unit: "count", bound: 0 },
      { what: "a release taken running", value: running, unit: "ms", bound: TAKEN_MS_MAX },
      { what: "and after a start", value: started, unit: "ms", bound: TAKEN_MS_MAX },
    );
  }
  return findings;
}

async function runOffline(trial: Trial): Promise<readonly Finding[]> {
  const world = await prepare(trial);
  const { edge, content, clock } = world;
  await stopCloud(world);
  clock.set(AWAY_SECONDS);
  await systemClock.sleep(OFFSET_SEEN_MS);
  const running = await countMissing(world);
  const limit = { what: "first cached byte after a cold start", boundMs: FIRST_BYTE_MS_MAX };
  const firstByte = await fairTime(trial, limit, async () => {
    await kill(edge);
    const startedMs = startCold(trial, edge);
    const isFirst = holds(content.get("/index.html"));
    await untilSo("the edge serves", () => get(edge, SHOP, "/index.html"), isFirst, { pauseMs: 2 });
    return { ms: systemClock.monotonicMs() - startedMs, withheldMs: withheldMs(edge) };
  });
  await untilStarted(edge);
  const started = await countMissing(world);
  return [firstByte, { what: "objects not served", value: running + started, unit: "count", bound: 0 }];
}

async function runExpired(trial: Trial): Promise<readonly Finding[]> {
  const world = await prepare(trial);
  const { edge, clock } = world;
  await kill(world.origin);
  await untilLink(edge, 0);
  clock.set(EXPIRED_SECONDS);
  await systemClock.sleep(OFFSET_SEEN_MS);
  const origin = clock.origin(world.origin);
  await start(trial, origin);
  const sinceMs = systemClock.monotonicMs();
  const missing = await countMissing(world);
  await untilLink(edge, 1, { limitMs: LINKED_AGAIN_MS_MAX * 2 });
  const linkedMs = systemClock.monotonicMs() - sinceMs;
  await takeRelease(origin, edge, "after the renewal");
  return [
    { what: "linked again by renewal", value: linkedMs, unit: "ms", bound: LINKED_AGAIN_MS_MAX },
    { what: "objects not served meanwhile", value: missing, unit: "count", bound: 0 },
  ];
}

export const clocks: readonly Fault[] = [
  {
    name: "clock-skew",
    what: "the edge's clock jumps an hour ahead and an hour behind, running and at a start",
    lacks: fakeClockLacks,
    run: runSkewed,
  },
  {
    name: "thirty-days-offline",
    what: "30 days and an hour cut off: the edge's own certificate has expired, running and at a cold start",
    lacks: fakeClockLacks,
    run: runOffline,
  },
  {
    name: "certificate-expired",
    what: "57 days after it was made, 30 of them cut off, and then the origin is back",
    lacks: fakeClockLacks,
    run: runExpired,
  },
];
