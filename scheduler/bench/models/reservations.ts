/**
 * Reservations a second through a real Redis, one core for it and one for the scheduler, beside scripts that do nothing.
 * A second is one of the busier core's own time, by the system's accounting: what else runs on the machine counts not.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { Failure, isFailure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { RedisScripts, redisScript } from "#platform/redis/redis-scripts.ts";
import { cpuSeconds } from "#test/bench/processes.ts";
import { RedisServer, redisIsMissing } from "#test/redis/redis-server.ts";
import type { ReservationRequest } from "../../ledger/ledger.ts";
import { RedisLedger } from "../../ledger/redis-ledger.ts";
import { type Model, type ModelRun, rowOf } from "./model.ts";

/** As in the model of 10,000 nodes. */
const POOLS = 323;
const AGENTS_PER_POOL = 31;
const SLOTS_PER_AGENT = 64;
const APPS = 8;
/** Clients that wait at once. */
const CONCURRENCY = 256;
const RUN_MS = 5_000;
const SMOKE_MS = 200;
/** They differ by some per cent, and each takes a quarter of a minute. */
const RUNS = 12;
/** Pools that a placement looks at before it reserves. */
const CONSIDERED = 6;
const TARGET_PER_SECOND = 10_000;

const nothing = redisScript("return { 0, 0 }");
const none = new Set<string>();
const poolAt = (index: number): string => `pool-${index % POOLS}`;

interface Rates {
  readonly raw: number;
  readonly reserved: number;
  readonly decided: number;
}

export const reservations: Model = async (run) => {
  const missing = redisIsMissing();
  if (missing !== undefined) throw new Failure("not-found", missing);
  const folder = mkdtempSync(join(tmpdir(), "perigee-reservations-"));
  const before = pin(process.pid, "1");
  try {
    const rates: Rates[] = [];
    const rounds = Math.min(RUNS, run.seeds);
    for (let round = 0; round < rounds; round += 1) rates.push(await measure(folder, before !== undefined, run));
    const raw = rates.map((rate) => rate.raw);
    return [
      rowOf("reserved_per_core_second", {
        ...{ unit: "1/s", values: rates.map(({ reserved }) => reserved), baseline: raw },
        ...{ target: TARGET_PER_SECOND, atLeast: true },
      }),
      rowOf("looked_at_and_reserved_per_core_second", {
        ...{ unit: "1/s", values: rates.map(({ decided }) => decided), baseline: raw },
      }),
    ];
  } finally {
    if (before !== undefined) pin(process.pid, before);
    rmSync(folder, { recursive: true, force: true });
  }
};

/** On an empty Redis each time. */
async function measure(folder: string, isPinned: boolean, { isSmoke, say }: ModelRun): Promise<Rates> {
  await using server = await RedisServer.start({ folder, ...(isPinned ? { under: ["taskset", "-c", "0"] } : {}) });
  const up = Promise.withResolvers<void>();
  const events = { redisUp: () => up.resolve(), redisDown: up.reject };
  const tools = { clock: systemClock, random: systemRandom, events };
  using redis = new RedisScripts({ url: server.url }, tools);
  await up.promise;
  const failed = (_operation: string, failure: Failure): never => {
    throw failure;
  };
  const ledger = new RedisLedger({ redis, clock: systemClock, events: { failed }, prefix: "bench/" });
  for (let pool = 0; pool < POOLS; ) if (await isAnswered(ledger.report(reportOf(poolAt(pool))))) pool += 1;
  const ms = isSmoke ? SMOKE_MS : RUN_MS;
  const keys = ["p/pool-1", "q/pool-1", "r/session-1", "a/app-1"].map((key) => `bench/ledger/2/${key}`);
  const words = ["bench/ledger/2/", 1_800_000_000_000, "session-1", 1, "app-1", 1_000_000, "pool-1", "small", ""];
  const raw = await perCoreSecond(server.pid, ms, async () => void (await redis.run(nothing, keys, words)));
  const reserved = await perCoreSecond(server.pid, ms, (index) => reserve(ledger, `r-${index}`, index));
  const decided = await perCoreSecond(server.pid, ms, async (index) => {
    const pools = Array.from({ length: CONSIDERED }, (_, at) => poolAt(index + at));
    await ledger.capacities(pools.map((pool) => ({ pool, renderClass: "small", excludedAgents: none })));
    await reserve(ledger, `d-${index}`, index);
  });
  say(`raw ${Math.round(raw)}, reserved ${Math.round(reserved)}, looked at and reserved ${Math.round(decided)}`);
  return { raw, reserved, decided };
}

async function reserve(ledger: RedisLedger, session: string, index: number): Promise<void> {
  const request: ReservationRequest = {
    ...{ session, attempt: 1, app: `app-${index % APPS}`, appSessionsMax: 1_000_000 },
    ...{ pool: poolAt(index), renderClass: "small", excludedAgents: none },
  };
  const outcome = await ledger.reserve(request);
  // Reports grow old while it runs.
  if (outcome === "closed") await ledger.report(reportOf(request.pool));
  else if (outcome !== "reserved") throw new Error(`${request.pool} is ${outcome}`);
}

async function perCoreSecond(redisPid: number, ms: number, one: (index: number) => Promise<void>): Promise<number> {
  const before = { redis: cpuSeconds(redisPid), own: process.cpuUsage() };
  let done = 0;
  let begun = 0;
  const sinceMs = systemClock.monotonicMs();
  const client = async (): Promise<void> => {
    while (systemClock.monotonicMs() - sinceMs < ms) {
      begun += 1;
      if (await isAnswered(one(begun))) done += 1;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, client));
  const { user, system } = process.cpuUsage(before.own);
  return done / Math.max((user + system) / 1e6, cpuSeconds(redisPid) - before.redis);
}

/** Where the machine is busy with other things Redis may answer too late: not one more, and the CPU time counts. */
async function isAnswered(asked: Promise<void>): Promise<boolean> {
  try {
    await asked;
    return true;
  } catch (error) {
    if (isFailure(error) && error.retryable) return false;
    throw error;
  }
}

function reportOf(pool: string) {
  const slots = [{ renderClass: "small", total: SLOTS_PER_AGENT, free: SLOTS_PER_AGENT, frameMsP95: 8 }];
  const agents = Array.from({ length: AGENTS_PER_POOL }, (_, index) => ({
    ...{ agent: `agent-${index}`, incarnation: "1", ready: true, reasons: [], slots, sessions: [] },
  }));
  return { pool, node: `${pool}-1`, agents };
}

/** All threads of a process, where there are two cores and `taskset`; answers what it was allowed before. */
function pin(pid: number, cores: string): string | undefined {
  if (availableParallelism() < 2 && cores === "1") return undefined;
  const { error, stdout, status } = spawnSync("taskset", ["-acp", cores, String(pid)], { encoding: "utf8" });
  if (error !== undefined || status !== 0) return undefined;
  return /current affinity list: (\S+)/.exec(stdout)?.[1];
}
