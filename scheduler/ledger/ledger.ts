/** The port of the ledger: what each pool has free, as reported and less what is promised. A cache: the truth is the render-agents'. */
import { PLACEMENT_LIFETIME_SECONDS } from "#contracts/tokens/claims.ts";
import type { AgentStatus, SlotCount } from "#domain/fleet/node.ts";
import { CLOCK_SKEW_SECONDS } from "#platform/identity/tokens.ts";

/** A pool of which nothing was heard for so long takes nothing new: two reports lost and one late. */
export const SILENCE_MS_MAX = 10_000;
/** From an agent to its edge 2 s, from there to the scheduler 4 s. */
const REPORT_INTERVAL_MS = 6_000;
/** From the promise until its placement is signed. */
const ANSWER_MS = 1_000;
/**
 * After this no client can connect with the placement, and every report that is believed was made after the last could:
 * one from just before, which does not name it, is believed for the silence that is permitted. The skew is there twice:
 * who signs may be ahead by it, and who verifies allows for it.
 */
export const RESERVATION_MS =
  ANSWER_MS + (PLACEMENT_LIFETIME_SECONDS + 2 * CLOCK_SKEW_SECONDS) * 1000 + REPORT_INTERVAL_MS + SILENCE_MS_MAX;
/** Promises at once; each is for a slot that was reported free. */
export const RESERVATIONS_MAX = 50_000;
/** Pools in which one session is promised a slot: where it runs and is not reported yet, where it was refused, where it goes. */
export const PROMISES_PER_SESSION_MAX = 8;
/** An edge that has said nothing for so long is gone: its sessions count no more. */
export const EDGE_FORGOTTEN_MS = 600_000;
/** What an agent's clock may make of a frame; more is no measurement. */
const FRAME_MS_MAX = 60_000;
/** Edges whose reports are kept; the one not heard of for longest leaves. */
export const EDGES_MAX = 20_000;

/** The whole of what an edge says of its pool's agents. Only from a node whose link is up: an old status told again is no report. */
export interface EdgeReport {
  readonly pool: string;
  readonly node: string;
  readonly agents: readonly AgentStatus[];
}

/** What an edge signed in a probe answer: a sign of life and a bound on what is free, naming no session. */
export interface ProbedEdge {
  readonly pool: string;
  readonly freeSlots: Readonly<Record<string, number>>;
  readonly ageMs: number;
}

export interface SlotQuery {
  readonly pool: string;
  readonly renderClass: string;
  /** Agents that take nothing new: cordoned or draining. */
  readonly excludedAgents: ReadonlySet<string>;
}

export interface Capacity {
  /** False until the first full report, and after silence. */
  readonly isOpen: boolean;
  readonly slotsTotal: number;
  /** Reservations taken off; from 0. */
  readonly slotsFree: number;
  /** Render + encode p95 of the slowest agent of the class; undefined where no agent holds it. */
  readonly frameMsP95: number | undefined;
}

export interface ReservationRequest extends SlotQuery {
  readonly session: string;
  readonly attempt: number;
  readonly app: string;
  /** Sessions of the app at once, running and promised, this one included. */
  readonly appSessionsMax: number;
}

/** `superseded`: the session holds a promise of a higher attempt, or of this one in another pool. */
export type ReserveOutcome = "reserved" | "full" | "closed" | "over-cap" | "superseded";

/** What cannot reach it is a retryable `unavailable`; but of reports and probe answers, which come again, it is counted only. */
export interface Ledger {
  report(report: EdgeReport): Promise<void>;
  /** Ignored for a pool that has not reported. */
  probed(answer: ProbedEdge): Promise<void>;
  /** In the order of the queries. */
  capacities(queries: readonly SlotQuery[]): Promise<readonly Capacity[]>;
  /**
   * A session is promised one slot in a pool: the same attempt, or a higher one, finds its own again there. A promise in
   * another pool stands beside it until its own end: who holds that placement may have connected with it, and no report
   * says so yet. An earlier call that is carried out late promises nothing.
   */
  reserve(request: ReservationRequest): Promise<ReserveOutcome>;
  /** All that the session is promised. It runs nowhere any more, and does not come. */
  release(session: string): Promise<void>;
  /** Running, as reported, and promised. */
  countSessions(app: string): Promise<number>;
}

export function isMeasured({ frameMsP95, total }: SlotCount): boolean {
  return total > 0 && frameMsP95 >= 0 && frameMsP95 <= FRAME_MS_MAX;
}
