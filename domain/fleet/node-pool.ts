/** Nodes at one place. Pure. */
import type { Coordinates } from "../geography.ts";

export interface NodePoolSpec {
  readonly region: string;
  readonly coordinates: Coordinates;
  /** How long assignments of a pool that is cut off stay frozen. */
  readonly autonomyDurationSeconds: number;
  /** Whether one edge of the pool fetches for its siblings. */
  readonly relay: boolean;
  /** The pool whose edges are asked for what this one lacks, before an upstream is. */
  readonly parent?: string;
  /** What planned copies may take of the link towards the pool; the scheduler's default where not given. */
  readonly fillBytesPerSecond?: number;
}
