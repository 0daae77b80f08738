/** An edge that was killed starts with its origin out of reach: the first cached byte, and then all that it held. */
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
import { PULLED } from "#test/end-to-end/content.ts";
import { kill, startCold, withheldMs } from "#test/end-to-end/fleet.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { blackHole, blackHoleLacks } from "./black-hole.ts";
import { fairTime, type Timed } from "./fair-times.ts";
import type { Fault, Finding, Trial } from "./fault.ts";

const FIRST_BYTE_MS_MAX = 500;
const OBJECTS = 100;
const POLL_MS = 2;

/** The edge has run once before, as any that was ever installed: what is compiled is kept between starts. */
async function prepare(trial: Trial): Promise<Prepared> {
  const prepared = await prepareEdge(trial, OBJECTS);
  const { edge } = prepared;
  await edge.running?.[Symbol.asyncDispose]();
  await stopCloud(prepared);
  startCold(trial, edge);
  await untilStarted(edge);
  return prepared;
}

async function measure(trial: Trial, { edge, content }: Prepared): Promise<Timed> {
  await kill(edge);
  const startedMs = startCold(trial, edge);
  const isFirst = holds(content.get("/index.html"));
  await untilSo("the edge serves", () => get(edge, SHOP, "/index.html"), isFirst, { pauseMs: POLL_MS });
  return { ms: systemClock.monotonicMs() - startedMs, withheldMs: withheldMs(edge) };
}

/** Published and pulled, byte for byte; how many are not. */
async function countMissing({ edge, content }: Prepared): Promise<number> {
  let missing = 0;
  for (const [site, files] of [
    [SHOP, content],
    [NEWS, PULLED],
  ] as const) {
    for (const [path, bytes] of files) if (!holds(bytes)(await get(edge, site, path))) missing += 1;
  }
  return missing;
}

async function start(trial: Trial, prepared: Prepared): Promise<readonly Finding[]> {
  const limit = { what: "first cached byte", boundMs: FIRST_BYTE_MS_MAX };
  const firstByte = await fairTime(trial, limit, () => measure(trial, prepared));
  const missing = await countMissing(prepared);
  return [firstByte, { what: "objects not served", value: missing, unit: "count", bound: 0 }];
}

export const coldStarts: readonly Fault[] = [
  {
    name: "cold-start-black-holed",
    what: "kill -9, then a start whose packets to the origin vanish",
    lacks: blackHoleLacks,
    async run(trial) {
      const prepared = await prepare(trial);
      using _hole = blackHole(prepared.edge.toCloud.map(({ address }) => address));
      return await start(trial, prepared);
    },
  },
  {
    name: "cold-start-refused",
    what: "kill -9, then a start whose connections to the origin are refused",
    async run(trial) {
      const prepared = await prepare(trial);
      for (const link of prepared.edge.toCloud) await link[Symbol.asyncDispose]();
      return await start(trial, prepared);
    },
  },
];
