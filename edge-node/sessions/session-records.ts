/** What this edge knows of sessions beside what agents report: whose they are, and how they go. A cache: clients carry tickets. */
import type { Tier } from "#domain/policy/placement-policy.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";

/** Some hundred bytes each; who is forgotten shows its ticket again. */
export const SESSIONS_KNOWN_MAX = 10_000;
/** The longest session that a policy can permit. */
const SESSION_MS = 86_400_000;

export interface SessionQuality {
  readonly remotePathMsP50: number;
  readonly remotePathMsP95: number;
  /** Monotonic. */
  readonly atMs: number;
}

export interface SessionRecord {
  readonly session: string;
  readonly attempt: number;
  readonly app: string;
  readonly tier: Tier;
  readonly renderClass: string;
  /** RFC 7638, of the client's key. */
  readonly thumbprint: string;
  /** Epoch seconds, of the last ticket given. */
  readonly ticketExp: number;
  /** Placed by an edge itself, by an app token. */
  readonly isDirect: boolean;
  readonly quality?: SessionQuality | undefined;
}

export class SessionRecords {
  readonly #records: BoundedMap<string, SessionRecord>;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#records = new BoundedMap({ entriesMax: SESSIONS_KNOWN_MAX, lifetime: { ms: SESSION_MS, clock } });
  }

  find(session: string): SessionRecord | undefined {
    return this.#records.get(session);
  }

  /** Without counting as a use. */
  peek(session: string): SessionRecord | undefined {
    return this.#records.peek(session);
  }

  set(record: SessionRecord): void {
    this.#records.set(record.session, record);
  }

  delete(session: string): void {
    this.#records.delete(session);
  }
}
