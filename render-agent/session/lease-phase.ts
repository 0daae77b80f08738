/** The phases of a lease: one total table, from which SPEC.md and the tests read. Pure. */
import { assert } from "#domain/assert.ts";

/** `granting`: its process is set up. `ending`: its process is told to go and still holds the slot. */
export type LeasePhase = "granting" | "live" | "ending" | "ended";
export type LeaseEvent = "process-answered" | "told-to-end" | "process-gone";

/** `null`: cannot happen; a bug where it does. */
export const LEASE_TRANSITIONS: Readonly<Record<LeasePhase, Readonly<Record<LeaseEvent, LeasePhase | null>>>> = {
  granting: { "process-answered": "live", "told-to-end": "ending", "process-gone": "ended" },
  live: { "process-answered": "live", "told-to-end": "ending", "process-gone": "ended" },
  ending: { "process-answered": "ending", "told-to-end": "ending", "process-gone": "ended" },
  ended: { "process-answered": null, "told-to-end": null, "process-gone": null },
};

/** A lease holds its slot until its process is gone. */
export function holdsSlot(phase: LeasePhase): boolean {
  return phase !== "ended";
}

export function nextPhase(phase: LeasePhase, event: LeaseEvent): LeasePhase {
  const next = LEASE_TRANSITIONS[phase][event];
  assert(next !== null, `a lease that is ${phase} takes no ${event}`);
  return next;
}
