/** What is done to replicas and their ways to Redis: one fault after another, each as often, a kill first. */
import { Redis } from "ioredis";
import { systemClock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import type { RedisServer } from "#test/redis/redis-server.ts";
import type { Replica } from "./replicas.ts";

const CALM_UP_TO_MS = 400;
const FAULT_UP_TO_MS = 300;

export const FAULTS = ["kill", "half-open", "cut", "slow", "pause"] as const;
export type FaultCounts = Record<(typeof FAULTS)[number], number>;

/** Until told to stop; how often each. */
export async function breakThings(
  { replicas, server }: { readonly replicas: readonly Replica[]; readonly server: RedisServer },
  random: Random,
  stop: AbortSignal,
): Promise<FaultCounts> {
  const done: FaultCounts = { kill: 0, "half-open": 0, cut: 0, slow: 0, pause: 0 };
  const admin = new Redis(server.url);
  for (let turn = 0; !stop.aborted; turn += 1) {
    await systemClock.sleep(random.integer(CALM_UP_TO_MS));
    const replica = replicas[random.integer(replicas.length)];
    const fault = FAULTS[turn % FAULTS.length] ?? "kill";
    const ms = 1 + random.integer(FAULT_UP_TO_MS);
    done[fault] += 1;
    // Scripts of all replicas stand still, and run late.
    if (fault === "pause") await admin.call("CLIENT", "PAUSE", ms, "ALL");
    if (fault === "kill") await replica?.killed();
    if (fault === "half-open") replica?.link.halfOpen();
    if (fault === "cut") replica?.link.cut();
    if (fault === "slow") replica?.link.set({ rttMs: ms, jitterMs: ms });
    await systemClock.sleep(ms);
    replica?.link.restore();
    replica?.link.set({ rttMs: 0, jitterMs: 0 });
  }
  admin.disconnect();
  return done;
}
