/** All pools as columns by index, in the order of their names; replaced, never changed, when facts do. Pure. */
import { assert } from "../assert.ts";
import type { Coordinates } from "../geography.ts";
import type { PlacementRules } from "./candidate.ts";
import { CORDONED, DRAINING, REACHABLE } from "./decision-frame.ts";
import { firstUnmet, type Labels, preferenceMsOf } from "./labels.ts";
import type { PoolIds } from "./pool-ids.ts";

/** What two bytes count. */
const POOLS_MAX = 65_535;

/** What changes often; of one render class. */
export interface PoolState {
  readonly reachable: boolean;
  readonly cordoned: boolean;
  readonly draining: boolean;
  readonly slotsTotal: number;
  readonly slotsFree: number;
  readonly renderEncodeMsP95: number;
}

export interface TabledPool extends PoolState {
  readonly pool: string;
  readonly region: string;
  readonly labels: Labels;
  readonly coordinates: Coordinates;
}

export interface PoolTable {
  readonly count: number;
  readonly names: readonly string[];
  readonly indexOf: ReadonlyMap<string, number>;
  readonly labels: readonly Labels[];
  readonly coordinates: readonly Coordinates[];
  /** What records name the pools by. */
  readonly ids: Uint16Array;
  /** Which pools are of one region: the same number. */
  readonly regions: Uint16Array;
  /** As `DecisionFrame.flags`, without a source. */
  readonly flags: Uint8Array;
  readonly slotsTotal: Uint32Array;
  readonly slotsFree: Uint32Array;
  readonly renderEncodeMs: Float64Array;
  readonly priceMs: Float64Array;
  readonly priceVersion: number;
  /** As `DecisionFrame.expectedSessions`. */
  readonly expectedSessions: Float64Array;
}

/** At prices of zero, and with nothing expected. O(pools · log pools): for a change of what pools there are. */
export function makePoolTable(pools: readonly TabledPool[], ids: PoolIds): PoolTable {
  assert(pools.length <= POOLS_MAX, `a table holds ${POOLS_MAX} pools`);
  const ordered = pools.toSorted((a, b) => (a.pool < b.pool ? -1 : 1));
  const regions = new Map<string, number>();
  for (const { region } of ordered) if (!regions.has(region)) regions.set(region, regions.size);
  return {
    count: ordered.length,
    names: ordered.map(({ pool }) => pool),
    indexOf: new Map(ordered.map(({ pool }, index) => [pool, index])),
    labels: ordered.map(({ labels }) => labels),
    coordinates: ordered.map(({ coordinates }) => coordinates),
    ids: Uint16Array.from(ordered, ({ pool }) => ids.idOf(pool)),
    regions: Uint16Array.from(ordered, ({ region }) => regions.get(region) ?? 0),
    flags: Uint8Array.from(ordered, flagsOf),
    slotsTotal: Uint32Array.from(ordered, ({ slotsTotal }) => slotsTotal),
    slotsFree: Uint32Array.from(ordered, ({ slotsFree }) => slotsFree),
    renderEncodeMs: Float64Array.from(ordered, ({ renderEncodeMsP95 }) => renderEncodeMsP95),
    priceMs: new Float64Array(ordered.length),
    priceVersion: 0,
    expectedSessions: new Float64Array(ordered.length),
  };
}

/** O(pools), four short columns copied, however many change; what does not change is shared. Names that the table has not are passed over. */
export function withStates(table: PoolTable, states: ReadonlyMap<string, PoolState>): PoolTable {
  const { flags, slotsTotal, slotsFree, renderEncodeMs } = table;
  const copied = {
    flags: flags.slice(),
    slotsTotal: slotsTotal.slice(),
    slotsFree: slotsFree.slice(),
    renderEncodeMs: renderEncodeMs.slice(),
  };
  for (const [pool, state] of states) {
    const index = table.indexOf.get(pool);
    if (index === undefined) continue;
    copied.flags[index] = flagsOf(state);
    copied.slotsTotal[index] = state.slotsTotal;
    copied.slotsFree[index] = state.slotsFree;
    copied.renderEncodeMs[index] = state.renderEncodeMsP95;
  }
  return { ...table, ...copied };
}

/** O(1): the prices, by index, are taken as they are. */
export function withPrices(table: PoolTable, priceMs: Float64Array, priceVersion: number): PoolTable {
  assert(priceMs.length === table.count, "each pool has a price");
  return { ...table, priceMs, priceVersion };
}

/** O(1): what is expected, by index, is taken as it is. */
export function withExpected(table: PoolTable, expectedSessions: Float64Array): PoolTable {
  assert(expectedSessions.length === table.count, "of each pool something is expected, or 0");
  return { ...table, expectedSessions };
}

/** A policy's rules by the table's pools: what labels mean is found once and not in each decision. */
export interface TabledRules extends Pick<PlacementRules, "capacityReserveRatio" | "onNoFit" | "stickinessMs"> {
  readonly policyRevision: number;
  /** As `DecisionFrame.unmet` and `preferenceMs`. */
  readonly unmet: Uint16Array;
  readonly preferenceMs: Float64Array;
}

/** O(pools · requirements): for a change of the policy or of what pools there are; states and prices leave it. */
export function tableRules(table: PoolTable, rules: PlacementRules, policyRevision: number): TabledRules {
  const { capacityReserveRatio, onNoFit, stickinessMs, constraints, preferences } = rules;
  return {
    ...{ capacityReserveRatio, onNoFit, stickinessMs, policyRevision },
    unmet: Uint16Array.from(table.labels, (labels) => firstUnmet(labels, constraints)),
    preferenceMs: Float64Array.from(table.labels, (labels) => preferenceMsOf(labels, preferences)),
  };
}

function flagsOf({ reachable, cordoned, draining }: Pick<PoolState, "reachable" | "cordoned" | "draining">): number {
  return (reachable ? REACHABLE : 0) | (cordoned ? CORDONED : 0) | (draining ? DRAINING : 0);
}
