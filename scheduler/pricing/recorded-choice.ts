/** What a session could choose from, as its decision's record has it: the pools within its limit, as it measured them itself. */
import { FILTER_RULES } from "#domain/placement/candidate.ts";
import { addDemand } from "#domain/placement/contention.ts";
import { DecisionFrame } from "#domain/placement/decision-frame.ts";
import { decodeDecision } from "#domain/placement/decision-record.ts";
import type { PoolIds } from "#domain/placement/pool-ids.ts";

/** From here on a candidate is permitted and within the limit, whatever else it fails: that depends on who was before. */
const WITHIN_LIMIT_FROM = FILTER_RULES.indexOf("no-free-slot") + 1;

const frame = new DecisionFrame();

/** Each of them by name, with its round trip. */
export function visitChoice(decision: Uint8Array, pools: PoolIds, visit: (pool: string, rttMs: number) => void): void {
  decodeDecision(new DataView(decision.buffer, decision.byteOffset, decision.byteLength), 0, frame);
  for (let at = 0; at < frame.count; at += 1) {
    const code = frame.codes[at] ?? 0;
    if (code !== 0 && code < WITHIN_LIMIT_FROM) continue;
    visit(pools.nameOf(frame.pools[at] ?? 0), frame.rttMs[at] ?? 0);
  }
}

/** One session, as demand counts it: a part at each pool that is as near as its nearest. */
export function partsOfArrival(decision: Uint8Array, pools: PoolIds): Map<string, number> {
  const names: string[] = [];
  const rttMs: number[] = [];
  visitChoice(decision, pools, (pool, ms) => {
    names.push(pool);
    rttMs.push(ms);
  });
  const parts = new Float64Array(names.length);
  addDemand(parts, { pools: [...names.keys()], rttMs, from: 0, to: names.length }, 1);
  return new Map(names.flatMap((name, at) => ((parts[at] ?? 0) > 0 ? [[name, parts[at] ?? 0]] : [])));
}
