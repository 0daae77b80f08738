/** An edge whose disk is full: it serves what it has and what it cannot keep, says so, starts again, and goes on when there is room. */
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import { get, holds, NEWS, type Prepared, prepareEdge, SHOP, untilStarted } from "#test/bench/prepared-edge.ts";
import { document, publish } from "#test/edge-origin/edge-and-origin.ts";
import { PULLED, PULLED_UNCACHED } from "#test/end-to-end/content.ts";
import { kill, startCold } from "#test/end-to-end/fleet.ts";
import { ask } from "#test/end-to-end/http-client.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { apply, metricOf, operatorOf, untilLink } from "./edge-words.ts";
import type { Fault, Finding, Trial } from "./fault.ts";

const DISK = "160m";
const OBJECTS = 20;
const COUNTED = { name: "counted", host: "counted.example" };
const FILLER_BYTES = 64 * 1024;
/** The link, the snapshot and the release each try again by themselves. */
const TAKEN_MS_MAX = 90_000;

function lacks(): string | undefined {
  return process.getuid?.() === 0 ? undefined : "a disk that can be filled is a tmpfs, which needs root to mount";
}

/** Where prepareEdge's edge has its data. */
function mountDisk({ t, folder }: Trial): string {
  const disk = join(folder, "here-1");
  mkdirSync(disk);
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK}`, "tmpfs", disk], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`mount: ${stderr}`);
  t.teardown(() => void spawnSync("umount", ["--lazy", disk]));
  return disk;
}

function fill(disk: string): string {
  const filler = join(disk, "filler");
  const isRoom = (bytes: number): boolean => {
    try {
      appendFileSync(filler, Buffer.alloc(bytes));
      return true;
    } catch {
      return false;
    }
  };
  for (let bytes = FILLER_BYTES; bytes >= 1; bytes = Math.floor(bytes / 2)) while (isRoom(bytes));
  return filler;
}

async function countMissing({ edge, content }: Prepared): Promise<number> {
  let missing = 0;
  for (const [site, files] of [
    [SHOP, content],
    [NEWS, PULLED],
    [NEWS, new Map([[PULLED_UNCACHED, Buffer.from("now")]])],
  ] as const) {
    for (const [path, bytes] of files) if (!holds(bytes)(await get(edge, site, path))) missing += 1;
  }
  return missing;
}

async function run(trial: Trial): Promise<readonly Finding[]> {
  const disk = mountDisk(trial);
  const prepared = await prepareEdge(trial, OBJECTS);
  const { edge, origin } = prepared;
  const words = () => ask(edge.content, "/words", { headers: { host: COUNTED.host } });
  await apply(origin, [document("Site", COUNTED.name, { hostnames: [COUNTED.host], publish: {} })]);
  await publish(operatorOf(origin), COUNTED.name, { "/words": "before" });
  await untilSo("the first is served", words, holds(Buffer.from("before")));
  const filler = fill(disk);
  await publish(operatorOf(origin), COUNTED.name, { "/words": "after".repeat(FILLER_BYTES) });
  const refusals = async () =>
    (await metricOf(edge, "batches_refused_total", 'code="disk-full"')) +
    (await metricOf(edge, "releases_delayed_total", 'code="disk-full"'));
  await untilSo("what cannot be kept is counted", refusals, (count) => count > 0);
  const isSaid = (said: string): boolean => said.includes("DiskLow");
  await untilSo("it is said", async () => (await ask(edge.admin, "/readyz?offline")).body.toString(), isSaid);
  let missing = await countMissing(prepared);
  if (!holds(Buffer.from("before"))(await words())) missing += 1;
  await kill(edge);
  startCold(trial, edge);
  await untilStarted(edge);
  const missingAfterStart = (await countMissing(prepared)) + (holds(Buffer.from("before"))(await words()) ? 0 : 1);
  rmSync(filler);
  const sinceMs = systemClock.monotonicMs();
  await untilLink(edge, 1);
  const isTaken = holds(Buffer.from("after".repeat(FILLER_BYTES)));
  await untilSo("the release is taken", words, isTaken, { limitMs: TAKEN_MS_MAX });
  const takenMs = systemClock.monotonicMs() - sinceMs;
  return [
    { what: "objects not served", value: missing, unit: "count", bound: 0 },
    { what: "after kill -9 and a start", value: missingAfterStart, unit: "count", bound: 0 },
    { what: "with room again the release is taken after", value: takenMs, unit: "ms", bound: TAKEN_MS_MAX },
  ];
}

export const diskFull: Fault = { name: "disk-full", what: "no byte is left on the edge's disk", lacks, run };
