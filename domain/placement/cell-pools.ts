/**
 * The pools of a table as a client cell sees them: first a shortlist of those near and some of the regions beyond, then
 * all others by distance. Pure.
 *
 * Decisions go by the shortlist. Only where nothing on it fits are the others looked at, a block at a time: a metro that
 * is full strands nobody whom any pool within the limit could take.
 */
import { RTT_SOURCES, type RttSource } from "./candidate.ts";
import { decidePlacement } from "./decision.ts";
import { type DecisionFrame, NOWHERE, SOURCE_SHIFT } from "./decision-frame.ts";
import type { PoolTable, TabledRules } from "./pool-table.ts";

/** Over 10,000 nodes in pools, 32 pools strand 2 % at 80 % load (DESIGN section 8). */
export const SHORTLIST_POOLS_MAX = 32;
/** Of the shortlist: the nearest pool of each of so many regions that have none among the nearest. */
const OVERFLOW_REGIONS_MAX = 8;

/** By index of the table: what to expect of each pool from the cell. */
export interface CellRtt {
  rttMsOf(pool: number): number;
  sourceOf(pool: number): RttSource;
  /** `NaN` where the cell's place is unknown. */
  geographyMsOf(pool: number): number;
}

/**
 * Of a pool's row: its index with the source above it, RTT, and RTT by geography. One array in single precision, a
 * shortlist in six lines of the processor's cache: among thousands of cells a decision waits for these most of all.
 */
const ROW = 3;
const SOURCE_UNIT = 2 ** 16;

/** Rows in blocks of `SHORTLIST_POOLS_MAX`, the first of which is the shortlist; within a block by the pools' names. */
export type CellPools = Float32Array;

/** A table with a policy's rules by its pools. */
export interface PlacementView {
  readonly table: PoolTable;
  readonly rules: TabledRules;
}

/** What of one session is no pool's. */
export interface SessionAsk {
  readonly budgetMs: number;
  readonly decodeMs: number;
  readonly jitterMs: number;
  readonly serialisationMs: number;
  /** Index of the pool where it runs; `NOWHERE` for a new one. */
  readonly currentPool: number;
}

/** O(pools · log pools): for a change of the cell's round trips or of what pools there are. */
export function planCellPools(table: PoolTable, rtt: CellRtt): CellPools {
  const rttMs = Float32Array.from(table.names, (_, pool) => rtt.rttMsOf(pool));
  const byRtt = Uint16Array.from(table.names, (_, pool) => pool).sort(
    (a, b) => (rttMs[a] ?? 0) - (rttMs[b] ?? 0) || a - b,
  );
  const pools = shortlistFirst(table, byRtt);
  for (let start = 0; start < pools.length; start += SHORTLIST_POOLS_MAX) {
    pools.subarray(start, start + SHORTLIST_POOLS_MAX).sort();
  }
  const rows = new Float32Array(ROW * pools.length);
  for (const [at, pool] of pools.entries()) {
    const source = RTT_SOURCES.indexOf(rtt.sourceOf(pool)) << SOURCE_SHIFT;
    rows.set([source * SOURCE_UNIT + pool, rttMs[pool] ?? 0, rtt.geographyMsOf(pool)], ROW * at);
  }
  return rows;
}

/** Pools of the shortlist first, then of the blocks in turn; for a person's question, and tests. */
export function poolsOf(cell: CellPools): number[] {
  return Array.from({ length: cell.length / ROW }, (_, at) => (cell[ROW * at] ?? 0) % SOURCE_UNIT);
}

/** The shortlist as it is, with the round trips expected of it. */
export function shortlistOf(cell: CellPools): { readonly pool: number; readonly rttMs: number }[] {
  const pools = poolsOf(cell).slice(0, SHORTLIST_POOLS_MAX);
  return pools.map((pool, at) => ({ pool, rttMs: cell[ROW * at + 1] ?? 0 }));
}

/** Those that overflow are moved before others that are nearer; all else stays by distance. */
function shortlistFirst({ regions }: PoolTable, byRtt: Uint16Array): Uint16Array {
  const near = byRtt.subarray(0, SHORTLIST_POOLS_MAX - OVERFLOW_REGIONS_MAX);
  const seen = new Set(Array.from(near, (pool) => regions[pool]));
  const overflow = new Set<number>();
  for (const pool of byRtt) {
    const region = regions[pool];
    if (overflow.size >= OVERFLOW_REGIONS_MAX) break;
    if (seen.has(region)) continue;
    seen.add(region);
    overflow.add(pool);
  }
  const farther = byRtt.subarray(near.length).filter((pool) => !overflow.has(pool));
  return Uint16Array.from([...near, ...overflow, ...farther]);
}

/**
 * Decides by the shortlist; where nothing within the limit is on it, by the shortlist and one block after the other of
 * the rest. The frame holds what decided: the shortlist, and the first block with a fit if there is one. Allocates nothing.
 */
export function decideForCell(frame: DecisionFrame, view: PlacementView, cell: CellPools, ask: SessionAsk): void {
  loadAsk(frame, view, ask);
  const length = cell.length / ROW;
  const shortlisted = Math.min(length, SHORTLIST_POOLS_MAX);
  loadBlock(frame, view, cell, ask, 0);
  if (decidePlacement(frame) === "placed") return;
  let isAlone = true;
  for (let start = SHORTLIST_POOLS_MAX; start < length; start += SHORTLIST_POOLS_MAX) {
    if (!mayFit(cell, start, ask.budgetMs)) continue;
    loadBlock(frame, view, cell, ask, start);
    if (decidePlacement(frame) === "placed") return;
    isAlone = false;
  }
  if (isAlone) return;
  frame.count = shortlisted;
  if (frame.currentAt >= shortlisted) frame.currentAt = NOWHERE;
  decidePlacement(frame);
}

/** No limit is above the budget. */
function mayFit(cell: CellPools, start: number, budgetMs: number): boolean {
  const end = Math.min(cell.length, ROW * (start + SHORTLIST_POOLS_MAX));
  for (let row = ROW * start; row < end; row += ROW) if ((cell[row + 1] ?? 0) <= budgetMs) return true;
  return false;
}

function loadAsk(frame: DecisionFrame, { table, rules }: PlacementView, ask: SessionAsk): void {
  frame.currentAt = NOWHERE;
  frame.onNoFit = rules.onNoFit;
  frame.priceVersion = table.priceVersion;
  frame.policyRevision = rules.policyRevision;
  frame.budgetMs = ask.budgetMs;
  frame.decodeMs = ask.decodeMs;
  frame.jitterMs = ask.jitterMs;
  frame.serialisationMs = ask.serialisationMs;
  frame.capacityReserveRatio = rules.capacityReserveRatio;
  frame.stickinessMs = rules.stickinessMs;
}

/** The shortlist, or in addition to it the block that starts there, in place of an earlier one. */
function loadBlock(frame: DecisionFrame, view: PlacementView, cell: CellPools, ask: SessionAsk, start: number): void {
  const end = Math.min(cell.length, ROW * (start + SHORTLIST_POOLS_MAX));
  const first = start === 0 ? 0 : SHORTLIST_POOLS_MAX;
  if (frame.currentAt >= first) frame.currentAt = NOWHERE;
  let at = first;
  for (let row = ROW * start; row < end; row += ROW) {
    const pool = (cell[row] ?? 0) & (SOURCE_UNIT - 1);
    if (pool === ask.currentPool) frame.currentAt = at;
    frame.rttMs[at] = cell[row + 1] ?? 0;
    frame.geographyMs[at] = cell[row + 2] ?? 0;
    frame.rttErrorMs[at] = Number.NaN;
    loadPool(frame, at, view, pool);
    frame.flags[at] = (view.table.flags[pool] ?? 0) | ((cell[row] ?? 0) >>> 16);
    at += 1;
  }
  frame.count = at;
}

function loadPool(frame: DecisionFrame, at: number, { table, rules }: PlacementView, pool: number): void {
  frame.pools[at] = table.ids[pool] ?? 0;
  frame.unmet[at] = rules.unmet[pool] ?? 0;
  frame.renderEncodeMs[at] = table.renderEncodeMs[pool] ?? 0;
  frame.priceMs[at] = table.priceMs[pool] ?? 0;
  frame.preferenceMs[at] = rules.preferenceMs[pool] ?? 0;
  // A table is of all apps: what one scene lacks is in no column of it.
  frame.bundleMs[at] = 0;
  frame.slotsTotal[at] = table.slotsTotal[pool] ?? 0;
  frame.slotsFree[at] = table.slotsFree[pool] ?? 0;
  frame.expectedSessions[at] = table.expectedSessions[pool] ?? 0;
}
