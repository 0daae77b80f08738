/** Bytes that rot on an edge's disk while it is off: it starts, never serves a wrong byte, and is whole again with the cloud. */
import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type Random, seededRandom } from "#platform/random.ts";
import { get, holds, NEWS, type Prepared, prepareEdge, SHOP, untilStarted } from "#test/bench/prepared-edge.ts";
import { type Content, PULLED } from "#test/end-to-end/content.ts";
import { kill, start, startCold } from "#test/end-to-end/fleet.ts";
import { ask } from "#test/end-to-end/http-client.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { metricOf, untilApplied, untilLink } from "./edge-words.ts";
import type { Fault, Finding, Trial } from "./fault.ts";

const OBJECTS = 20;
/** Of a database: enough to hit its pages of rows. */
const FLIPS_IN_DATABASE = 64;
const MENDED_MS_MAX = 90_000;
const SITES: readonly (readonly [{ readonly host: string }, "published" | "pulled"])[] = [
  [SHOP, "published"],
  [NEWS, "pulled"],
];

/** Turns bits over at places of the file that the seed gives. */
function rot(path: string, flips: number, random: Random): void {
  const { size } = statSync(path);
  if (size === 0) return;
  const file = openSync(path, "r+");
  try {
    for (let flip = 0; flip < flips; flip += 1) {
      const at = random.integer(size);
      const byte = Buffer.alloc(1);
      readSync(file, byte, 0, 1, at);
      writeSync(file, Buffer.from([(byte[0] ?? 0) ^ (1 << random.integer(8))]), 0, 1, at);
    }
  } finally {
    closeSync(file);
  }
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}

/** Every database, every second object, every stored body; how many files. */
function rotAll(dataDir: string, random: Random): number {
  const isRotten = (path: string, index: number): boolean =>
    path.includes("/objects/") ? index % 2 === 0 : path.includes("/bodies/") || path.includes(".sqlite");
  const rotten = filesBelow(dataDir)
    .filter((path) => !path.includes("/identity/"))
    .filter(isRotten);
  for (const path of rotten) rot(path, path.includes(".sqlite") ? FLIPS_IN_DATABASE : 1, random);
  return rotten.length;
}

/** Answers that say 200 and are not what was published or pulled, and those that are not 200. */
async function judge({
  edge,
  content,
}: Prepared): Promise<{ readonly wrong: readonly string[]; readonly missing: number }> {
  const wrong: string[] = [];
  let missing = 0;
  for (const [site, kind] of SITES) {
    const files: Content = kind === "published" ? content : PULLED;
    for (const [path, bytes] of files) {
      // A body that is found to be wrong while it is sent breaks off.
      const answer = await get(edge, site, path).catch(() => undefined);
      if (answer === undefined || answer.status !== 200) missing += 1;
      else if (!holds(bytes)(answer)) wrong.push(path);
    }
  }
  return { wrong, missing };
}

async function run(trial: Trial): Promise<readonly Finding[]> {
  const prepared = await prepareEdge(trial, OBJECTS);
  const { edge, origin } = prepared;
  await edge.running?.[Symbol.asyncDispose]();
  const rotten = rotAll(edge.dataDir, seededRandom(trial.seed));
  trial.note(`${rotten} files rotted, seed ${trial.seed}`);
  await kill(origin);
  startCold(trial, edge);
  await untilStarted(edge);
  const alone = await judge(prepared);
  const damaged = await metricOf(edge, "stored_state_damaged_total");
  trial.note(`alone: ${alone.missing} not served; ${damaged} databases damaged`);
  await start(trial, origin);
  await untilLink(edge, 1);
  await untilApplied(edge, origin);
  const whole = await untilSo(
    "all is served again",
    () => judge(prepared),
    ({ missing, wrong }) => missing === 0 && wrong.length === 0,
    { limitMs: MENDED_MS_MAX },
  );
  const ready = await ask(edge.admin, "/readyz?offline");
  if (ready.status !== 200) throw new Error(`not ready to go on alone: ${ready.body}`);
  for (const path of alone.wrong) trial.note(`${path} was wrong`);
  return [
    { what: `wrong bodies with ${rotten} files rotten`, value: alone.wrong.length, unit: "count", bound: 0 },
    { what: "not served once the cloud is back", value: whole.missing, unit: "count", bound: 0 },
  ];
}

export const corruptStore: Fault = {
  name: "corrupt-store",
  what: "bits turned over in every database, stored body and second object of an edge that is off",
  run,
};
