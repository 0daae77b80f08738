/** What becomes of a change that was judged: refused with the numbers, or gone on with, broken rails being told. */
import { Failure } from "#domain/failure.ts";
import type { RailCheck, RailWarnings } from "../policy-trial/guard-rails.ts";

export interface RailOrders {
  /** Goes on although guard-rails are broken, which is then told to `onForced`. */
  readonly force?: boolean;
  readonly onForced?: (breaches: RailWarnings) => void;
  readonly dryRun?: boolean;
  /** Before each message of a refusal; nothing where not given. */
  readonly whereOf?: (breach: RailWarnings[number]) => string;
}

/** Answers what was not judged, and what was forced. Throws `guard-rails-broken` with `faults`. */
export function keepRails({ breaches, warnings }: RailCheck, orders: RailOrders): RailWarnings {
  if (breaches.length === 0) return warnings;
  if (orders.force !== true) {
    const message = breaches.map((breach) => `${orders.whereOf?.(breach) ?? ""}${breach.message}`).join("\n");
    throw new Failure("guard-rails-broken", message, { detail: { faults: breaches } });
  }
  if (orders.dryRun !== true) orders.onForced?.(breaches);
  return [...warnings, ...breaches.map((breach) => ({ ...breach, message: `forced: ${breach.message}` }))];
}
