/** The ledger is judged at the agents: whoever may still come with a placement finds a slot, and what nobody uses is free again. */
import fc from "fast-check";
import type { Test } from "tap";
import { PLACEMENT_LIFETIME_SECONDS } from "#contracts/tokens/claims.ts";
import type { AgentStatus } from "#domain/fleet/node.ts";
import type { Clock } from "#platform/clock.ts";
import { CLOCK_SKEW_SECONDS } from "#platform/identity/tokens.ts";
import { type Ledger, RESERVATION_MS } from "#scheduler/ledger/ledger.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";

const SLOTS = 2;
/** Of a pool, each of which knows its agent. */
const EDGES = 2;
/** An agent's word is so old at most when its edge's report is made of it. */
const TOLD_MS_MAX = 6_000;
/** Signed by a clock that is ahead, and verified with the allowance for one that is behind. */
const USABLE_MS = (PLACEMENT_LIFETIME_SECONDS + 2 * CLOCK_SKEW_SECONDS) * 1_000;
const NAMES = ["near", "far"] as const;

type Pool = (typeof NAMES)[number];

interface Told {
  readonly atMs: number;
  readonly leases: readonly (readonly [session: string, attempt: number])[];
}

class Agents {
  readonly leases = new Map<string, number>();
  /** Placements that were never used: by session its attempt, and until when it is taken. */
  readonly coming = new Map<string, { readonly attempt: number; readonly endMs: number }>();
  /** By edge. */
  readonly #told = new Map<number, Told>();

  get free(): number {
    return SLOTS - this.leases.size;
  }

  /** All come that may. */
  suffices(nowMs: number): boolean {
    for (const [session, { endMs }] of this.coming) if (endMs < nowMs) this.coming.delete(session);
    const others = [...this.coming.keys()].filter((session) => !this.leases.has(session));
    return others.length <= this.free;
  }

  /** One of those who may; false where there is none. */
  connect(at: number, nowMs: number): boolean {
    const placements = [...this.coming].filter(([, { endMs }]) => endMs >= nowMs);
    const [session, placement] = placements[at % placements.length] ?? [];
    if (session === undefined || placement === undefined) return false;
    this.coming.delete(session);
    this.leases.set(session, placement.attempt);
    return true;
  }

  leave(session: string): void {
    this.leases.delete(session);
  }

  tell(edge: number, nowMs: number): Told {
    const told = { atMs: nowMs, leases: [...this.leases] };
    this.#told.set(edge, told);
    return told;
  }

  status(edge: number, nowMs: number): AgentStatus {
    const known = this.#told.get(edge);
    const isOld = known === undefined || nowMs - known.atMs > TOLD_MS_MAX;
    const { leases } = isOld ? this.tell(edge, nowMs) : known;
    const measured = { startedAtMs: 0, remotePathMsP50: 0, remotePathMsP95: 0, rttMs: 0 };
    return {
      ...{ agent: "a", incarnation: "1", ready: true, reasons: [] },
      slots: [{ renderClass: "small", total: SLOTS, free: SLOTS - leases.length, frameMsP95: 8 }],
      sessions: leases.map(([session, attempt]) => ({
        session,
        attempt,
        app: "hall",
        renderClass: "small",
        ...measured,
      })),
    };
  }
}

const session = fc.nat(5);
const pool = fc.constantFrom(...NAMES);
const edge = fc.nat(EDGES - 1);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("reserve" as const), session, pool }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("connect" as const), pool, at: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("leave" as const), session, pool }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("release" as const), session }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("tell" as const), pool, edge }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("report" as const), pool, edge }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(3_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(RESERVATION_MS) }) },
);
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

class World {
  readonly counts = { reserved: 0, connected: 0 };
  readonly #ledger: Ledger;
  readonly #clock: VirtualClock;
  readonly #pools: Readonly<Record<Pool, Agents>> = { near: new Agents(), far: new Agents() };
  readonly #attempts = new Map<string, number>();

  constructor(ledger: Ledger, clock: VirtualClock) {
    this.#ledger = ledger;
    this.#clock = clock;
  }

  /** False where agents have not the slots for all who may come. */
  async take(step: Step): Promise<boolean> {
    const nowMs = this.#clock.monotonicMs();
    if (step.kind === "wait") await this.#clock.advance(step.ms);
    else if (step.kind === "release") await this.#release(`s-${step.session}`);
    else if (step.kind === "report") await this.#report(step.pool, step.edge);
    else if (step.kind === "reserve") await this.#reserve(`s-${step.session}`, step.pool);
    else if (step.kind === "tell") this.#pools[step.pool].tell(step.edge, nowMs);
    else if (step.kind === "leave") this.#pools[step.pool].leave(`s-${step.session}`);
    else if (this.#pools[step.pool].connect(step.at, nowMs)) this.counts.connected += 1;
    return NAMES.every((name) => this.#pools[name].suffices(this.#clock.monotonicMs()));
  }

  /** When every promise has ended and every agent has told: as free as the agents are. */
  async isAllFree(): Promise<boolean> {
    await this.#clock.advance(RESERVATION_MS);
    for (const name of NAMES) for (let edge = 0; edge < EDGES; edge += 1) await this.#report(name, edge);
    const excludedAgents = new Set<string>();
    const queries = NAMES.map((name) => ({ pool: name, renderClass: "small", excludedAgents }));
    const capacities = await this.#ledger.capacities(queries);
    return NAMES.every((name, index) => capacities[index]?.slotsFree === this.#pools[name].free);
  }

  async #reserve(session: string, name: Pool): Promise<void> {
    const attempt = (this.#attempts.get(session) ?? 0) + 1;
    this.#attempts.set(session, attempt);
    const wish = { session, attempt, app: "hall", appSessionsMax: 1_000 };
    const slot = { pool: name, renderClass: "small", excludedAgents: new Set<string>() };
    if ((await this.#ledger.reserve({ ...wish, ...slot })) !== "reserved") return;
    this.counts.reserved += 1;
    this.#pools[name].coming.set(session, { attempt, endMs: this.#clock.monotonicMs() + USABLE_MS });
  }

  async #release(session: string): Promise<void> {
    for (const agents of Object.values(this.#pools)) {
      agents.leave(session);
      agents.coming.delete(session);
    }
    await this.#ledger.release(session);
  }

  async #report(name: Pool, edge: number): Promise<void> {
    const agents = [this.#pools[name].status(edge, this.#clock.monotonicMs())];
    await this.#ledger.report({ pool: name, node: `${name}-${edge}`, agents });
  }
}

export interface JudgedLedger {
  readonly open: (clock: Clock) => Promise<Ledger> | Ledger;
  readonly runs: number;
}

export async function judgeAtAgents(t: Test, { open, runs }: JudgedLedger): Promise<void> {
  let [reserved, connected] = [0, 0];
  const holds = fc.asyncProperty(fc.array(step, { maxLength: 160, size: "max" }), async (steps) => {
    const clock = new VirtualClock();
    const world = new World(await open(clock), clock);
    for (const one of steps) if (!(await world.take(one))) return false;
    reserved += world.counts.reserved;
    connected += world.counts.connected;
    return world.isAllFree();
  });
  await t.resolves(fc.assert(holds, { numRuns: runs }));
  t.ok(reserved > 2 * runs && connected > runs, `the property was about something: ${reserved}, ${connected}`);
}
