/** A member of a pool, made by enrolment, and what it reports of itself. Pure. */

export const NODE_ROLES = ["edge", "agent", "scheduler"] as const;
export type NodeRole = (typeof NODE_ROLES)[number];

export interface NodeSpec {
  readonly role: NodeRole;
  /** `-` for a scheduler, which belongs to no pool. */
  readonly pool: string;
  /** No new sessions and no new steering. */
  readonly cordoned: boolean;
  /** Cordoned, and what runs there is moved away. */
  readonly draining: boolean;
  /** Where an edge listens to other edges, `host:port`; absent where it does not. The origin writes what the edge says. */
  readonly peerAddress?: string;
}

/** The scheduler's word on a node, from the control link and from probes by others. */
export type NodeState = "connected" | "cut-off" | "dead";

export interface Condition {
  /** `Synced`: what the origin distributes is taken. */
  readonly type: "OfflineReady" | "StoreHealthy" | "Ready" | "Synced";
  readonly status: boolean;
  /** A word in CamelCase a program can test. */
  readonly reason: string;
  readonly message: string;
  readonly sinceMs: number;
}

/** What an edge says of itself; the last value counts. */
export interface NodeStatus {
  readonly incarnation: string;
  readonly softwareVersion: string;
  /** Where user agents reach it: scheme, host and port. */
  readonly contentUrl: string;
  /** `SITE.hostname` is a site at this node. */
  readonly hostname: string;
  /** Where other edges reach it, `host:port`; absent where it listens to none. */
  readonly peerAddress?: string;
  /** X25519, base64: what is secret is sealed to it; absent where it takes none. */
  readonly sealingKey?: string;
  readonly epoch: number;
  readonly appliedRevision: number;
  /** Newest, of the same epoch, that has served for long enough to be gone back to; absent where none has. */
  readonly provenRevision?: number;
  readonly storeBytesUsed: number;
  readonly storeBytesMax: number;
  readonly certificateExpiresAtMs: number;
  readonly conditions: readonly Condition[];
  readonly sites: readonly SiteStatus[];
  readonly agents: readonly AgentStatus[];
}

export interface SiteStatus {
  readonly site: string;
  /** The generation served; 0 while none is. */
  readonly activeGeneration: number;
  /** Highest generation known, and how many of its objects are still missing. */
  readonly desiredGeneration: number;
  readonly objectsMissing: number;
  /** Of all its objects; absent where its manifest is not known. */
  readonly releaseBytes?: number;
}

export interface AgentStatus {
  readonly agent: string;
  readonly incarnation: string;
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly slots: readonly SlotCount[];
  readonly sessions: readonly SessionStatus[];
}

export interface SlotCount {
  readonly renderClass: string;
  readonly total: number;
  readonly free: number;
  /** Render + encode, p95, measured by calibration or by the sessions running. */
  readonly frameMsP95: number;
}

export interface SessionStatus {
  readonly session: string;
  readonly attempt: number;
  readonly app: string;
  readonly renderClass: string;
  readonly startedAtMs: number;
  /** Remote-path latency as the client reported it last; 0 while it has not. */
  readonly remotePathMsP50: number;
  readonly remotePathMsP95: number;
  /** Smoothed, of its connection, as the agent measures it: no client can make it shorter. 0 where nothing is known. */
  readonly rttMs: number;
}
