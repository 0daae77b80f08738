/** Where content should be before it is asked for, and how stale it may get while cut off. Pure. */
import type { Labels } from "../placement/labels.ts";
import type { PrefetchWindow } from "./prefetch-window.ts";

export interface ContentPolicySpec {
  readonly sites: readonly string[];
  /** Pools that hold the content ahead of requests; all pools where not given. */
  readonly replicas?: number;
  /** Pools must carry these labels. */
  readonly residency?: Labels;
  /** What is asked for is fetched at any time. */
  readonly prefetch: Prefetch;
  /** Bounds on serving without the cloud. */
  readonly offline?: OfflineBounds;
}

export type Prefetch = "all" | "none" | { readonly windows: readonly PrefetchWindow[] };

export interface OfflineBounds {
  readonly maxStaleSeconds?: number;
  /** Not served at all when the edge has been cut off longer. */
  readonly denyAfterSeconds?: number;
}

export interface NamedContentPolicy {
  readonly name: string;
  readonly spec: ContentPolicySpec;
}
