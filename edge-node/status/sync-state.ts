/** Whether what the origin distributes is taken here, and why not: a condition that says so upward while it lasts. */
import type { Failure, FailureCode } from "#domain/failure.ts";
import type { Condition } from "#domain/fleet/node.ts";
import type { Quarantine } from "../desired-state/trial.ts";

type Synced = Pick<Condition, "status" | "reason" | "message">;

/** What the origin itself has to mend; anything else is answered by a snapshot. */
const REASON_BY_CODE: ReadonlyMap<FailureCode, string> = new Map([
  ["epoch-regressed", "OriginBehind"],
  ["revision-quarantined", "Quarantined"],
  ["shrink-refused", "ShrinkRefused"],
  ["signature-invalid", "SignatureInvalid"],
]);

const SUSPECTS_SHOWN_MAX = 5;

export interface SyncFacts {
  readonly quarantine: () => Quarantine | undefined;
  readonly damage: () => Failure | undefined;
}

export class SyncState {
  readonly #facts: SyncFacts;
  #refused: { readonly reason: string; readonly message: string } | undefined;

  constructor(facts: SyncFacts) {
    this.#facts = facts;
  }

  refused({ code, message }: Failure): void {
    const reason = REASON_BY_CODE.get(code);
    if (reason !== undefined) this.#refused = { reason, message };
  }

  /** The set is what the origin sent, or another origin has answered, who will say what it has. */
  cleared(): void {
    this.#refused = undefined;
  }

  now(): Synced {
    const { quarantine, damage } = this.#facts;
    const held = quarantine();
    if (held !== undefined) return { status: false, reason: "Quarantined", message: messageOf(held) };
    if (this.#refused !== undefined) return { status: false, ...this.#refused };
    const damaged = damage();
    if (damaged !== undefined) return { status: false, reason: "SetDamaged", message: damaged.message };
    return { status: true, reason: "Taken", message: "" };
  }
}

function messageOf({ epoch, revision, suspects }: Quarantine): string {
  const names = suspects.slice(0, SUSPECTS_SHOWN_MAX).map(({ subject }) => subject);
  const more = suspects.length > names.length ? ` and ${suspects.length - names.length} more` : "";
  const hint = names.length === 0 ? "" : `; one of these is to be changed: ${names.join(", ")}${more}`;
  return `three crashes with revision ${revision} of epoch ${epoch}, the proven set is served${hint}`;
}
