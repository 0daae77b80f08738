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
  /** That wrote the revision; absent where it is not known. */
  readonly timeline?: string;
}

/**
 * What one start of the log's writer appended: the revisions after `after`, up to the next one's. A log that is put back
 * from a backup goes on with another timeline at an earlier revision, so that its history is told from the one it left.
 */
export interface Timeline {
  readonly id: string;
  readonly after: number;
}

/**
 * Whether a log has been at what is held. Where either says nothing of timelines, or so long has passed that the log
 * has forgotten them, it is taken to have been. Of one epoch.
 */
export function isOfHistory(held: Pick<Watermark, "revision" | "timeline">, timelines: readonly Timeline[]): boolean {
  const [first] = timelines;
  if (held.timeline === undefined || first === undefined) return true;
  const at = timelines.findIndex(({ id }) => id === held.timeline);
  if (at < 0) return held.revision <= first.after;
  return held.revision <= (timelines[at + 1]?.after ?? Number.POSITIVE_INFINITY);
}

/** Of the revisions that a batch is about. */
export function timelinesOf(
  { from, to, snapshot }: Pick<PoolBatch, "from" | "to" | "snapshot">,
  all: readonly Timeline[],
): readonly Timeline[] {
  const first = snapshot
    ? 0
    : Math.max(
        0,
        all.findLastIndex(({ after }) => after < from),
      );
  return all.slice(first).filter(({ after }) => after < to);
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
  /** In order; those of the revisions from `from` to `to`, of a snapshot all that the log keeps. */
  readonly timelines?: readonly Timeline[];
}
