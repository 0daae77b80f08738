/** The truth that a ledger is judged by: agents of a pool with their slots, the leases that they gave, and what their edge says of them. Pure: time is an argument. */
import { CLOCK_SKEW_SECONDS } from "#platform/identity/tokens.ts";
import type { EdgeReport } from "../../ledger/ledger.ts";

/** An agent tells its edge every 2 s. */
const TOLD_MS = 2_000;

export type Granted = "leased" | "expired" | "no-slot";

interface Told {
  readonly atMs: number;
  readonly leases: readonly (readonly [session: string, attempt: number])[];
}

export class PoolAgents {
  readonly pool: string;
  readonly slots: number;
  /** Attempt by session. */
  readonly #leases = new Map<string, number>();
  /** By session the last time at which it can connect. */
  readonly #promised = new Map<string, number>();
  /** By edge. */
  readonly #told = new Map<number, Told>();

  constructor(pool: string, slots: number) {
    this.pool = pool;
    this.slots = slots;
  }

  get free(): number {
    return this.slots - this.#leases.size;
  }

  /** False where its slots do not suffice for all that is leased and that may still come. */
  promise(session: string, { exp, nowMs }: { readonly exp: number; readonly nowMs: number }): boolean {
    for (const [other, lastMs] of this.#promised) if (lastMs < nowMs) this.#promised.delete(other);
    this.#promised.set(session, (exp + CLOCK_SKEW_SECONDS) * 1_000);
    const coming = [...this.#promised.keys()].filter((other) => !this.#leases.has(other));
    return coming.length + this.#leases.size <= this.slots;
  }

  /** `exp` of the placement, in seconds; verified with the allowance for clocks that any token has. */
  grant(session: string, attempt: number, { exp, nowMs }: { readonly exp: number; readonly nowMs: number }): Granted {
    if (nowMs / 1_000 > exp + CLOCK_SKEW_SECONDS) return "expired";
    if (!this.#leases.has(session) && this.free < 1) return "no-slot";
    this.#leases.set(session, attempt);
    this.#promised.delete(session);
    return "leased";
  }

  /** It has said that it is gone, and does not come. */
  forget(session: string): void {
    this.#promised.delete(session);
    this.#leases.delete(session);
  }

  end(session: string): void {
    this.#leases.delete(session);
  }

  /** As this edge knows it: up to one interval old. */
  report(edge: number, nowMs: number): EdgeReport {
    const { leases } = this.tell(edge, nowMs);
    const measured = { startedAtMs: 0, remotePathMsP50: 0, remotePathMsP95: 0, rttMs: 0 };
    const sessions = leases.map(([session, attempt]) => ({
      ...{ session, attempt, app: "hall", renderClass: "small", ...measured },
    }));
    const slots = [{ renderClass: "small", total: this.slots, free: this.slots - sessions.length, frameMsP95: 8 }];
    const agent = { agent: `${this.pool}-a`, incarnation: "1", ready: true, reasons: [], slots, sessions };
    return { pool: this.pool, node: `${this.pool}-${edge}`, agents: [agent] };
  }

  /** What an agent tells is as of now, every interval, whether it is asked or not. */
  tell(edge: number, nowMs: number): Told {
    const known = this.#told.get(edge);
    if (known !== undefined && nowMs - known.atMs < TOLD_MS) return known;
    const told = { atMs: nowMs, leases: [...this.#leases] };
    this.#told.set(edge, told);
    return told;
  }
}
