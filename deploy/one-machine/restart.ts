/** Decides what to do about a program that has ended by itself. Pure. */

/** A program that ends so often in a row has a fault that another start does not mend. */
export const RESTARTS_IN_A_ROW_MAX = 6;
/** It lived for so long: what ended it now has nothing to do with how it starts. */
const LIVED_MS_MIN = 30_000;
const WAIT_MS_BASE = 500;
const WAIT_MS_MAX = 15_000;

export type RestartDecision =
  | { readonly kind: "restart"; readonly afterMs: number; readonly inARow: number }
  | { readonly kind: "give-up"; readonly inARow: number };

/** `inARow`: restarts so far since it last lived long. One starter of few programs: the waits need no jitter. */
export function decideRestart({ livedMs, inARow }: { livedMs: number; inARow: number }): RestartDecision {
  const before = livedMs >= LIVED_MS_MIN ? 0 : inARow;
  if (before >= RESTARTS_IN_A_ROW_MAX) return { kind: "give-up", inARow: before };
  return { kind: "restart", afterMs: Math.min(WAIT_MS_MAX, WAIT_MS_BASE * 2 ** before), inARow: before + 1 };
}
