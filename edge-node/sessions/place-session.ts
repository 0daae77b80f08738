/** Gets a session its lease: the agent that has it, else the one to ask first, else the next; bounded in tries and time. */
import type { Resources } from "#contracts/codec/set-state.ts";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { AgentDirectory, SessionHolder } from "./agent-directory.ts";
import type { SessionGrant } from "./grants.ts";
import type { Lease, Transport } from "./lease.ts";
import { type AgentOrder, orderAgents } from "./pick-agent.ts";

/** A warm agent answers in a tenth of it; a client waits 5 s for the whole call. */
export const LEASE_MS_MAX = 2_500;
export const PLACING_MS_MAX = 4_500;
export const AGENTS_ASKED_MAX = 3;

export interface PlacePorts {
  readonly directory: AgentDirectory;
  readonly resources: () => Resources;
  readonly clock: Clock;
  readonly events: { leaseAnswered(agent: string, outcome: "granted" | Failure): void };
}

export interface PlaceRequest {
  /** Compact JWS, which the agent verifies again. */
  readonly token: string;
  readonly grant: SessionGrant;
  readonly transport: Transport;
  readonly offerSdp: string;
}

export interface PlacedSession {
  readonly agent: string;
  readonly lease: Lease;
}

/** Throws what the agent found wrong with the request, `unavailable` or `no-pool-fits`. */
export async function placeSession(ports: PlacePorts, request: PlaceRequest): Promise<PlacedSession> {
  const { directory, clock, events } = ports;
  const { grant, token, transport, offerSdp } = request;
  const { session, attempt, renderClass } = grant;
  const holder = directory.holderOf(session);
  const order = orderAgents(directory.facts(), { renderClass, scene: sceneOf(ports.resources(), grant.app) });
  const whole = clock.deadline(PLACING_MS_MAX);
  let last: Failure | undefined;
  for (const name of agentsToAsk(directory, holder, order)) {
    const agent = directory.find(name);
    if (whole.aborted || agent === undefined) continue;
    const sent = { session, attempt, grant: token, thumbprint: grant.cnf.jkt, transport, offerSdp, renderClass };
    const outcome = await agent.requestLease(sent, clock.deadline(LEASE_MS_MAX, whole));
    events.leaseAnswered(name, outcome.kind === "granted" ? "granted" : outcome.failure);
    if (outcome.kind === "refused") throw outcome.failure;
    if (outcome.kind === "granted") {
      if (holder !== undefined && holder.agent.name !== name) {
        holder.agent.endSession({ session, attempt: holder.attempt, reason: `continued on ${name}` });
      }
      return { agent: name, lease: outcome.lease };
    }
    last = outcome.failure;
  }
  throw nobody(grant, order, last);
}

/** What it has, unless it is being emptied, comes before what it might get. */
function agentsToAsk(
  directory: AgentDirectory,
  holder: SessionHolder | undefined,
  order: AgentOrder,
): readonly string[] {
  const ordered = order.kind === "ordered" ? order.agents : [];
  const stays = holder !== undefined && !directory.isDraining(holder.agent) ? [holder.agent.name] : [];
  return [...new Set([...stays, ...ordered])].slice(0, AGENTS_ASKED_MAX);
}

/** Agents that have loaded it are asked again for it. */
function sceneOf(resources: Resources, app: string): string {
  const resource = resources.get(`RenderApp/${app}`);
  return resource?.kind === "RenderApp" ? `${app}\0${resource.spec.bundle.site}${resource.spec.bundle.path}` : app;
}

function nobody({ pool, renderClass }: SessionGrant, order: AgentOrder, last: Failure | undefined): Failure {
  const because = order.kind === "none" ? order.because : "refused";
  const detail = { because, ...(last === undefined ? {} : { lastRefusal: last.code }) };
  const said = last === undefined ? "" : `; the last one asked said ${last.code}: ${last.message}`;
  const message = `no agent of pool ${pool} takes a session of class ${renderClass} now (${because})${said}`;
  const isNoneThere = because === "no-agent" || because === "not-ready";
  return new Failure(isNoneThere ? "unavailable" : "no-pool-fits", message, { retryable: true, detail });
}
