/**
 * Counts who wants sessions: by client cell, or country where the cell is unknown, and by what a session's budget leaves
 * for rendering and the network. Bounded, and cheap where sessions are placed; the slow loop reads it in turns.
 */
import type { ShortlistClient } from "#domain/placement/shortlist.ts";
import type { Clock } from "#platform/clock.ts";
import { RESERVATION_MS } from "../ledger/ledger.ts";

/** Cells times limits, of which the slow loop solves for each; the next one is counted without a place. */
export const DEMAND_GROUPS_MAX = 5_000;
/** Groups that nobody is of are forgotten, those not heard of for longest first, above this share of the most. */
const GROUPS_KEPT_RATIO = 0.9;
/** Of a group that nobody is of: as long as some stays, that its forecast is worth keeping. */
export const GROUP_SILENT_MS_MAX = 3_600_000;
/** Sessions that run or wait; the one placed longest ago is no more counted. */
export const SESSIONS_COUNTED_MAX = 300_000;
/** Five times what a queued client waits before it asks again. */
export const WAITING_MS_MAX = 15_000;
/** A placement that no report names by then was not taken up, or has ended. */
const UNSEEN_MS_MAX = RESERVATION_MS;
/** Decisions of one turn that are kept to be tried again without prices; more say nothing new. */
export const DECISIONS_TRIED_MAX = 2_000;
/** Limits that differ by less are one group. */
const ROOM_STEP_MS = 5;
const ROOM_MS_MAX = 200;

export interface DemandAttempt {
  readonly session: string;
  readonly client: ShortlistClient;
  /** What the latency budget leaves for rendering, encoding and the network, in milliseconds. */
  readonly roomMs: number;
  /** The one that it would like best. */
  readonly renderClass: string;
  readonly state: "placed" | "waiting" | "refused";
  /** Where it is placed. */
  readonly pool?: string | undefined;
  /** False for one that runs already, here or somewhere that another replica placed it. */
  readonly isNew: boolean;
  /** As `decision-record.ts` packs it. */
  readonly decision?: Uint8Array | undefined;
}

/** What the flow of sessions tells. */
export interface DemandReports {
  attempted(attempt: DemandAttempt): void;
  ended(session: string): void;
}

/** Where prices are not wanted. */
export const UNCOUNTED: DemandReports = { attempted: () => undefined, ended: () => undefined };

export interface DemandGroup {
  /** Undefined for those beyond the most groups, whose place is not told apart. */
  readonly client: ShortlistClient | undefined;
  readonly roomMs: number;
  /** Its place in columns, below `DEMAND_GROUPS_MAX`; given to another when it is forgotten. */
  readonly cell: number;
  /** Sessions that run or wait. */
  readonly alive: number;
}

/** Since the last turn. */
export interface DemandTurn {
  readonly groups: readonly DemandGroup[];
  /** By cell. */
  readonly arrivals: Float64Array;
  readonly decisions: readonly Uint8Array[];
  /** Sessions that ran and ended. */
  readonly ended: number;
}

interface CountedGroup extends DemandGroup {
  alive: number;
  atMs: number;
}

interface CountedSession {
  readonly group: CountedGroup;
  readonly renderClass: string;
  /** Undefined while it waits. */
  readonly pool: string | undefined;
  readonly atMs: number;
}

const ELSEWHERE = "-";

export class DemandCounter implements DemandReports {
  readonly #clock: Clock;
  /** In the order in which they were last asked for. */
  readonly #groups = new Map<string, CountedGroup>();
  readonly #freeCells = Array.from({ length: DEMAND_GROUPS_MAX }, (_, cell) => DEMAND_GROUPS_MAX - 1 - cell);
  /** In the order in which they were last placed. */
  readonly #sessions = new Map<string, CountedSession>();
  readonly #waiting = new Set<string>();
  readonly #byPool = new Map<string, Set<string>>();
  readonly #byClass = new Map<string, number>();
  #arrivals = new Float64Array(DEMAND_GROUPS_MAX);
  #decisions: Uint8Array[] = [];
  readonly #onArrival: (decision: Uint8Array) => void;
  #ended = 0;

  /** `onArrival` is told the first decision on each new session. */
  constructor(clock: Clock, onArrival: (decision: Uint8Array) => void = () => undefined) {
    this.#clock = clock;
    this.#onArrival = onArrival;
    this.#addGroup(ELSEWHERE, undefined, 0);
  }

  get alive(): number {
    return this.#sessions.size;
  }

  /** Of those alive, by the render class that they like best. */
  get byClass(): ReadonlyMap<string, number> {
    return this.#byClass;
  }

  /** Sessions placed there. */
  countAt(pool: string): number {
    return this.#byPool.get(pool)?.size ?? 0;
  }

  attempted({ session, client, roomMs, renderClass, state, pool, isNew, decision }: DemandAttempt): void {
    const known = this.#sessions.get(session);
    const group = known?.group ?? this.#groupOf(client, roomMs);
    if (known === undefined && isNew) this.#arrivals[group.cell] = (this.#arrivals[group.cell] ?? 0) + 1;
    if (known === undefined && isNew && decision !== undefined) {
      if (this.#decisions.length < DECISIONS_TRIED_MAX) this.#decisions.push(decision);
      this.#onArrival(decision);
    }
    this.#drop(session);
    if (state === "refused") return;
    this.#add(session, { group, renderClass, pool, atMs: this.#clock.monotonicMs() });
  }

  ended(session: string): void {
    if (this.#drop(session)?.pool !== undefined) this.#ended += 1;
  }

  /** Whoever was placed there and is neither running nor may yet connect has ended. */
  reconcile(pool: string, isRunning: (session: string) => boolean): void {
    const placedBeforeMs = this.#clock.monotonicMs() - UNSEEN_MS_MAX;
    for (const session of [...(this.#byPool.get(pool) ?? [])]) {
      const { atMs } = this.#sessions.get(session) ?? { atMs: 0 };
      if (atMs < placedBeforeMs && !isRunning(session)) this.ended(session);
    }
  }

  takeTurn(): DemandTurn {
    const nowMs = this.#clock.monotonicMs();
    for (const session of this.#waiting) {
      if (nowMs - (this.#sessions.get(session)?.atMs ?? 0) <= WAITING_MS_MAX) break;
      this.#drop(session);
    }
    // Renewals count anew: who is not heard of any more has gone, whether or not anybody looked in its pool.
    for (const [session, { atMs }] of this.#sessions) {
      if (nowMs - atMs <= GROUP_SILENT_MS_MAX) break;
      this.ended(session);
    }
    this.#forgetGroups(nowMs);
    const turn = { arrivals: this.#arrivals, decisions: this.#decisions, ended: this.#ended };
    this.#arrivals = new Float64Array(DEMAND_GROUPS_MAX);
    this.#decisions = [];
    this.#ended = 0;
    return { groups: [...this.#groups.values()], ...turn };
  }

  #add(session: string, counted: CountedSession): void {
    const { group, renderClass, pool } = counted;
    this.#sessions.set(session, counted);
    group.alive += 1;
    this.#byClass.set(renderClass, (this.#byClass.get(renderClass) ?? 0) + 1);
    if (pool === undefined) this.#waiting.add(session);
    else this.#byPool.set(pool, (this.#byPool.get(pool) ?? new Set()).add(session));
    const [oldest] = this.#sessions;
    if (this.#sessions.size > SESSIONS_COUNTED_MAX && oldest !== undefined) this.#drop(oldest[0]);
  }

  #drop(session: string): CountedSession | undefined {
    const counted = this.#sessions.get(session);
    if (counted === undefined) return undefined;
    const { group, renderClass, pool } = counted;
    this.#sessions.delete(session);
    this.#waiting.delete(session);
    group.alive -= 1;
    const ofClass = (this.#byClass.get(renderClass) ?? 0) - 1;
    if (ofClass > 0) this.#byClass.set(renderClass, ofClass);
    else this.#byClass.delete(renderClass);
    if (pool === undefined) return counted;
    const there = this.#byPool.get(pool);
    there?.delete(session);
    if (there?.size === 0) this.#byPool.delete(pool);
    return counted;
  }

  #groupOf(client: ShortlistClient, roomMs: number): CountedGroup {
    const at = client.groups.findIndex((group) => group.startsWith("cell:") || group.startsWith("country:"));
    const step = Math.floor(Math.min(ROOM_MS_MAX, Math.max(0, roomMs)) / ROOM_STEP_MS);
    const key = at < 0 ? ELSEWHERE : `${client.groups[at]} ${step}`;
    const known = this.#groups.get(key);
    if (known === undefined) {
      const place = { groups: client.groups.slice(at), coordinates: client.coordinates };
      return this.#addGroup(key, place, (step + 0.5) * ROOM_STEP_MS);
    }
    this.#groups.delete(key);
    this.#groups.set(key, known);
    known.atMs = this.#clock.monotonicMs();
    return known;
  }

  /** Where no cell is left, that of those without a place. */
  #addGroup(key: string, client: ShortlistClient | undefined, roomMs: number): CountedGroup {
    const cell = this.#freeCells.pop();
    if (cell === undefined) return this.#groupOf({ groups: [], coordinates: undefined }, 0);
    const group: CountedGroup = { client, roomMs, cell, alive: 0, atMs: this.#clock.monotonicMs() };
    this.#groups.set(key, group);
    return group;
  }

  #forgetGroups(nowMs: number): void {
    for (const [key, { alive, atMs, cell }] of this.#groups) {
      const isCrowded = this.#groups.size > GROUPS_KEPT_RATIO * DEMAND_GROUPS_MAX;
      if (!isCrowded && nowMs - atMs <= GROUP_SILENT_MS_MAX) return;
      if (alive > 0 || key === ELSEWHERE || (this.#arrivals[cell] ?? 0) > 0) continue;
      this.#groups.delete(key);
      this.#freeCells.push(cell);
    }
  }
}
