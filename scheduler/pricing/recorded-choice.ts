/** What a session could choose from, as its decision's record has it: the pools within its limit, as it measured them itself. */
import { addDemand } from "#domain/placement/contention.ts";
import { DecisionFrame } from "#domain/placement/decision-frame.ts";
import { decodeDecision } from "#domain/placement/decision-record.ts";
import type { PoolIds } from "#domain/placement/pool-ids.ts";
import { withinLimitOf } from "#domain/placement/price-guard.ts";
import type { TriedChoice } from "./demand-counter.ts";

const frame = new DecisionFrame();

export function readChoice(decision: Uint8Array, names: PoolIds): TriedChoice {
  decodeDecision(new DataView(decision.buffer, decision.byteOffset, decision.byteLength), 0, frame);
  const { pools, rttMs } = withinLimitOf(frame, (id) => id);
  return { pools: Array.from(pools, (id) => names.nameOf(id)), rttMs: [...rttMs] };
}

/** One session, as demand counts it: a part at each pool that is as near as its nearest. */
export function partsOfArrival({ pools, rttMs }: TriedChoice): Map<string, number> {
  const parts = new Float64Array(pools.length);
  addDemand(parts, { pools: [...pools.keys()], rttMs, from: 0, to: pools.length }, 1);
  return new Map(pools.flatMap((name, at) => ((parts[at] ?? 0) > 0 ? [[name, parts[at] ?? 0]] : [])));
}
