/** The ledger in this process's memory: rebuilt from reports after a restart. */
import type { SlotCount } from "#domain/fleet/node.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import {
  type Capacity,
  EDGE_FORGOTTEN_MS,
  EDGES_MAX,
  type EdgeReport,
  isMeasured,
  type Ledger,
  PROMISES_PER_SESSION_MAX,
  type ProbedEdge,
  RESERVATION_MS,
  RESERVATIONS_MAX,
  type ReservationRequest,
  type ReserveOutcome,
  SILENCE_MS_MAX,
  type SlotQuery,
} from "./ledger.ts";
import { SessionIndex } from "./session-index.ts";

const SWEEP_MS = 60_000;

interface HeardEdge extends EdgeReport {
  readonly atMs: number;
}

interface Pool {
  readonly edges: Map<string, HeardEdge>;
  readonly reserved: Set<string>;
  probe: { readonly atMs: number; readonly freeSlots: Readonly<Record<string, number>> } | undefined;
}

interface Reservation {
  readonly session: string;
  readonly pool: string;
  readonly attempt: number;
  readonly app: string;
  readonly expiresAtMs: number;
}

/** The attempt that was promised last, and all promises that count, by pool. */
interface Held {
  readonly pool: string;
  readonly attempt: number;
  readonly byPool: Map<string, Reservation>;
}

const NOTHING: Capacity = { isOpen: false, slotsTotal: 0, slotsFree: 0, frameMsP95: undefined };

/**
 * A report costs its agents and sessions; a query or reservation the edges times agents of one pool; expiry is
 * amortised constant, since all reservations live equally long and so end in the order in which they began.
 */
export class EmbeddedLedger implements Ledger {
  readonly #clock: Clock;
  readonly #pools = new Map<string, Pool>();
  /** In the order of their expiry. */
  readonly #reservations = new Set<Reservation>();
  readonly #held = new Map<string, Held>();
  readonly #sessions = new SessionIndex();
  readonly #edges: BoundedMap<string, HeardEdge>;
  #sweptAtMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sweptAtMs = clock.monotonicMs();
    this.#edges = new BoundedMap({
      entriesMax: EDGES_MAX,
      lifetime: { ms: EDGE_FORGOTTEN_MS, clock },
      onEvict: (_key, edge) => this.#forget(edge),
    });
  }

  async report(report: EdgeReport): Promise<void> {
    const atMs = this.#tick();
    const pool = this.#pools.get(report.pool) ?? { edges: new Map(), reserved: new Set(), probe: undefined };
    this.#pools.set(report.pool, pool);
    const before = pool.edges.get(report.node);
    const edge: HeardEdge = { ...report, atMs };
    for (const { session, app } of sessionsOf(edge)) this.#sessions.add(app, session);
    if (before !== undefined) this.#unlist(before);
    pool.edges.set(report.node, edge);
    this.#edges.set(keyOf(report), edge);
    for (const { session, attempt } of sessionsOf(edge)) {
      const reservation = this.#held.get(session)?.byPool.get(report.pool);
      if (reservation !== undefined && reservation.attempt <= attempt) this.#drop(reservation);
    }
  }

  async probed({ pool: name, freeSlots, ageMs }: ProbedEdge): Promise<void> {
    const pool = this.#pools.get(name);
    const atMs = this.#tick() - Math.max(0, ageMs);
    if (pool !== undefined && atMs > (pool.probe?.atMs ?? Number.NEGATIVE_INFINITY)) pool.probe = { atMs, freeSlots };
  }

  async capacities(queries: readonly SlotQuery[]): Promise<readonly Capacity[]> {
    const nowMs = this.#tick();
    return queries.map((query) => this.#capacity(query, nowMs));
  }

  async reserve(request: ReservationRequest): Promise<ReserveOutcome> {
    const nowMs = this.#tick();
    const { session, attempt, app, pool } = request;
    const held = this.#held.get(session);
    if (held !== undefined && isSuperseded(request, held)) return "superseded";
    const capacity = this.#capacity(request, nowMs, session);
    if (!capacity.isOpen) return "closed";
    if (capacity.slotsFree < 1) return "full";
    const others = this.#sessions.count(app) - (this.#sessions.has(app, session) ? 1 : 0);
    if (others >= request.appSessionsMax) return "over-cap";
    const own = held?.byPool.get(pool);
    if (own !== undefined) this.#drop(own);
    else if ((held?.byPool.size ?? 0) >= PROMISES_PER_SESSION_MAX || this.#reservations.size >= RESERVATIONS_MAX)
      return "full";
    this.#add({ session, pool, attempt, app, expiresAtMs: nowMs + RESERVATION_MS });
    return "reserved";
  }

  async release(session: string): Promise<void> {
    this.#tick();
    for (const reservation of this.#held.get(session)?.byPool.values() ?? []) this.#drop(reservation);
  }

  async countSessions(app: string): Promise<number> {
    this.#tick();
    return this.#sessions.count(app);
  }

  #capacity({ pool: name, renderClass, excludedAgents }: SlotQuery, nowMs: number, except?: string): Capacity {
    const pool = this.#pools.get(name);
    if (pool === undefined) return NOTHING;
    const edges = [...pool.edges.values()];
    const newestMs = Math.max(...edges.map(({ atMs }) => atMs));
    const isHeard = nowMs - newestMs <= SILENCE_MS_MAX;
    // One that went silent counts until the others have told of what it may have told of before.
    const heard = edges.filter(({ atMs }) => newestMs - atMs <= SILENCE_MS_MAX);
    const { slotsTotal, slotsFree, frameMsP95 } = sumSlots(heard, renderClass, excludedAgents);
    const probe = pool.probe !== undefined && nowMs - pool.probe.atMs <= SILENCE_MS_MAX ? pool.probe : undefined;
    const reserved = pool.reserved.size - (except !== undefined && pool.reserved.has(except) ? 1 : 0);
    const probedFree = probe === undefined ? Number.POSITIVE_INFINITY : freeOf(probe.freeSlots, renderClass);
    // A probe answer names no session: with a report to go by it only lowers what the report leaves.
    const isNewer = probe !== undefined && newestMs < probe.atMs;
    const left = isHeard
      ? Math.min(slotsFree - reserved, isNewer ? probedFree : Number.POSITIVE_INFINITY)
      : Math.min(probedFree, slotsTotal) - reserved;
    return {
      isOpen: isHeard || probe !== undefined,
      slotsTotal,
      slotsFree: Math.max(0, left),
      frameMsP95,
    };
  }

  /** The monotonic time, all that is over by then dropped. */
  #tick(): number {
    const nowMs = this.#clock.monotonicMs();
    for (const reservation of this.#reservations) {
      if (reservation.expiresAtMs > nowMs) break;
      this.#drop(reservation);
    }
    if (nowMs - this.#sweptAtMs >= SWEEP_MS) {
      this.#sweptAtMs = nowMs;
      this.#edges.sweep();
    }
    return nowMs;
  }

  #add(reservation: Reservation): void {
    const { session, pool, attempt, app } = reservation;
    const byPool = this.#held.get(session)?.byPool ?? new Map<string, Reservation>();
    this.#held.set(session, { pool, attempt, byPool: byPool.set(pool, reservation) });
    this.#reservations.add(reservation);
    this.#pools.get(pool)?.reserved.add(session);
    this.#sessions.add(app, session);
  }

  #drop(reservation: Reservation): void {
    const { session, pool, app } = reservation;
    this.#reservations.delete(reservation);
    const byPool = this.#held.get(session)?.byPool;
    byPool?.delete(pool);
    if (byPool?.size === 0) this.#held.delete(session);
    this.#pools.get(pool)?.reserved.delete(session);
    this.#sessions.remove(app, session);
    this.#tidy(pool);
  }

  #forget(edge: HeardEdge): void {
    this.#unlist(edge);
    this.#pools.get(edge.pool)?.edges.delete(edge.node);
    this.#tidy(edge.pool);
  }

  /** A pool of which no edge is known is as one that never reported. */
  #tidy(name: string): void {
    const pool = this.#pools.get(name);
    if (pool?.edges.size === 0 && pool.reserved.size === 0) this.#pools.delete(name);
  }

  #unlist(edge: HeardEdge): void {
    for (const { session, app } of sessionsOf(edge)) this.#sessions.remove(app, session);
  }
}

function isSuperseded({ attempt, pool }: ReservationRequest, held: Held): boolean {
  return attempt < held.attempt || (attempt === held.attempt && pool !== held.pool);
}

function keyOf({ pool, node }: EdgeReport): string {
  return `${pool}/${node}`;
}

function sessionsOf({ agents }: EdgeReport) {
  return agents.flatMap((agent) => agent.sessions);
}

function freeOf(freeSlots: Readonly<Record<string, number>>, renderClass: string): number {
  return Object.hasOwn(freeSlots, renderClass) ? (freeSlots[renderClass] ?? 0) : 0;
}

/** Every edge of a pool knows all its agents: of what two say of one, the worse counts. */
function sumSlots(
  edges: readonly HeardEdge[],
  renderClass: string,
  excluded: ReadonlySet<string>,
): Pick<Capacity, "slotsTotal" | "slotsFree" | "frameMsP95"> {
  const byAgent = new Map<string, SlotCount>();
  for (const { agent, ready, slots } of edges.flatMap(({ agents }) => agents)) {
    const slot = slots.find((candidate) => candidate.renderClass === renderClass);
    if (!ready || excluded.has(agent) || slot === undefined || !isMeasured(slot)) continue;
    byAgent.set(agent, worse(byAgent.get(agent) ?? slot, slot));
  }
  const slots = [...byAgent.values()];
  return {
    slotsTotal: slots.reduce((sum, { total }) => sum + total, 0),
    slotsFree: slots.reduce((sum, { total, free }) => sum + Math.min(total, free), 0),
    frameMsP95: slots.length === 0 ? undefined : Math.max(...slots.map(({ frameMsP95 }) => frameMsP95)),
  };
}

function worse(a: SlotCount, b: SlotCount): SlotCount {
  return {
    renderClass: a.renderClass,
    total: Math.min(a.total, b.total),
    free: Math.min(a.free, b.free),
    frameMsP95: Math.max(a.frameMsP95, b.frameMsP95),
  };
}
