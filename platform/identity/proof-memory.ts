/** Remembers the proofs that were accepted, while they would be accepted again (RFC 9449 section 11.1). */

import type { Clock } from "../clock.ts";
import { BoundedMap } from "../concurrency/bounded-map.ts";
import { PROOF_AGE_SECONDS_MAX } from "./dpop.ts";

/** A proof may be dated ahead as well as behind, so it can come back for twice its age. */
const MEMORY_MS = 2 * PROOF_AGE_SECONDS_MAX * 1000;

export class ProofMemory {
  readonly #seen: BoundedMap<string, true>;

  /** Beyond `entriesMax` the oldest is forgotten: choose it above what is accepted in ten minutes. */
  constructor({ clock, entriesMax }: { readonly clock: Clock; readonly entriesMax: number }) {
    this.#seen = new BoundedMap({ entriesMax, lifetime: { ms: MEMORY_MS, clock } });
  }

  /** False where this proof was seen before: refuse it. */
  remember(proofId: string): boolean {
    if (this.#seen.has(proofId)) return false;
    this.#seen.set(proofId, true);
    return true;
  }
}
