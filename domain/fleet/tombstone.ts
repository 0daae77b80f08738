/** A word that something is gone on purpose, retained so that a snapshot carries it to nodes that were away. Pure. */

/** A node that was away for longer has no certificate to come back with (30 days), nor may it renew one. */
export const TOMBSTONE_RETENTION_MS = 90 * 86_400_000;

/** What operators write and nodes serve by: a node gives up none of these in numbers unless it is told so. */
export const TOMBSTONE_KINDS = ["Site", "RenderApp", "ContentPolicy", "PlacementPolicy", "NodePool"] as const;
export type TombstoneKind = (typeof TOMBSTONE_KINDS)[number];

/** All of a kind that the log does not have: the word after a restore that what was lost may go. */
export const EVERY_NAME = "*";

export interface TombstoneSpec {
  readonly kind: TombstoneKind;
  /** Of the resource that is gone, or `EVERY_NAME`. */
  readonly name: string;
  /** Epoch milliseconds. The origin's now where the operator gives none. */
  readonly atMs: number;
}

export function isTombstoneKind(kind: string): kind is TombstoneKind {
  return TOMBSTONE_KINDS.some((known) => known === kind);
}

/** One for each thing that was ever deleted; no resource's name has a dot, so that of every name is no thing's. */
export function tombstoneName(kind: TombstoneKind, name: string): string {
  return `${kind.toLowerCase()}.${name === EVERY_NAME ? "every.name" : name}`;
}
