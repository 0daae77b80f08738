/** What takes a node's copy of the desired state from one revision to the next. Pure. */
import type { AnyResource, Kind } from "./resource.ts";

/** The pool name under which the set of all pools is distributed; only a scheduler gets it. */
export const ALL_POOLS = "*";

/** Keeps a batch's signature from being taken for that of anything else. */
export const POOL_BATCH_CONTEXT = "perigee/pool-batch/1";

/** Keeps what mints an epoch from being taken for anything else. */
export const EPOCH_CONTEXT = "perigee/epoch/1";

/** Of a log that was never restored. */
export const FIRST_EPOCH = 1;

/** What the authority's key signs of an epoch. */
export function epochBytes(epoch: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(epoch));
  return bytes;
}

/** What a bug of an edge may be brought out by and nobody waits for: it reaches one wave of pools after the other. */
export const ROLLED_OUT_KINDS: readonly Kind[] = ["Site", "Release", "ContentPolicy", "PlacementPolicy", "RenderApp"];

export function rollsOut(kind: Kind): boolean {
  return ROLLED_OUT_KINDS.includes(kind);
}

/** How far a node's copy is, and a digest of what it holds: equal watermarks mean equal sets. */
export interface Watermark {
  readonly epoch: number;
  readonly revision: number;
  /** Hexadecimal. */
  readonly setDigest: string;
}

export interface DesiredRow {
  readonly revision: number;
  readonly kind: Kind;
  readonly name: string;
  /** `undefined` where the row deletes it. */
  readonly resource: AnyResource | undefined;
}

/** A resource that is gone on purpose, or with the name `*` every one of the kind that the set does not have. */
export interface Tombstone {
  /** Of the log, when it was said: what was written later is not meant. */
  readonly revision: number;
  readonly kind: Kind;
  readonly name: string;
}

/** One step of one pool's set, signed once for all its nodes. */
export interface PoolBatch {
  readonly epoch: number;
  readonly pool: string;
  /** The revision that the receiver must be at; 0 for a snapshot. */
  readonly from: number;
  readonly to: number;
  /** The rows are the whole set; a large one comes in parts. */
  readonly snapshot: boolean;
  readonly part: number;
  readonly last: boolean;
  readonly rows: readonly DesiredRow[];
  /** Of the whole set after the last part, hexadecimal; empty on the others. */
  readonly setDigest: string;
  /** Of a snapshot, on its last part. */
  readonly tombstones?: readonly Tombstone[];
  /** Of a snapshot after the first epoch: the authority's signature. */
  readonly epochProof?: Uint8Array;
  /** The cross certificate of the authority that signed it, in DER, while the one before retires. */
  readonly epochAuthority?: Uint8Array;
}
