/**
 * Counts who wants sessions: by client cell, or country where the cell is unknown, and by what a session's budget leaves
 * for rendering and the network. Bounded, and cheap where sessions are placed; the slow loop reads it in turns.
 */
import { roomMsOf, roomStepOf } from "#domain/placement/expected-demand.ts";
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
/** Of a session that is where it was: it is told again to replicas that may have started meanwhile. */
export const RETOLD_MS = 300_000;

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
  /** As `decision-record.ts` packs it, or what another replica read in it. */
  readonly decision?: Uint8Array | TriedChoice | undefined;
}

/** Pools that would have done for a session, as it measured them. */
export interface TriedChoice {
  readonly pools: readonly string[];
  readonly rttMs: readonly number[];
}

/** When something was counted, by this machine's monotonic time, and which replica counted it. */
export interface CountedAt {
  readonly atMs: number;
  /** Its incarnation; undefined here. */
  readonly by: string | undefined;
}

/** What others do not know yet: `again` says that nothing changed, `older` that it did and is gone by. */
export type Counted = "arrival" | "change" | "again" | "older";

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
  readonly decisions: readonly (Uint8Array | TriedChoice)[];
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
  readonly by: string | undefined;
  /** When it came to be where it is, or others were told again. */
  toldAtMs: number;
  /** Whether it was counted among the arrivals here. */
  hasArrived: boolean;
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
  readonly #onArrival: (choice: Uint8Array | TriedChoice) => void;
  #decisions: (Uint8Array | TriedChoice)[] = [];
  #ended = 0;

  /** `onArrival` is told what each new session could choose from: the record of its first decision, or what another replica told of it. */
  constructor(clock: Clock, onArrival: (choice: Uint8Array | TriedChoice) => void = () => undefined) {
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

  attempted(attempt: DemandAttempt): void {
    this.count(attempt, { atMs: this.#clock.monotonicMs(), by: undefined });
  }

  ended(session: string): void {
    this.#end(session);
  }

  /**
   * A session is counted once, whichever replica it asks: by who counted it last. What one replica counts comes in its
   * order; of two replicas the later one counts.
   */
  count({ session, client, roomMs, renderClass, state, pool, isNew, decision }: DemandAttempt, at: CountedAt): Counted {
    const known = this.#sessions.get(session);
    if (known !== undefined && isOlder(at, known)) {
      this.#countLate(known, isNew);
      return "older";
    }
    const group = known?.group ?? this.#groupOf(client, roomMs);
    const isArrival = known === undefined && isNew;
    if (isArrival) this.#arrive(group);
    const isTried = isArrival && decision !== undefined;
    if (isTried && this.#decisions.length < DECISIONS_TRIED_MAX) this.#decisions.push(decision);
    if (isTried) this.#onArrival(decision);
    this.#drop(session);
    const stays = known !== undefined && known.pool === pool && pool !== undefined;
    const isAgain = stays && at.atMs - known.toldAtMs < RETOLD_MS;
    const toldAtMs = isAgain ? known.toldAtMs : at.atMs;
    const hasArrived = isArrival || known?.hasArrived === true;
    if (state !== "refused") this.#add(session, { group, renderClass, pool, toldAtMs, hasArrived, ...at });
    if (isArrival) return "arrival";
    return isAgain ? "again" : "change";
  }

  /** It was told of after it had come here: that it is here is news to the one that told. */
  #countLate(known: CountedSession, isNew: boolean): void {
    if (isNew && !known.hasArrived) this.#arrive(known.group);
    known.hasArrived ||= isNew;
    known.toldAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Another replica says so. */
  countEnd(session: string, at: CountedAt): void {
    const known = this.#sessions.get(session);
    if (known !== undefined && !isOlder(at, known)) this.#end(session);
  }

  /** Whoever was placed there and is neither running nor may yet connect has ended. */
  reconcile(pool: string, isRunning: (session: string) => boolean): void {
    const placedBeforeMs = this.#clock.monotonicMs() - UNSEEN_MS_MAX;
    for (const session of [...(this.#byPool.get(pool) ?? [])]) {
      const { atMs } = this.#sessions.get(session) ?? { atMs: 0 };
      if (atMs < placedBeforeMs && !isRunning(session)) this.#end(session);
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
      this.#end(session);
    }
    this.#forgetGroups(nowMs);
    const turn = { arrivals: this.#arrivals, decisions: this.#decisions, ended: this.#ended };
    this.#arrivals = new Float64Array(DEMAND_GROUPS_MAX);
    this.#decisions = [];
    this.#ended = 0;
    return { groups: [...this.#groups.values()], ...turn };
  }

  #arrive({ cell }: CountedGroup): void {
    this.#arrivals[cell] = (this.#arrivals[cell] ?? 0) + 1;
  }

  #end(session: string): void {
    if (this.#drop(session)?.pool !== undefined) this.#ended += 1;
  }

  #add(session: string, counted: CountedSession): void {
    const { group, renderClass, pool } = counted;
    this.#sessions.set(session, counted);
    group.alive += 1;
    this.#byClass.set(renderClass, (this.#byClass.get(renderClass) ?? 0) + 1);
    if (pool === undefined) this.#waiting.add(session);
    else this.#byPool.set(pool, (this.#byPool.get(pool) ?? new Set()).add(session));
    // The first of a map whose first ones were deleted is found by passing those.
    if (this.#sessions.size <= SESSIONS_COUNTED_MAX) return;
    const [oldest] = this.#sessions;
    if (oldest !== undefined) this.#drop(oldest[0]);
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
    const step = roomStepOf(roomMs);
    const key = at < 0 ? ELSEWHERE : `${client.groups[at]} ${step}`;
    const known = this.#groups.get(key);
    if (known === undefined) {
      const place = { groups: client.groups.slice(at), coordinates: client.coordinates };
      return this.#addGroup(key, place, roomMsOf(step));
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

function isOlder({ atMs, by }: CountedAt, known: CountedSession): boolean {
  return known.by !== by && known.atMs > atMs;
}
