/** An order to drop or expire stored responses, retained so that a snapshot carries it too. Pure. */

/** How long a purge is retained; a node that was away for longer expires what it stored before that. */
export const PURGE_RETENTION_MS = 30 * 86_400_000;

/** How far ahead of the origin's clock an operator's may be; a purge of later would keep from being cached what comes until then. */
export const PURGE_AHEAD_MS_MAX = 60_000;

export type PurgeMatch =
  | { readonly kind: "all" }
  | { readonly kind: "paths"; readonly paths: readonly string[] }
  | { readonly kind: "prefix"; readonly prefix: string }
  | { readonly kind: "tags"; readonly tags: readonly string[] };

export interface PurgeSpec {
  readonly site: string;
  readonly match: PurgeMatch;
  /** Soft: stored responses become stale and are validated before use; hard: they are removed. */
  readonly soft: boolean;
  /** Epoch milliseconds: applies to what was stored before. The origin's now where the operator gives none. */
  readonly atMs: number;
}
