/**
 * By which rule a session that runs may move: a hard break once a second reading has shown it, a soft degradation when
 * it is sustained, anything else as an opportunity that has lasted; the last two not soon after a move. Pure.
 */
import type { Stability } from "../policy/placement-policy.ts";
import {
  concludeMove,
  GAIN_DEFAULT,
  GAINS_MIN,
  type GainMin,
  judgeReading,
  type PoolReading,
  type SessionStability,
  settle,
} from "./stability.ts";

/** A path that is bad for half a minute is bad, and a client renews twice in it. */
const SUSTAINED_SECONDS_DEFAULT = 30;
/** A session that has moved stays for so many times what a gain has to last: a link that recovers must show that it stays so. */
const DWELL_FACTOR = 4;
/** Between the two readings of a break: a burst that held up one probe is over by then. */
export const BREAK_CONFIRMED_MS_MIN = 500;

export interface MoveTerms {
  readonly gainMin: GainMin;
  readonly sustainedMs: number;
  readonly dwellMs: number;
}

/** `stickinessMs` is the policy's; what it says in `stability` goes before what holds by default. */
export function moveTermsOf(stickinessMs: number, { gainMs, gainRatio, sustainedSeconds }: Stability = {}): MoveTerms {
  const sustainedMs = (sustainedSeconds ?? SUSTAINED_SECONDS_DEFAULT) * 1000;
  return {
    gainMin: {
      gainMs: gainMs ?? Math.max(stickinessMs, GAIN_DEFAULT.gainMs),
      gainRatio: gainRatio ?? GAIN_DEFAULT.gainRatio,
    },
    sustainedMs,
    dwellMs: DWELL_FACTOR * sustainedMs,
  };
}

export type MoveRule =
  /** `because` is a sentence's part. */
  | { readonly kind: "hard-break"; readonly because: string }
  /** Of the smoothed round trip, since when, and how many readings running show it. */
  | { readonly kind: "soft-degradation"; readonly gainMs: number; readonly forMs: number; readonly gains: number }
  /** Its round trips are no reason; price, preference, class or a slot that freed may be. */
  | { readonly kind: "opportunistic"; readonly forMs: number };

/** What is remembered of a session between its renewals. */
export interface MoveHistory {
  readonly stability: SessionStability;
  /** The first of the readings running beyond the limit. */
  readonly brokenSinceMs: number | undefined;
  /** The first of the readings running that show a gain. */
  readonly degradedSinceMs: number | undefined;
  /** From when on each renewal has found a better pool. */
  readonly betterSinceMs: number | undefined;
  /** Undefined before the first move. */
  readonly movedAtMs: number | undefined;
}

const NOTHING_SINCE = { brokenSinceMs: undefined, degradedSinceMs: undefined, betterSinceMs: undefined };

/** Of a session that runs in `pool`; one that was thought to run elsewhere is judged anew. */
export function historyAt(pool: string, known: MoveHistory | undefined): MoveHistory {
  if (known?.stability.pool === pool) return known;
  return { ...NOTHING_SINCE, movedAtMs: known?.movedAtMs, stability: settle(pool, []) };
}

export interface JudgedRenewal {
  readonly history: MoveHistory;
  readonly rule: MoveRule;
  /** Why it may not move yet; undefined where it may. */
  readonly wait: string | undefined;
}

/** One renewal of a session whose pool could keep it, by a reading of its own pool and of others that would take it. */
export function judgeRenewal(
  before: MoveHistory,
  readings: readonly PoolReading[],
  terms: MoveTerms,
  nowMs: number,
): JudgedRenewal {
  const { stability, move, gainMs } = judgeReading(before.stability, readings, terms.gainMin);
  if (move?.because === "break") {
    const brokenSinceMs = before.brokenSinceMs ?? nowMs;
    const history = { ...before, stability, brokenSinceMs, degradedSinceMs: undefined };
    const rule = { kind: "hard-break", because: explainBreak(stability.pool, readings) } as const;
    const isConfirmed = nowMs - brokenSinceMs >= BREAK_CONFIRMED_MS_MIN;
    return { history, rule, wait: isConfirmed ? undefined : `${explainRule(rule)}, seen once` };
  }
  const unbroken = { ...before, stability, brokenSinceMs: undefined };
  if (gainMs === undefined) {
    const forMs = nowMs - (before.betterSinceMs ?? nowMs);
    const rule = { kind: "opportunistic", forMs } as const;
    const wait = forMs < terms.sustainedMs ? explainFor("better", forMs, terms) : dwellOf(before, terms, nowMs);
    return { history: { ...unbroken, degradedSinceMs: undefined }, rule, wait };
  }
  const degradedSinceMs = before.degradedSinceMs ?? nowMs;
  const rule = { kind: "soft-degradation", gainMs, forMs: nowMs - degradedSinceMs, gains: stability.gains } as const;
  const wait = waitOfSoft(rule, terms, move !== undefined) ?? dwellOf(before, terms, nowMs);
  return { history: { ...unbroken, degradedSinceMs }, rule, wait };
}

/** What came of the renewal. */
export function concludeRenewal(
  before: MoveHistory,
  end: { readonly movedTo: string } | { readonly isBetterElsewhere: boolean },
  nowMs: number,
): MoveHistory {
  const isLeaving = before.stability.phase === "leaving";
  if ("movedTo" in end) {
    const stability = isLeaving ? concludeMove(before.stability, end) : settle(end.movedTo, []);
    return { ...NOTHING_SINCE, stability, movedAtMs: nowMs };
  }
  const stability = isLeaving ? concludeMove(before.stability, "refused") : before.stability;
  const betterSinceMs = end.isBetterElsewhere ? (before.betterSinceMs ?? nowMs) : undefined;
  return { ...before, stability, betterSinceMs };
}

export function explainRule(rule: MoveRule): string {
  switch (rule.kind) {
    case "hard-break":
      return `hard break, ${rule.because}`;
    case "soft-degradation":
      return `soft degradation of ${rule.gainMs.toFixed(1)} ms for ${secondsOf(rule.forMs)} s, ${rule.gains} of ${GAINS_MIN} readings`;
    case "opportunistic":
      return "opportunistic, its smoothed round trips are no reason to move";
  }
}

function waitOfSoft(
  { gainMs, forMs, gains }: Extract<MoveRule, { kind: "soft-degradation" }>,
  terms: MoveTerms,
  isSustained: boolean,
): string | undefined {
  if (isSustained && forMs >= terms.sustainedMs) return undefined;
  const isSeldom = gains < GAINS_MIN ? `, ${gains} of ${GAINS_MIN} readings` : "";
  const isOver = !isSustained && gains >= GAINS_MIN ? ", not in the last reading" : "";
  return `${explainFor(`soft degradation of ${gainMs.toFixed(1)} ms`, forMs, terms)}${isSeldom}${isOver}`;
}

function dwellOf({ movedAtMs }: MoveHistory, { dwellMs }: MoveTerms, nowMs: number): string | undefined {
  if (movedAtMs === undefined || nowMs - movedAtMs >= dwellMs) return undefined;
  return `it has moved and dwells, ${secondsOf(nowMs - movedAtMs)} s of ${secondsOf(dwellMs)} s`;
}

function explainBreak(pool: string, readings: readonly PoolReading[]): string {
  const own = readings.find((reading) => reading.pool === pool);
  if (own === undefined) return `${pool} does not answer`;
  return `${pool} at RTT ${own.rttMs.toFixed(1)} ms is beyond its limit of ${own.rttLimitMs.toFixed(1)} ms`;
}

function explainFor(what: string, forMs: number, { sustainedMs }: MoveTerms): string {
  return `${what} for ${secondsOf(forMs)} s of ${secondsOf(sustainedMs)} s`;
}

function secondsOf(ms: number): number {
  return Math.floor(ms / 1000);
}
