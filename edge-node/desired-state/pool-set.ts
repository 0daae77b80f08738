/** The pool's desired state on disk, as the signed envelopes that made it: verified on receipt and again at each load. */
import { decodePoolBatch } from "#contracts/codec/pool-batch.ts";
import {
  advance,
  checkContinues,
  EMPTY_SET,
  type Resources,
  type SetState,
  withPart,
} from "#contracts/codec/set-state.ts";
import { POOL_BATCH_CONTEXT, type PoolBatch, type Watermark } from "#domain/desired-state.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { checkSignature, type TrustedKeys } from "#platform/identity/signatures.ts";
import { type Database, isBrokenDatabase } from "#platform/sqlite/database.ts";

export const POOL_SET_MIGRATIONS = [
  `CREATE TABLE floor (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, revision INTEGER NOT NULL) STRICT;
   CREATE TABLE envelope (
     position INTEGER PRIMARY KEY, continues INTEGER NOT NULL,
     payload BLOB NOT NULL, signature BLOB NOT NULL, key_id TEXT NOT NULL
   ) STRICT`,
];

/** Verified in a tenth of a second at load; a longer chain is replaced by a snapshot. */
export const CHAIN_ENVELOPES_MAX = 512;
/** Parts of one snapshot that wait for its last one. */
export const SNAPSHOT_PARTS_MAX = 256;
export const SNAPSHOT_BYTES_MAX = 64 * 1024 * 1024;

export interface SignedBatch {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly keyId: string;
}

interface Part {
  readonly batch: PoolBatch;
  readonly envelope: SignedBatch;
}

export interface PoolSetOptions {
  readonly pool: string;
  readonly keys: () => TrustedKeys;
}

export class PoolSet {
  readonly #database: Database;
  readonly #options: PoolSetOptions;
  /** What was acknowledged as durable: nothing older is taken, whatever happened to the disk. */
  #floor: Pick<Watermark, "epoch" | "revision"> = { epoch: 0, revision: 0 };
  #state: SetState = EMPTY_SET;
  #parts: readonly Part[] = [];
  #chainLength = 0;
  #damage: Failure | undefined;

  /** What is stored is replayed as far as it verifies; the rest counts as damage, and only a snapshot mends it. */
  constructor(database: Database, options: PoolSetOptions) {
    this.#database = database;
    this.#options = options;
    this.#load();
  }

  /** `undefined` where nothing whole is held: the origin then sends a snapshot. */
  get watermark(): Watermark | undefined {
    if (this.#damage !== undefined || this.#state.revision === 0) return undefined;
    const { epoch, revision, setDigest } = this.#state;
    return { epoch, revision, setDigest };
  }

  get resources(): Resources {
    return this.#state.resources;
  }

  /** Why what was stored could not be read whole. */
  get damage(): Failure | undefined {
    return this.#damage;
  }

  /** The chain has become long, or is damaged. */
  get needsSnapshot(): boolean {
    return this.#damage !== undefined || this.#chainLength > CHAIN_ENVELOPES_MAX;
  }

  /**
   * False where further parts of a snapshot are awaited. Throws `signature-invalid`, `argument-invalid` (another pool,
   * unreadable, too large), `resource-invalid`, `epoch-regressed`, and `revision-compacted` or `digest-mismatch`: ask
   * for a snapshot. A refusal changes nothing.
   */
  apply(envelope: SignedBatch): boolean {
    const batch = this.#open(envelope);
    checkContinues(this.#floor, batch);
    if (!batch.snapshot && this.#damage !== undefined) {
      throw new Failure("revision-compacted", "what is stored is damaged: only a snapshot mends it");
    }
    const parts = withPart(this.#parts, { batch, envelope });
    checkSize(parts);
    this.#parts = batch.last ? [] : parts;
    if (!batch.last) return false;
    const batches = parts.map((part) => part.batch);
    const state = advance(this.#state, batches);
    this.#store(parts, state);
    this.#state = state;
    this.#floor = { epoch: state.epoch, revision: state.revision };
    this.#damage = undefined;
    return true;
  }

  /** What a node of this pool that holds `watermark` lacks, to be passed on unopened. */
  envelopesAfter(watermark: Watermark | undefined): readonly SignedBatch[] {
    const own = this.watermark;
    if (own === undefined) return [];
    if (watermark?.epoch === own.epoch && watermark.revision === own.revision) {
      return watermark.setDigest === own.setDigest ? [] : this.#envelopes(undefined);
    }
    const later = watermark?.epoch === own.epoch ? this.#envelopes(watermark.revision) : [];
    return later.length > 0 ? later : this.#envelopes(undefined);
  }

  #open({ payload, signature, keyId }: SignedBatch): PoolBatch {
    checkSignature({ context: POOL_BATCH_CONTEXT, bytes: payload, signature, keyId }, this.#options.keys());
    const batch = decodePoolBatch(payload);
    const { pool } = this.#options;
    if (batch.pool !== pool) throw new Failure("argument-invalid", `a batch of pool ${batch.pool}, not ${pool}`);
    return batch;
  }

  #store(parts: readonly Part[], { epoch, revision }: SetState): void {
    const isSnapshot = parts[0]?.batch.snapshot === true;
    this.#database.transaction(() => {
      if (isSnapshot) this.#database.exec("DELETE FROM envelope");
      const insert = this.#database.prepare(
        "INSERT INTO envelope (continues, payload, signature, key_id) VALUES (?, ?, ?, ?)",
      );
      for (const { batch, envelope } of parts) {
        insert.run(batch.snapshot ? -1 : batch.from, envelope.payload, envelope.signature, envelope.keyId);
      }
      this.#database.prepare("INSERT OR REPLACE INTO floor VALUES (1, ?, ?)").run(epoch, revision);
    });
    this.#chainLength = parts.length + (isSnapshot ? 0 : this.#chainLength);
  }

  /** The whole chain, or the end of it that continues a revision: empty where none does. */
  #envelopes(fromRevision: number | undefined): readonly SignedBatch[] {
    const chain = "SELECT payload, signature, key_id FROM envelope";
    const rows =
      fromRevision === undefined
        ? this.#database.prepare(`${chain} ORDER BY position`).all()
        : this.#database
            .prepare(
              `${chain} WHERE position >= (SELECT min(position) FROM envelope WHERE continues = ?) ORDER BY position`,
            )
            .all(fromRevision);
    return rows.map(envelopeOf);
  }

  #load(): void {
    const floor = this.#database.prepare("SELECT epoch, revision FROM floor").get();
    if (floor === undefined) return;
    this.#floor = { epoch: Number(floor["epoch"]), revision: Number(floor["revision"]) };
    try {
      const chain = this.#envelopes(undefined);
      this.#chainLength = chain.length;
      for (const envelope of chain) this.#replay(envelope);
      if (this.#state.revision === this.#floor.revision && this.#state.epoch === this.#floor.epoch) return;
      throw new Failure("storage-failed", `the stored set ends before revision ${this.#floor.revision}`);
    } catch (error) {
      if (!isFailure(error) || isBrokenDatabase(error)) throw error;
      this.#damage = error;
    }
    this.#parts = [];
  }

  #replay(envelope: SignedBatch): void {
    const batch = this.#open(envelope);
    checkContinues(this.#state, batch);
    const parts = withPart(this.#parts, { batch, envelope });
    this.#parts = batch.last ? [] : parts;
    if (!batch.last) return;
    this.#state = advance(
      this.#state,
      parts.map((part) => part.batch),
    );
  }
}

function checkSize(parts: readonly Part[]): void {
  const bytes = parts.reduce((sum, { envelope }) => sum + envelope.payload.byteLength, 0);
  if (parts.length <= SNAPSHOT_PARTS_MAX && bytes <= SNAPSHOT_BYTES_MAX) return;
  throw new Failure(
    "argument-invalid",
    `a snapshot has at most ${SNAPSHOT_PARTS_MAX} parts and ${SNAPSHOT_BYTES_MAX} bytes, got ${parts.length} and ${bytes}`,
  );
}

function envelopeOf(row: Record<string, unknown>): SignedBatch {
  const { payload, signature, key_id: keyId } = row;
  if (payload instanceof Uint8Array && signature instanceof Uint8Array && typeof keyId === "string") {
    return { payload, signature, keyId };
  }
  throw new Failure("storage-failed", "a stored envelope cannot be read");
}
