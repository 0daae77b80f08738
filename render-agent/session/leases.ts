/** The agent's leases and slots in memory: who holds which slot, in which phase, and what is remembered of who held one. */
import { assert } from "#domain/assert.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import type { LeaseDemand, SessionMemory } from "./lease-decision.ts";
import { holdsSlot, type LeaseEvent, type LeasePhase, nextPhase } from "./lease-phase.ts";

/** Past these nobody can show a grant of an older attempt: a ticket lives 120 s, and clocks differ. */
const MEMORY_MS = 180_000;
/** As many as end within that on the largest machine, at a lease a second. */
const MEMORIES_MAX = 4_096;

export interface Lease extends LeaseDemand {
  readonly phase: LeasePhase;
  readonly slot: number;
  /** Of the session here, not of the attempt. */
  readonly startedAtMs: number;
  /** The edge whose request got it. */
  readonly edge: string;
}

export class Leases {
  readonly #slotsMax: number;
  readonly #clock: Clock;
  readonly #bySession = new Map<string, Lease>();
  readonly #memories: BoundedMap<string, SessionMemory>;

  constructor(options: { readonly slotsMax: number; readonly clock: Clock }) {
    this.#slotsMax = options.slotsMax;
    this.#clock = options.clock;
    const lifetime = { ms: MEMORY_MS, clock: options.clock };
    this.#memories = new BoundedMap({ entriesMax: MEMORIES_MAX, lifetime });
  }

  get(session: string): Lease | undefined {
    return this.#bySession.get(session);
  }

  memoryOf(session: string): SessionMemory | undefined {
    return this.#memories.peek(session);
  }

  /** Every lease that holds a slot. */
  all(): readonly Lease[] {
    return [...this.#bySession.values()];
  }

  freeSlot(): number | undefined {
    const taken = new Set(this.all().map(({ slot }) => slot));
    for (let slot = 0; slot < this.#slotsMax; slot += 1) if (!taken.has(slot)) return slot;
    return undefined;
  }

  open(demand: LeaseDemand, place: Pick<Lease, "slot" | "edge">): Lease {
    assert(!this.#bySession.has(demand.session), `session ${demand.session} holds no slot yet`);
    assert(
      this.all().every(({ slot }) => slot !== place.slot),
      `slot ${place.slot} is nobody's`,
    );
    const startedAtMs = this.memoryOf(demand.session)?.startedAtMs ?? this.#clock.nowMs();
    const lease: Lease = { ...demand, ...place, phase: "granting", startedAtMs };
    this.#bySession.set(lease.session, lease);
    this.#remember(lease, false);
    return lease;
  }

  /** Gives the lease as it then is; of an ended one the slot is free. */
  apply(session: string, event: LeaseEvent): Lease {
    const before = this.#bySession.get(session);
    assert(before !== undefined, `session ${session} holds a slot`);
    const lease = { ...before, phase: nextPhase(before.phase, event) };
    if (holdsSlot(lease.phase)) this.#bySession.set(session, lease);
    else this.#bySession.delete(session);
    this.#remember(lease, this.memoryOf(session)?.isOver ?? false);
    return lease;
  }

  /** Its time is up: no attempt brings the session back. */
  close(session: string): void {
    const lease = this.#bySession.get(session);
    if (lease !== undefined) this.#remember(lease, true);
  }

  #remember({ session, attempt, startedAtMs }: Lease, isOver: boolean): void {
    this.#memories.set(session, { attempt, startedAtMs, isOver });
  }
}
