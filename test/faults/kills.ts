/** kill -9 of edge and origin at any instant while releases are published: nothing acknowledged is lost, nothing goes back. */
import { systemClock } from "#platform/clock.ts";
import { type Random, seededRandom } from "#platform/random.ts";
import { api, decide, document, publish } from "#test/edge-origin/edge-and-origin.ts";
import { type Edge, kill, type Origin, start, startCold, startEdge, startOrigin } from "#test/end-to-end/fleet.ts";
import { ask } from "#test/end-to-end/http-client.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { apply, metricOf, operatorOf, revisionOf } from "./edge-words.ts";
import type { Fault, Finding, Trial } from "./fault.ts";

const POOL = "here";
const SITE = { name: "counted", host: "counted.example" };
const FILES = 6;
const FILE_BYTES = 20_000;
/** Before a kill: a few releases. */
const RUN_MS_MAX = 900;
const LOOK_MS = 10;
const SETTLED_MS_MAX = 90_000;
const NOTE_EVERY = 50;
/** Of the kills: with fewer releases served nothing was tried. */
const SERVED_PER_KILL_MIN = 0.25;

interface World {
  readonly trial: Trial;
  readonly origin: Origin;
  readonly edge: Edge;
  /** Highest number of a release that was begun, acknowledged, answered; highest revision of edge and origin. */
  readonly highest: Record<"begun" | "acknowledged" | "served" | "applied" | "logged", number>;
  /** Highest generation that was acknowledged. */
  generation: number;
  /** What went back, and what was answered in part, in words. */
  readonly regressions: string[];
  readonly halves: string[];
  releasesSeen: number;
  isOver: boolean;
}

/** All of a release have its number: an answer says which release it is of. */
function filesOf(release: number): Readonly<Record<string, string>> {
  const contentOf = (index: number): string => `${release} ${index} `.padEnd(FILE_BYTES, `${release}.`);
  return Object.fromEntries(Array.from({ length: FILES }, (_, index) => [`/part-${index}`, contentOf(index)]));
}

async function prepare(trial: Trial): Promise<World> {
  const origin = await startOrigin(trial);
  await apply(origin, [
    document("NodePool", POOL, { region: POOL, coordinates: { latitude: 0, longitude: 0 } }),
    document("Site", SITE.name, { hostnames: [SITE.host], publish: {} }),
  ]);
  const edge = await startEdge(trial, origin, POOL);
  const cloud = { ...operatorOf(origin), origin: { addresses: origin.listen } };
  // Assigned: a release is served once it is complete here.
  await decide(cloud, trial.folder, document("Assignment", POOL, { pool: POOL, sites: [SITE.name], apps: [] }));
  const highest = { begun: 0, acknowledged: 0, served: 0, applied: 0, logged: 0 };
  const seen = { generation: 0, regressions: [], halves: [], releasesSeen: 0 };
  return { trial, origin, edge, highest, ...seen, isOver: false };
}

/** One release after another; one that a killed origin did not answer for may be there or not. */
async function publishOn(world: World): Promise<void> {
  const { origin, highest } = world;
  while (!world.isOver) {
    highest.begun += 1;
    const release = highest.begun;
    const generation = await publish(operatorOf(origin), SITE.name, filesOf(release)).catch(() => undefined);
    if (generation === undefined) {
      await systemClock.sleep(LOOK_MS);
      continue;
    }
    highest.acknowledged = release;
    world.generation = generation;
  }
}

/** Part after part: none may be of an older release than any answer before it, and each is there. */
async function lookOn(world: World): Promise<void> {
  const { edge, highest, regressions, halves } = world;
  for (let look = 0; !world.isOver; look += 1) {
    const path = `/part-${look % FILES}`;
    const answer = await ask(edge.content, path, { headers: { host: SITE.host } }).catch(() => undefined);
    if (answer === undefined || (highest.served === 0 && answer.status !== 200)) {
      await systemClock.sleep(LOOK_MS);
      continue;
    }
    const text = answer.body.toString();
    const release = Number.parseInt(text, 10);
    if (answer.status !== 200 || text !== filesOf(release)[path]) {
      halves.push(`${path} is ${answer.status} after release ${highest.served}: ${text.slice(0, 200)}`);
    } else if (release < highest.served) regressions.push(`${path} of release ${release} after ${highest.served}`);
    else if (release > highest.served) {
      highest.served = release;
      world.releasesSeen += 1;
    }
    await systemClock.sleep(1);
  }
}

async function lookAtRevisions({ edge, origin, highest, regressions }: World): Promise<void> {
  for (const [what, read] of [
    ["applied", () => metricOf(edge, "applied_revision")],
    ["logged", () => revisionOf(origin)],
  ] as const) {
    const value = await read().catch(() => undefined);
    if (value === undefined) continue;
    if (value < highest[what]) regressions.push(`revision ${value} is ${what} after ${highest[what]}`);
    highest[what] = Math.max(highest[what], value);
  }
}

/** Those of the origin's log that were acknowledged are there. */
async function checkReleases({ origin, generation, regressions }: World): Promise<void> {
  const text = await api(operatorOf(origin), "GET", "/v1/resources/Release");
  const { items }: { items: readonly { spec: { generation: number } }[] } = JSON.parse(text);
  const newest = Math.max(0, ...items.map(({ spec }) => spec.generation));
  if (newest < generation)
    regressions.push(`the origin's newest generation is ${newest}, acknowledged was ${generation}`);
}

async function killOnce(world: World, random: Random): Promise<void> {
  const { trial, edge, origin } = world;
  await systemClock.sleep(random.ratio() * RUN_MS_MAX);
  await lookAtRevisions(world);
  const victim = random.integer(3);
  await Promise.all([victim === 1 ? undefined : kill(edge), victim === 0 ? undefined : kill(origin)]);
  if (victim !== 1) startCold(trial, edge);
  if (victim !== 0) {
    await start(trial, origin);
    await checkReleases(world);
  }
  if (victim === 1) return;
  // One in so many is killed again while it starts.
  const isEarly = random.integer(4) === 0;
  if (!isEarly)
    await untilSo(
      "the edge has started",
      () => metricOf(edge, "applied_revision"),
      () => true,
    );
  await lookAtRevisions(world);
}

async function run(trial: Trial): Promise<readonly Finding[]> {
  const world = await prepare(trial);
  const random = seededRandom(trial.seed);
  const { edge, highest, regressions, halves } = world;
  const working = [publishOn(world), lookOn(world)];
  await untilSo(
    "the first is served",
    async () => highest.served,
    (served) => served > 0,
  );
  for (let done = 1; done <= trial.kills; done += 1) {
    await killOnce(world, random);
    if (done % NOTE_EVERY === 0) trial.note(`${done} kills, release ${highest.served} of ${highest.begun} served`);
  }
  const newest = highest.acknowledged;
  const isThere = (served: number): boolean => served >= newest;
  const patience = { limitMs: SETTLED_MS_MAX };
  await untilSo("what was acknowledged is served in the end", async () => highest.served, isThere, patience);
  world.isOver = true;
  await Promise.all(working);
  await lookAtRevisions(world);
  for (const words of [...regressions, ...halves]) trial.note(words);
  if (world.releasesSeen < trial.kills * SERVED_PER_KILL_MIN)
    throw new Error(`${world.releasesSeen} releases were served`);
  trial.note(`${world.releasesSeen} releases seen served by ${edge.name}`);
  return [
    { what: `regressions in ${trial.kills} kills`, value: regressions.length, unit: "count", bound: 0 },
    { what: "half-applied", value: halves.length, unit: "count", bound: 0 },
  ];
}

export const kills: Fault = {
  name: "kill-9",
  what: "edge, origin or both killed at any instant while releases are published",
  run,
};
