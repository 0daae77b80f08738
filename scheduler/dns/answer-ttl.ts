/** Decides how long resolvers may keep an answer: short where the choice may soon be another. Pure. */

/** Nearer than this, a few measurements turn the choice. */
const CONTESTED_MS = 5;
const CONTESTED_TTL_SECONDS_MAX = 30;
/** What has held for four times as long will mostly hold for as long again. */
const HELD_PER_TTL = 4;

export interface TtlBounds {
  readonly ttlSecondsMin: number;
  readonly ttlSecondsMax: number;
}

export interface ChoiceStanding {
  /** How long the same edge has been the best. */
  readonly heldMs: number;
  /** Its link is up, and it is heard of. */
  readonly isWell: boolean;
  /** To the best edge of another pool; `undefined` where there is none. */
  readonly marginMs: number | undefined;
}

export function ttlSecondsOf(
  { heldMs, isWell, marginMs }: ChoiceStanding,
  { ttlSecondsMin, ttlSecondsMax }: TtlBounds,
): number {
  if (!isWell) return ttlSecondsMin;
  const isContested = marginMs !== undefined && marginMs < CONTESTED_MS;
  const bound = isContested ? Math.min(ttlSecondsMax, CONTESTED_TTL_SECONDS_MAX) : ttlSecondsMax;
  const earned = Math.floor(heldMs / 1000 / HELD_PER_TTL);
  return Math.max(ttlSecondsMin, Math.min(bound, earned));
}
