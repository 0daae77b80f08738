/**
 * Decides when a running session is worth moving: at once when its pool breaks its limit and another would keep it, after
 * a sustained and relative gain when another is merely better, else not at all. Pure: the caller jitters and budgets moves.
 */
import { assert } from "../assert.ts";

/** Gain of the smoothed round trips: half of what was is gone after two readings. */
const SMOOTHING_GAIN = 0.3;
/** A reading counts as so many limits at most: one that was lost must not be remembered for long. */
const CLIP_LIMITS = 10;
/** Less than this is not worth a migration, unless an operator says so. */
export const GAIN_DEFAULT: GainMin = { gainMs: 5, gainRatio: 1 / 3 };
/** Where no pool keeps the limit, only one that takes half of the time off is worth leaving for at once. */
const BREAK_GAIN_RATIO_MIN = 1 / 2;
/** Readings running that have to show a gain. */
export const GAINS_MIN = 3;

/** A gain is more than both. */
export interface GainMin {
  readonly gainMs: number;
  /** Of what the session has now. */
  readonly gainRatio: number;
}

export const PHASES = ["settled", "wavering", "leaving"] as const;
export type Phase = (typeof PHASES)[number];
export const EVENTS = ["no-gain", "gain", "sustained-gain", "break", "moved", "refused"] as const;
export type Event = (typeof EVENTS)[number];

/** `null`: cannot happen. A move that its destination refuses leaves the session where it was, to be judged anew. */
export const TRANSITIONS: Readonly<Record<Phase, Readonly<Record<Event, Phase | null>>>> = {
  settled: {
    ...{ "no-gain": "settled", gain: "wavering", "sustained-gain": null, break: "leaving" },
    ...{ moved: null, refused: null },
  },
  wavering: {
    ...{ "no-gain": "settled", gain: "wavering", "sustained-gain": "leaving", break: "leaving" },
    ...{ moved: null, refused: null },
  },
  leaving: {
    ...{ "no-gain": "settled", gain: "wavering", "sustained-gain": "leaving", break: "leaving" },
    ...{ moved: "settled", refused: "wavering" },
  },
};

export interface PoolReading {
  readonly pool: string;
  /** Infinite where it did not answer. */
  readonly rttMs: number;
  /** What the session's budget leaves for the network there. */
  readonly rttLimitMs: number;
}

export interface SessionStability {
  readonly phase: Phase;
  readonly pool: string;
  /** Readings running that showed a gain. */
  readonly gains: number;
  /** Of the pools in the last reading only. */
  readonly smoothedMs: ReadonlyMap<string, number>;
}

export type Move = {
  readonly to: string;
  /** A break may be jittered over seconds and no more; a gain can wait for a quiet time. */
  readonly because: "break" | "sustained-gain";
  readonly gainMs: number;
};

export interface StabilityStep {
  readonly stability: SessionStability;
  /** Undefined to stay. Told how it ended by `concludeMove`. */
  readonly move: Move | undefined;
  /** Of the smoothed round trips, whether it lasts or not; undefined where there is none. */
  readonly gainMs?: number | undefined;
}

/** A session that has just been placed. */
export function settle(pool: string, readings: readonly PoolReading[]): SessionStability {
  return { phase: "settled", pool, gains: 0, smoothedMs: smooth(new Map(), readings) };
}

/** One reading of the session's own pool and of others that would take it. */
export function judgeReading(
  before: SessionStability,
  readings: readonly PoolReading[],
  gainMin: GainMin = GAIN_DEFAULT,
): StabilityStep {
  const smoothedMs = smooth(before.smoothedMs, readings);
  const current = readings.find(({ pool }) => pool === before.pool) ?? lostPool(before.pool);
  const way = findEscape(current, readings, smoothedMs);
  if (way !== undefined) return step({ ...before, gains: 0, smoothedMs }, "break", way);
  const better = findBetter(current, readings, { smoothedMs, gainMin });
  if (better === undefined) return step({ ...before, gains: 0, smoothedMs }, "no-gain", undefined);
  const gains = Math.min(GAINS_MIN, before.gains + 1);
  const { gainMs } = better;
  // Smoothing lags: what the last reading does not show is over.
  const isThereNow = isGain(current.rttMs, better.reading.rttMs, gainMin);
  if (gains < GAINS_MIN || !isThereNow) return { ...step({ ...before, gains, smoothedMs }, "gain", undefined), gainMs };
  const move: Move = { to: better.reading.pool, because: "sustained-gain", gainMs };
  return { ...step({ ...before, gains, smoothedMs }, "sustained-gain", move), gainMs };
}

export function concludeMove(
  before: SessionStability,
  end: { readonly movedTo: string } | "refused",
): SessionStability {
  const phase = nextPhase(before.phase, end === "refused" ? "refused" : "moved");
  return end === "refused" ? { ...before, phase } : { ...before, phase, pool: end.movedTo, gains: 0 };
}

function step(before: SessionStability, event: Event, move: Move | undefined): StabilityStep {
  return { stability: { ...before, phase: nextPhase(before.phase, event) }, move };
}

function nextPhase(phase: Phase, event: Event): Phase {
  const next = TRANSITIONS[phase][event];
  assert(next !== null, `${event} while ${phase}`);
  return next;
}

function lostPool(pool: string): PoolReading {
  return { pool, rttMs: Number.POSITIVE_INFINITY, rttLimitMs: 0 };
}

/** Where to go at once; undefined while the session's own pool keeps its limit, or no other does much better. */
function findEscape(
  current: PoolReading,
  readings: readonly PoolReading[],
  smoothedMs: ReadonlyMap<string, number>,
): Move | undefined {
  if (keepsLimit(current)) return undefined;
  const calm = ({ pool }: PoolReading) => smoothedMs.get(pool) ?? Number.POSITIVE_INFINITY;
  let best = current;
  for (const reading of readings) {
    const isNearer = reading.rttMs < best.rttMs || (reading.rttMs === best.rttMs && calm(reading) < calm(best));
    if (keepsLimit(reading) === keepsLimit(best) ? isNearer : keepsLimit(reading)) best = reading;
  }
  const gainMs = current.rttMs - best.rttMs;
  const isWorthIt =
    keepsLimit(best) || (gainMs > GAIN_DEFAULT.gainMs && best.rttMs < (1 - BREAK_GAIN_RATIO_MIN) * current.rttMs);
  return best.pool !== current.pool && isWorthIt ? { to: best.pool, because: "break", gainMs } : undefined;
}

/** The pool with the lowest smoothed round trip, where that is a gain; from within the limit only to another within. */
function findBetter(
  current: PoolReading,
  readings: readonly PoolReading[],
  { smoothedMs, gainMin }: { readonly smoothedMs: ReadonlyMap<string, number>; readonly gainMin: GainMin },
): { reading: PoolReading; gainMs: number } | undefined {
  const calmMs = ({ pool }: PoolReading) => smoothedMs.get(pool) ?? Number.POSITIVE_INFINITY;
  let best = current;
  for (const reading of readings) {
    const isAllowed = keepsLimit(reading) || !keepsLimit(current);
    if (isAllowed && calmMs(reading) < calmMs(best)) best = reading;
  }
  if (!isGain(calmMs(current), calmMs(best), gainMin)) return undefined;
  return { reading: best, gainMs: calmMs(current) - calmMs(best) };
}

function isGain(fromMs: number, toMs: number, { gainMs, gainRatio }: GainMin): boolean {
  return fromMs - toMs > gainMs && toMs < (1 - gainRatio) * fromMs;
}

function keepsLimit({ rttMs, rttLimitMs }: PoolReading): boolean {
  return rttMs <= rttLimitMs;
}

function smooth(before: ReadonlyMap<string, number>, readings: readonly PoolReading[]): Map<string, number> {
  const smoothedMs = new Map<string, number>();
  for (const { pool, rttMs, rttLimitMs } of readings) {
    const clippedMs = Math.min(rttMs, CLIP_LIMITS * Math.max(1, rttLimitMs));
    const known = before.get(pool);
    smoothedMs.set(pool, known === undefined ? clippedMs : known + SMOOTHING_GAIN * (clippedMs - known));
  }
  return smoothedMs;
}
