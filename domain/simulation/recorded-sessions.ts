/**
 * What logs of decisions tell of sessions: who came when and from where, what was measured, and for how long each was
 * heard of. The same in whatever order entries are taken. Pure, bounded.
 */
import type { Coordinates } from "../geography.ts";
import type { DeviceTimes } from "../latency/budget.ts";
import type { RttSource } from "../placement/candidate.ts";
import type { Tier } from "../policy/placement-policy.ts";
import type { PolicyClient } from "../policy/policy-match.ts";
import { hashOfText } from "./day.ts";

/** Each is decided anew three times, which takes 50 µs over 300 pools; of more an even part is kept, which stands for the others. */
export const RECORDED_SESSIONS_MAX = 50_000;

export interface RecordedRtt {
  readonly rttMs: number;
  readonly source: RttSource;
}

/** What the first decision on a session was made from. */
export interface RecordedFacts {
  readonly app: string;
  readonly tier: Tier;
  /** The finest that it is of. */
  readonly group: string;
  readonly client: PolicyClient;
  /** Undefined where the client's place is unknown. */
  readonly coordinates: Coordinates | undefined;
  /** Undefined where no pool could be considered. */
  readonly device: DeviceTimes | undefined;
  /** By pool. */
  readonly rtts: ReadonlyMap<string, RecordedRtt>;
}

export interface RecordedDecision {
  readonly session: string;
  readonly atMs: number;
  /** It came just then; false at a renewal. */
  readonly isNew: boolean;
  /** Where it runs from then on; undefined where it waits or was refused. */
  readonly pool: string | undefined;
}

export interface RecordedSession {
  readonly session: string;
  readonly facts: RecordedFacts;
  readonly isNew: boolean;
  readonly begunMs: number;
  /** Undefined where no decision placed it. */
  readonly placed: { readonly atMs: number; readonly pool: string } | undefined;
  /** The last decision. */
  readonly heardMs: number;
  readonly endedMs: number | undefined;
}

interface Life {
  readonly session: string;
  /** Undefined where only its end is known. */
  facts: RecordedFacts | undefined;
  isNew: boolean;
  begunMs: number;
  placed: RecordedSession["placed"];
  heardMs: number;
  endedMs: number | undefined;
}

export class RecordedSessions {
  readonly #lives = new Map<string, Life>();
  readonly #sessionsMax: number;
  #keptOneOf = 1;
  #fromMs = Number.POSITIVE_INFINITY;
  #toMs = Number.NEGATIVE_INFINITY;

  constructor(sessionsMax = RECORDED_SESSIONS_MAX) {
    this.#sessionsMax = sessionsMax;
  }

  /** A power of two: how many sessions each that is kept stands for. */
  get keptOneOf(): number {
    return this.#keptOneOf;
  }

  /** When the first decision was, and the last; infinite where there is none. */
  get span(): { readonly fromMs: number; readonly toMs: number } {
    return { fromMs: this.#fromMs, toMs: this.#toMs };
  }

  /** `readFacts` is called of the earliest decision on a session so far, and of no other. */
  decided({ session, atMs, isNew, pool }: RecordedDecision, readFacts: () => RecordedFacts): void {
    this.#fromMs = Math.min(this.#fromMs, atMs);
    this.#toMs = Math.max(this.#toMs, atMs);
    const life = this.#lifeOf(session);
    if (life === undefined) return;
    if (life.facts === undefined || atMs < life.begunMs) {
      life.facts = readFacts();
      life.isNew = isNew;
      life.begunMs = atMs;
    }
    life.heardMs = Math.max(life.heardMs, atMs);
    if (pool !== undefined && !(life.placed !== undefined && life.placed.atMs <= atMs)) life.placed = { atMs, pool };
  }

  ended(session: string, atMs: number): void {
    const life = this.#lifeOf(session);
    if (life !== undefined) life.endedMs = Math.max(life.endedMs ?? atMs, atMs);
  }

  /** In the order in which they came. Those of which only the end is known are none. */
  list(): readonly RecordedSession[] {
    const known = [...this.#lives.values()].flatMap(({ facts, ...life }) =>
      facts === undefined ? [] : { ...life, facts },
    );
    return known.sort((a, b) => a.begunMs - b.begunMs || (a.session < b.session ? -1 : 1));
  }

  #lifeOf(session: string): Life | undefined {
    const known = this.#lives.get(session);
    if (known !== undefined) return known;
    if (!this.#isKept(session)) return undefined;
    const life: Life = {
      ...{ session, facts: undefined, isNew: false, placed: undefined, endedMs: undefined },
      ...{ begunMs: Number.POSITIVE_INFINITY, heardMs: Number.NEGATIVE_INFINITY },
    };
    this.#lives.set(session, life);
    while (this.#lives.size > this.#sessionsMax) this.#thin();
    return this.#lives.get(session);
  }

  #isKept(session: string): boolean {
    return hashOfText(session, 0) % this.#keptOneOf === 0;
  }

  #thin(): void {
    this.#keptOneOf *= 2;
    for (const session of this.#lives.keys()) if (!this.#isKept(session)) this.#lives.delete(session);
  }
}
