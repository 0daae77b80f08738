/** Sessions that this replica made or renewed: a cache, since a client carries its placement. Bounded. */
import type { PlacementAnswer } from "#contracts/operator-api/sessions.ts";
import { Failure } from "#domain/failure.ts";
import type { DeviceTimes } from "#domain/latency/budget.ts";
import type { MoveHistory } from "#domain/placement/move-rule.ts";
import type { Tier } from "#domain/policy/placement-policy.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import type { LocatedClient } from "../geo/client-groups.ts";
import type { InSessionRtt } from "./in-session.ts";

/** Probing and asking again while queued; after this the client begins anew. */
export const SESSION_PENDING_MS = 60_000;
/** A kilobyte each; one more is refused rather than one that is probing dropped. */
export const SESSIONS_PENDING_MAX = 10_000;
/** The least recently used leaves: its client renews from the placement that it carries. */
export const SESSIONS_PLACED_MAX = 50_000;
/** The longest session that a policy can permit. */
const SESSION_PLACED_MS = 86_400_000;

export interface IssuedPlacement {
  readonly answer: PlacementAnswer;
  /** The attempt that it followed: asked for after the same one again, it is given again. */
  readonly afterAttempt: number;
  readonly expiresAtMs: number;
}

export interface SessionRecord {
  readonly session: string;
  readonly app: string;
  readonly tier: Tier;
  /** RFC 7638, of the client's key. */
  readonly thumbprint: string;
  readonly device: DeviceTimes;
  readonly client: LocatedClient;
  /** Of the app token. */
  readonly tenant?: string | undefined;
  readonly appSessionsMax: number;
  /** Pools that the client was asked to probe, and near ones that could take nothing. */
  readonly probedPools: readonly string[];
  readonly passedOverPools: readonly string[];
  /** RTT p95 by pool, as this client measured it. */
  readonly measured: ReadonlyMap<string, number>;
  /** What its connection has shown; undefined before it runs, or is heard of. */
  readonly inSession?: InSessionRtt | undefined;
  /** Of the last placement; 0 before the first. */
  readonly attempt: number;
  readonly issued: IssuedPlacement | undefined;
  /** How its round trips went, from renewal to renewal. */
  readonly moves?: MoveHistory | undefined;
}

export class SessionTable {
  readonly #pending: BoundedMap<string, SessionRecord>;
  readonly #placed: BoundedMap<string, SessionRecord>;

  constructor(clock: Clock) {
    const pending = { ms: SESSION_PENDING_MS, clock };
    this.#pending = new BoundedMap({ entriesMax: SESSIONS_PENDING_MAX, lifetime: pending });
    this.#placed = new BoundedMap({
      entriesMax: SESSIONS_PLACED_MAX,
      lifetime: { ms: SESSION_PLACED_MS, clock },
    });
  }

  /** Throws a retryable `overloaded` at the limit. */
  add(record: SessionRecord): void {
    if (this.#pending.size >= SESSIONS_PENDING_MAX) this.#pending.sweep();
    if (this.#pending.size >= SESSIONS_PENDING_MAX) {
      throw new Failure(
        "overloaded",
        `${SESSIONS_PENDING_MAX} sessions are being made, which is the limit: try again`,
        {
          retryable: true,
        },
      );
    }
    this.#pending.set(record.session, record);
  }

  find(session: string): SessionRecord | undefined {
    return this.#placed.get(session) ?? this.#pending.peek(session);
  }

  /** A session without a placement lives as long again from each call. */
  update(record: SessionRecord): void {
    if (record.attempt > 0) {
      this.#pending.delete(record.session);
      this.#placed.set(record.session, record);
    } else if (this.#pending.has(record.session)) {
      this.#pending.set(record.session, record);
    }
  }

  delete(session: string): void {
    this.#pending.delete(session);
    this.#placed.delete(session);
  }
}
