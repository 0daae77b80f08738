/** What the edge-node asks of the door to its pool's render-agents, and what it gives it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AgentStatus } from "#domain/fleet/node.ts";
import type { Address } from "#platform/address.ts";
import type { EdgeConfig } from "./config.ts";
import type { SignedBatch } from "./desired-state/pool-set.ts";
import type { EdgeParts } from "./edge-parts.ts";
import type { OpenObject } from "./published/open-object.ts";
import type { ReportQueue } from "./reports/report-queue.ts";

export interface SessionDoor extends AsyncDisposable {
  readonly addresses: Readonly<Record<"site" | "siteEnrolment", Address>>;
  /** True: it took the request (under `/.perigee/`, or steering while cut off). */
  handle(incoming: IncomingMessage, response: ServerResponse): boolean;
  agentStatuses(): readonly AgentStatus[];
  /** The set has changed by it; durable here. */
  passOn(envelope: SignedBatch): void;
}

export interface SessionPorts
  extends Pick<
    EdgeParts,
    | "origins"
    | "identity"
    | "metrics"
    | "clock"
    | "random"
    | "logger"
    | "incarnation"
    | "softwareVersion"
    | "set"
    | "view"
    | "siteOf"
    | "isRevoked"
    | "note"
  > {
  readonly config: EdgeConfig;
  readonly reports: Pick<ReportQueue, "push">;
  readonly isCutOff: () => boolean;
  /** Whether the site can be answered here without the origin: its release is held, or it is pulled. */
  readonly isServed: (site: string) => boolean;
  /** An object of a release that is served here: scenes for agents. */
  readonly openObject: (digest: string, offset: number) => Promise<OpenObject>;
  /** A file of a published site that a session granted here waits for. */
  readonly prefetchFile: (file: { readonly site: string; readonly path: string }) => void;
  /** What `agentStatuses` gives has changed: the origin is told. */
  readonly onAgentsChanged: () => void;
}

export type OpenSessionDoor = (ports: SessionPorts) => Promise<SessionDoor>;
