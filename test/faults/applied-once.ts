/** Releases, a purge and a change and its taking back, made while the edge is away: each takes effect once, in order. */
import { systemClock } from "#platform/clock.ts";
import { get, NEWS, type Prepared, prepareEdge, untilStarted } from "#test/bench/prepared-edge.ts";
import { document, publish } from "#test/edge-origin/edge-and-origin.ts";
import { PULLED } from "#test/end-to-end/content.ts";
import { type Edge, kill, startCold } from "#test/end-to-end/fleet.ts";
import { ask } from "#test/end-to-end/http-client.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { apply, logged, metricOf, operatorOf, untilApplied, untilLink } from "./edge-words.ts";
import type { Fault, Finding, Trial } from "./fault.ts";

const COUNTED = { name: "counted", host: "counted.example" };
const RELEASES_AWAY = 5;
const LOOK_MS = 5;
const RECONNECT_MS_MAX = 60_000;

async function servedGeneration({ content }: Edge): Promise<number> {
  const { status, body } = await ask(content, "/generation", { headers: { host: COUNTED.host } });
  return status === 200 ? Number(body) : 0;
}

/** The generations seen, each once in a row. */
function watch(edge: Edge): Disposable & { readonly seen: readonly number[] } {
  const seen: number[] = [];
  const looking = systemClock.every(LOOK_MS, async () => {
    const generation = await servedGeneration(edge).catch(() => undefined);
    if (generation !== undefined && generation !== seen.at(-1)) seen.push(generation);
  });
  return { seen, [Symbol.dispose]: () => looking[Symbol.dispose]() };
}

async function changeAll({ origin }: Prepared, away: () => Promise<void>): Promise<void> {
  const site = (hostname: string) => document("Site", COUNTED.name, { hostnames: [hostname], publish: {} });
  await apply(origin, [site(COUNTED.host)]);
  await publish(operatorOf(origin), COUNTED.name, { "/generation": "1" });
  await away();
  for (let generation = 2; generation <= 1 + RELEASES_AWAY; generation += 1) {
    await publish(operatorOf(origin), COUNTED.name, { "/generation": String(generation) });
  }
  await apply(origin, [document("Purge", "news.once", { site: NEWS.name, match: { kind: "all" }, soft: false })]);
  await apply(origin, [site("elsewhere.example")]);
  await apply(origin, [site(COUNTED.host)]);
}

/** How often an upstream is asked for what was stored, from before the purge on; each path is asked for many times. */
async function askAllOften({ edge }: Prepared): Promise<void> {
  for (let time = 0; time < 3; time += 1) for (const path of PULLED.keys()) await get(edge, NEWS, path);
}

async function run(trial: Trial): Promise<readonly Finding[]> {
  const prepared = await prepareEdge(trial, 1);
  const { edge, origin, upstream } = prepared;
  await changeAll(prepared, async () => {
    await untilSo(
      "the first is served",
      () => servedGeneration(edge),
      (generation) => generation === 1,
    );
    for (const link of edge.toCloud) link.cut();
    await untilLink(edge, 0);
  });
  const askedBefore = new Map(upstream.asked);
  await askAllOften(prepared);
  const keptWhileAway = [...PULLED.keys()].every((path) => upstream.asked.get(path) === askedBefore.get(path));
  if (!keptWhileAway) throw new Error("what was stored is stored while the purge has not come");
  using watching = watch(edge);
  for (const link of edge.toCloud) link.restore();
  await untilApplied(edge, origin);
  const newest = 1 + RELEASES_AWAY;
  const isNewest = (generation: number): boolean => generation === newest;
  await untilSo("the newest is served", () => servedGeneration(edge), isNewest, { limitMs: RECONNECT_MS_MAX });
  await untilSo(
    "the purge is swept",
    async () => await askAllOften(prepared),
    () => [...PULLED.keys()].every((path) => (upstream.asked.get(path) ?? 0) > (askedBefore.get(path) ?? 0)),
  );
  // Neither another return nor a start after a kill does any of it again.
  for (const link of edge.toCloud) link.cut();
  await untilLink(edge, 0);
  for (const link of edge.toCloud) link.restore();
  await untilLink(edge, 1);
  await askAllOften(prepared);
  await kill(edge);
  startCold(trial, edge);
  await untilStarted(edge);
  await untilLink(edge, 1);
  await untilApplied(edge, origin);
  await askAllOften(prepared);
  const purges = [...PULLED.keys()].map((path) => (upstream.asked.get(path) ?? 0) - (askedBefore.get(path) ?? 0));
  return [
    ...orderOf(edge, watching.seen, newest),
    { what: "purges in effect", value: Math.max(...purges), unit: "count", bound: 1 },
    { what: "batches refused", value: await metricOf(edge, "batches_refused_total"), unit: "count", bound: 0 },
  ];
}

/** As seen from outside, and as the edge has logged it. */
function orderOf(edge: Edge, seen: readonly number[], newest: number): readonly Finding[] {
  const activated = logged(edge, "release activated")
    .filter(({ site }) => site === COUNTED.name)
    .map(({ generation }) => Number(generation));
  if (activated.at(-1) !== newest) throw new Error(`activated were ${activated}, the newest is ${newest}`);
  if (seen.length < 2) throw new Error(`only ${seen} was seen to be served`);
  const back = (list: readonly number[]): number => list.filter((value, at) => value <= (list[at - 1] ?? 0)).length;
  // A host name that another document has moved away and a third one back is seen as not there in between, or not at all.
  const generations = seen.filter((generation) => generation > 0);
  return [
    { what: "generations activated twice or out of order", value: back(activated), unit: "count", bound: 0 },
    { what: "served out of order", value: back(distinct(generations)), unit: "count", bound: 0 },
  ];
}

function distinct(list: readonly number[]): readonly number[] {
  return list.filter((value, at) => value !== list[at - 1]);
}

export const appliedOnce: Fault = {
  name: "applied-once",
  what: "releases, a purge and a change that is taken back, all while the edge is away",
  run,
};
