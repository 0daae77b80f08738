/** Where content should be before it is asked for, and how stale it may get while cut off. Pure. */
import type { Labels } from "../placement/labels.ts";

export interface ContentPolicySpec {
  readonly sites: readonly string[];
  /** Pools that hold the content ahead of requests; all pools where not given. */
  readonly replicas?: number;
  /** Pools must carry these labels. */
  readonly residency?: Labels;
  readonly prefetch: "all" | "none";
  /** Bounds on serving without the cloud. */
  readonly offline?: {
    readonly maxStaleSeconds?: number;
    /** Not served at all when the edge has been cut off longer. */
    readonly denyAfterSeconds?: number;
  };
}
