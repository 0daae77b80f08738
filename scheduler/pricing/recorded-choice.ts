/** What a session could choose from, as its decision's record has it: the pools within its limit, as it measured them itself. */
import { FILTER_RULES } from "#domain/placement/candidate.ts";
import { addDemand } from "#domain/placement/contention.ts";
import { DecisionFrame } from "#domain/placement/decision-frame.ts";
import { decodeDecision } from "#domain/placement/decision-record.ts";
import type { PoolIds } from "#domain/placement/pool-ids.ts";
import type { TriedChoice } from "./demand-counter.ts";

/** From here on a candidate is permitted and within the limit, whatever else it fails: that depends on who was before. */
const WITHIN_LIMIT_FROM = FILTER_RULES.indexOf("no-free-slot") + 1;

const frame = new DecisionFrame();

export function readChoice(decision: Uint8Array, names: PoolIds): TriedChoice {
  decodeDecision(new DataView(decision.buffer, decision.byteOffset, decision.byteLength), 0, frame);
  const pools: string[] = [];
  const rttMs: number[] = [];
  for (let at = 0; at < frame.count; at += 1) {
    const code = frame.codes[at] ?? 0;
    if (code !== 0 && code < WITHIN_LIMIT_FROM) continue;
    pools.push(names.nameOf(frame.pools[at] ?? 0));
    rttMs.push(frame.rttMs[at] ?? 0);
  }
  return { pools, rttMs };
}

/** One session, as demand counts it: a part at each pool that is as near as its nearest. */
export function partsOfArrival({ pools, rttMs }: TriedChoice): Map<string, number> {
  const parts = new Float64Array(pools.length);
  addDemand(parts, { pools: [...pools.keys()], rttMs, from: 0, to: pools.length }, 1);
  return new Map(pools.flatMap((name, at) => ((parts[at] ?? 0) > 0 ? [[name, parts[at] ?? 0]] : [])));
}
