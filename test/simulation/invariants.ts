/** All invariants of the simulation: which hold after each step, and which at the end, once faults have ended. */
import { acknowledgedWritesSurvive } from "./invariants/acknowledged-writes-survive.ts";
import { appliedNeverRegresses } from "./invariants/applied-never-regresses.ts";
import type { Check } from "./invariants/check.ts";
import { converges } from "./invariants/converges.ts";
import { deadLinkNoticed } from "./invariants/dead-link-noticed.ts";
import { healthyNeverDown } from "./invariants/healthy-never-down.ts";
import { purgesOnceInOrder } from "./invariants/purges-once-in-order.ts";
import { queuesBounded } from "./invariants/queues-bounded.ts";
import { relaysHearTheOrigin } from "./invariants/relays-hear-the-origin.ts";
import { reportsExactlyOnce } from "./invariants/reports-exactly-once.ts";
import { restoredOrigin } from "./invariants/restored-origin.ts";
import { setEqualsLog } from "./invariants/set-equals-log.ts";
import { waysSettle } from "./invariants/ways-settle.ts";

/** Makes the check of one run. */
export type Invariant = () => Check;

export const STEP_INVARIANTS = {
  "applied-never-regresses": appliedNeverRegresses,
  "set-equals-log": setEqualsLog,
  "acknowledged-writes-survive": acknowledgedWritesSurvive,
  "dead-link-noticed": deadLinkNoticed,
  "purges-once-in-order": purgesOnceInOrder,
  "healthy-never-down": healthyNeverDown,
  "queues-bounded": queuesBounded,
  "restored-origin": restoredOrigin,
  "relays-hear-the-origin": relaysHearTheOrigin,
} as const satisfies Readonly<Record<string, Invariant>>;

export const END_INVARIANTS = {
  converges,
  "reports-exactly-once": reportsExactlyOnce,
  "ways-settle": waysSettle,
} as const satisfies Readonly<Record<string, Invariant>>;

export type InvariantName = keyof typeof STEP_INVARIANTS | keyof typeof END_INVARIANTS;

export interface Violation {
  readonly invariant: string;
  readonly what: string;
}

/** All that are broken now. */
export function violationsOf(checks: ReadonlyMap<string, Check>, world: Parameters<Check>[0]): readonly Violation[] {
  const found: Violation[] = [];
  for (const [invariant, check] of checks) {
    const what = check(world);
    if (what !== undefined) found.push({ invariant, what });
  }
  return found;
}

export function checksOf(invariants: Readonly<Record<string, Invariant>>): ReadonlyMap<string, Check> {
  return new Map(Object.entries(invariants).map(([name, make]) => [name, make()]));
}
