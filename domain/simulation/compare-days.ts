/** What differs between two simulations of the same day, and who loses. Pure. */
import { TIERS, type Tier } from "../policy/placement-policy.ts";
import type { Day } from "./day.ts";
import { DayRun, simulateDay, type World } from "./simulate-day.ts";
import type { DaySummary, GroupRow, ShareRow } from "./tally.ts";

/** A person reads no more. */
export const LOSERS_MAX = 20;
/** A mean that rises by less is no loss that anybody feels. */
const RTT_LOSS_MS_MIN = 0.5;

export interface Loser {
  readonly group: string;
  /** Of before. */
  readonly sessions: number;
  /** Sessions that were within their limit and are not. */
  readonly lost: number;
  readonly shareBefore: number;
  readonly shareAfter: number;
  readonly rttMsBefore: number;
  readonly rttMsAfter: number;
}

export interface ShareDelta {
  readonly region: string;
  readonly tier: Tier;
  readonly sessions: number;
  /** Ratios; `NaN` where nobody came. */
  readonly before: number;
  readonly after: number;
}

export interface Transition {
  /** Sessions that ran at the busiest time and had to go elsewhere. */
  readonly moves: number;
  /** Of those whose pool is gone, who got a slot nowhere. */
  readonly lost: number;
}

export interface Comparison extends Transition {
  readonly before: DaySummary;
  readonly after: DaySummary;
  readonly shares: readonly ShareDelta[];
  readonly losers: readonly Loser[];
  /** Apps of whose bundles the size is not known: they count as nothing in what is filled. */
  readonly unsizedApps: readonly string[];
}

/** Three simulations: the day as before, as after, and what has to move when one becomes the other. */
export function compareDays(day: Day, before: World, after: World): Comparison {
  const [was, is] = [simulateDay(day, before), simulateDay(day, after)];
  const transition = countMoves(day, before, after);
  const unsizedApps = day.apps.filter(({ bundle }) => bundle?.bytes === undefined).map(({ name }) => name);
  const deltas = { shares: shareDeltas(was, is), losers: listLosers(was, is) };
  return { before: was, after: is, ...transition, ...deltas, unsizedApps };
}

/**
 * Up to the busiest time as before, and then all at once as after: who runs where it no longer may is placed again. Who
 * fits nowhere goes on where it is, as at a renewal, unless its pool is gone.
 */
export function countMoves(day: Day, before: World, after: World): Transition {
  const first = new DayRun(day, before);
  first.runUntil(day.busiestSeconds);
  const second = new DayRun(day, after);
  second.adoptPrices(first);
  const running = first.listRunning();
  const displaced = running.filter((session) => !second.mayStay(session));
  const gone = new Set(displaced);
  for (const session of running) if (!gone.has(session)) second.hold(session);
  let moves = 0;
  let lost = 0;
  for (const session of displaced) {
    if (second.replace(session)) moves += 1;
    else if (!second.hold(session)) lost += 1;
  }
  const { slotsPerArrival } = day;
  return { moves: slotsPerArrival * moves, lost: slotsPerArrival * lost };
}

/** Within the limit; `NaN` where nobody came. */
export function shareOf(rows: readonly Pick<ShareRow, "sessions" | "withinLimit">[]): number {
  return sumOf(rows, ({ withinLimit }) => withinLimit) / sumOf(rows, ({ sessions }) => sessions);
}

export function sumOf<T>(rows: readonly T[], pick: (row: T) => number): number {
  return rows.reduce((sum, row) => sum + pick(row), 0);
}

function shareDeltas(before: DaySummary, after: DaySummary): ShareDelta[] {
  const regions = [...new Set(before.shares.map(({ region }) => region))].sort();
  return regions.flatMap((region) =>
    TIERS.flatMap((tier) => {
      const of = ({ shares }: DaySummary) => shares.filter((row) => row.region === region && row.tier === tier);
      const sessions = sumOf(of(before), (row) => row.sessions);
      return sessions === 0 ? [] : [{ region, tier, sessions, before: shareOf(of(before)), after: shareOf(of(after)) }];
    }),
  );
}

/** Those first of whom most sessions lose their limit; then those whose round trips rise most in sum. */
function listLosers(before: DaySummary, after: DaySummary): readonly Loser[] {
  const losers = before.groups.flatMap((row, at): Loser[] => {
    const later = after.groups[at];
    if (later === undefined || row.sessions === 0 || later.sessions === 0) return [];
    const loser = loserOf(row, later);
    return loser.lost > 0 || risenMs(loser) > RTT_LOSS_MS_MIN ? [loser] : [];
  });
  const weight = (loser: Loser) => Math.max(0, risenMs(loser)) * loser.sessions;
  return losers.sort((a, b) => b.lost - a.lost || weight(b) - weight(a)).slice(0, LOSERS_MAX);
}

function loserOf(row: GroupRow, later: GroupRow): Loser {
  const [shareBefore, shareAfter] = [shareOf([row]), shareOf([later])];
  return {
    group: row.group,
    sessions: row.sessions,
    // At another load as many come as before.
    lost: Math.max(0, Math.round((shareBefore - shareAfter) * row.sessions)),
    ...{ shareBefore, shareAfter, rttMsBefore: row.rttMsMean, rttMsAfter: later.rttMsMean },
  };
}

/** Not a number where nobody got a slot. */
function risenMs({ rttMsBefore, rttMsAfter }: Loser): number {
  return rttMsAfter - rttMsBefore;
}
