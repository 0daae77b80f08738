/** Whether a change keeps within what a policy says a change may do, by a simulation of it. Pure. */
import type { GuardRails } from "../policy/placement-policy.ts";
import { type Comparison, shareOf, sumOf } from "./compare-days.ts";
import type { ShareRow } from "./tally.ts";

export interface JudgedPolicy {
  readonly name: string;
  /** Of before and after: whose sessions are counted. */
  readonly apps: readonly string[];
  /** As it is and as it would be: both have to be kept, or a change could take its own rails away. */
  readonly rails: readonly GuardRails[];
}

export interface RailBreach {
  readonly rail: keyof GuardRails;
  readonly message: string;
}

export interface RailJudgement {
  readonly breaches: readonly RailBreach[];
  /** Why something could not be judged. */
  readonly notes: readonly string[];
}

/** Less than this is rounding. */
const POINTS_MIN = 1e-6;

export function judgeRails(comparison: Comparison, policy: JudgedPolicy): RailJudgement {
  const { before, after } = comparison;
  const isAsked = [before, after].some(({ policies }) => policies.has(policy.name));
  if (!isAsked) {
    const message = `guard-rails of ${policy.name} are not judged: it applies to no session of the simulated day`;
    return { breaches: [], notes: [message] };
  }
  const isOf = ({ app }: ShareRow) => policy.apps.includes(app);
  const measured = measure(before.shares.filter(isOf), after.shares.filter(isOf), comparison);
  const breaches = policy.rails.flatMap((rails) => breachesOf(rails, measured));
  const distinct = new Map(breaches.map((breach) => [breach.message, breach]));
  return { breaches: [...distinct.values()], notes: notesOfFill(comparison, policy) };
}

function notesOfFill({ unsizedApps }: Comparison, { name, apps, rails }: JudgedPolicy): string[] {
  const unsized = unsizedApps.filter((app) => apps.includes(app));
  if (unsized.length === 0 || rails.every(({ fillBytesMax }) => fillBytesMax === undefined)) return [];
  const whose = `the bundle of ${unsized.join(", ")}`;
  return [`guardRails.fillBytesMax of ${name} is judged without ${whose}: how large it is, is not known`];
}

interface Measured {
  readonly sessions: number;
  readonly shareBefore: number;
  readonly shareAfter: number;
  readonly awayBefore: number;
  readonly awayAfter: number;
  readonly moves: number;
  /** More than before. */
  readonly fillBytes: number;
}

function measure(before: readonly ShareRow[], after: readonly ShareRow[], compared: Comparison): Measured {
  const away = (rows: readonly ShareRow[]) =>
    sumOf(rows, ({ turnedAway }) => turnedAway) / sumOf(rows, ({ sessions }) => sessions);
  return {
    sessions: Math.round(sumOf(after, ({ sessions }) => sessions)),
    ...{ shareBefore: shareOf(before), shareAfter: shareOf(after) },
    ...{ awayBefore: away(before), awayAfter: away(after) },
    moves: Math.round(compared.moves),
    fillBytes: compared.after.fillBytes - compared.before.fillBytes,
  };
}

function breachesOf(rails: GuardRails, measured: Measured): RailBreach[] {
  const { sessions, shareBefore, shareAfter, awayBefore, awayAfter, moves, fillBytes } = measured;
  const breaches: RailBreach[] = [];
  const fall = 100 * (shareBefore - shareAfter);
  const within = `${percent(shareAfter)} of ${sessions} sessions would be within their limit, ${percent(shareBefore)} are`;
  const {
    shareWithinLimitMin: least,
    shareWithinLimitMayFallByPoints: mayFall,
    refusalsMayRiseByPoints: mayRise,
  } = rails;
  // What is below it already may rise.
  if (least !== undefined && shareAfter < least && fall > POINTS_MIN) {
    breaches.push({ rail: "shareWithinLimitMin", message: `${within}; shareWithinLimitMin is ${percent(least)}` });
  }
  if (mayFall !== undefined && fall > mayFall + POINTS_MIN) {
    const message = `${within}: ${fall.toFixed(1)} points less; shareWithinLimitMayFallByPoints is ${mayFall}`;
    breaches.push({ rail: "shareWithinLimitMayFallByPoints", message });
  }
  const rise = 100 * (awayAfter - awayBefore);
  if (mayRise !== undefined && rise > mayRise + POINTS_MIN) {
    const message = `${percent(awayAfter)} of ${sessions} sessions would be refused or told to wait, ${percent(awayBefore)} are: ${rise.toFixed(1)} points more; refusalsMayRiseByPoints is ${mayRise}`;
    breaches.push({ rail: "refusalsMayRiseByPoints", message });
  }
  if (rails.movesMax !== undefined && moves > rails.movesMax) {
    const message = `${moves} sessions would have to move at the busiest time; movesMax is ${rails.movesMax}`;
    breaches.push({ rail: "movesMax", message });
  }
  if (rails.fillBytesMax !== undefined && fillBytes > rails.fillBytesMax) {
    const message = `pools would have to fetch ${fillBytes} bytes of scene bundles more; fillBytesMax is ${rails.fillBytesMax}`;
    breaches.push({ rail: "fillBytesMax", message });
  }
  return breaches;
}

function percent(ratio: number): string {
  return `${(100 * ratio).toFixed(1)} %`;
}
