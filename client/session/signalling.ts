/** The edge that a session which runs speaks to. Pictures come from the agent: where the edge is gone, another of the pool is told, or itself once it is back. */
import { EDGES_TRIED_MAX } from "./connect-media.ts";
import { attempt } from "./refusals.ts";
import type { Grant, StepInput } from "./session-ports.ts";

/** For one edge of the pool to take it up: nobody waits for it but the session's next ticket. */
const EDGE_MS_MAX = 2500;

export interface Signalling {
  readonly edge: string;
  /** False where the edge did not renew it. */
  renewTicket(signal: AbortSignal): Promise<boolean>;
  /** Shows the last ticket to the other edges of the pool, then to this one, which may have been started anew. False where none takes it. */
  move(signal: AbortSignal): Promise<boolean>;
}

export function createSignalling({ ports, facts, learn }: StepInput, grant: Grant): Signalling {
  const { api, clock } = ports;
  const { session, resume } = grant.connected;
  let { edge } = grant;
  let ticket = facts.resumeTicket ?? resume;
  const renewAt = async (at: string, shown: string | undefined, signal: AbortSignal): Promise<boolean> => {
    const renewed = await attempt(api.renewTicket(at, session, shown, signal));
    if (renewed === undefined || signal.aborted) return false;
    ticket = renewed;
    edge = at;
    learn({ resumeTicket: ticket, resumeTicketAtMs: clock.monotonicMs(), grant: { ...grant, edge } });
    return true;
  };
  return {
    get edge() {
      return edge;
    },
    renewTicket: (signal) => renewAt(edge, undefined, signal),
    async move(signal) {
      const others = (facts.placement?.edges ?? []).filter((other) => other !== edge);
      for (const at of [...others.slice(0, EDGES_TRIED_MAX - 1), edge]) {
        if (await renewAt(at, ticket, clock.deadline(EDGE_MS_MAX, signal))) return true;
      }
      return false;
    },
  };
}
