/** What a page is told of its session: where it is, on what, and in words. Pure. */
import type { ConnectedSession } from "#contracts/operator-api/sessions.ts";
import type { Problem, SessionView } from "./session/session-ports.ts";
import type { Phase } from "./session/session-states.ts";
import { describeSession, type Words } from "./session/words.ts";

export interface SessionState extends Words {
  /** client/session/SPEC.md. */
  readonly phase: Phase;
  readonly session: string | undefined;
  /** Grows with each place that the session is given. */
  readonly attempt: number | undefined;
  readonly pool: string | undefined;
  /** Scheme, host and port. */
  readonly edge: string | undefined;
  readonly agent: string | undefined;
  readonly transport: string | undefined;
  readonly renderClass: ConnectedSession["renderClass"] | undefined;
  /** `d-…`, for `perigee why`. */
  readonly decision: string | undefined;
  readonly problem: Problem | undefined;
}

export function sessionStateOf(view: SessionView, nowMs: number): SessionState {
  const { phase, facts } = view;
  const { grant, placement, session, problem } = facts;
  return {
    ...{ phase, session, problem, ...describeSession(view, nowMs) },
    attempt: grant?.connected.attempt,
    pool: placement?.pool,
    edge: grant?.edge,
    agent: grant?.connected.agent,
    transport: grant?.transport,
    renderClass: grant?.connected.renderClass,
    decision: placement?.decision,
  };
}
