/** The pool's desired state as the agent holds it: signed batches from any of its edges, verified on receipt and at each load. */
import { decodePoolBatch } from "#contracts/codec/pool-batch.ts";
import {
  advance,
  checkContinues,
  EMPTY_SET,
  type Resources,
  type SetState,
  watermarkOf,
  withPart,
} from "#contracts/codec/set-state.ts";
import { POOL_BATCH_CONTEXT, type PoolBatch, type Watermark } from "#domain/desired-state.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { checkEpochProof, type EpochTrust } from "#platform/identity/epoch-trust.ts";
import { checkSignature, type TrustedKeys } from "#platform/identity/signatures.ts";
import { VERIFIERS_MIGRATION, Verifiers } from "#platform/identity/verifiers.ts";
import { type Database, openOrBeginAgain } from "#platform/sqlite/database.ts";

export const POOL_SET_MIGRATIONS = [
  `CREATE TABLE envelope (
     position INTEGER PRIMARY KEY, payload BLOB NOT NULL, signature BLOB NOT NULL, key_id TEXT NOT NULL
   ) STRICT`,
  VERIFIERS_MIGRATION,
];

/** Verified in a tenth of a second at load; a longer chain is replaced by a snapshot. */
export const CHAIN_ENVELOPES_MAX = 512;
/** Parts of one snapshot that wait for its last one: 256 of at most a message's size. */
const SNAPSHOT_PARTS_MAX = 256;

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
  readonly epochs: () => EpochTrust;
}

export type BatchOutcome =
  | "applied"
  /** Another edge brought it already, or something newer. */
  | "known"
  | "awaits-parts";

/** Its database is the caller's to close. One whose file has rotted is told of, set aside and begun again: an edge sends it anew. */
export function openPoolSet(
  path: string,
  options: PoolSetOptions,
  onDamage: (failure: Failure) => void,
): { readonly set: PoolSet; readonly database: Database } {
  const { set, database } = openOrBeginAgain(
    path,
    { migrations: POOL_SET_MIGRATIONS, durability: "full", isChecked: true },
    (opened) => ({ set: new PoolSet(opened, options), database: opened }),
    onDamage,
  );
  if (set.damage !== undefined) onDamage(set.damage);
  return { set, database };
}

export class PoolSet {
  readonly #database: Database;
  readonly #options: PoolSetOptions;
  readonly #verifiers: Verifiers;
  #state: SetState = EMPTY_SET;
  /** By edge: each sends the parts of a snapshot in order. */
  readonly #parts = new Map<string, readonly Part[]>();
  #chainLength = 0;
  #damage: Failure | undefined;

  /** What is stored counts as far as it verifies; then only a snapshot goes on from it. */
  constructor(database: Database, options: PoolSetOptions) {
    this.#database = database;
    this.#options = options;
    this.#verifiers = new Verifiers(database);
    this.#load();
  }

  /** `undefined` where nothing whole is held: an edge then sends a snapshot. */
  get watermark(): Watermark | undefined {
    if (this.#damage !== undefined || this.#state.revision === 0) return undefined;
    return watermarkOf(this.#state);
  }

  get resources(): Resources {
    return this.#state.resources;
  }

  get damage(): Failure | undefined {
    return this.#damage;
  }

  get needsSnapshot(): boolean {
    return this.#damage !== undefined || this.#chainLength > CHAIN_ENVELOPES_MAX;
  }

  /**
   * Throws `signature-invalid`, `argument-invalid`, `resource-invalid`, `epoch-regressed`, and `revision-compacted` or `digest-mismatch`:
   * ask for a snapshot. A refusal changes nothing.
   */
  apply(edge: string, envelope: SignedBatch): BatchOutcome {
    const batch = this.#open(envelope, this.#options.keys());
    if (this.#isKnown(batch)) return "known";
    const epochs = this.#options.epochs();
    if (batch.epoch < epochs.epoch) {
      const message = `a batch of epoch ${batch.epoch}, and this node's certificate is of ${epochs.epoch}`;
      throw new Failure("epoch-regressed", message);
    }
    checkContinues(this.#state, batch);
    if (!batch.snapshot && this.#damage !== undefined) {
      throw new Failure("revision-compacted", "what is stored is damaged: only a snapshot mends it");
    }
    const parts = withPart(this.#parts.get(edge) ?? [], { batch, envelope });
    if (parts.length > SNAPSHOT_PARTS_MAX) {
      throw new Failure("argument-invalid", `a snapshot has at most ${SNAPSHOT_PARTS_MAX} parts`);
    }
    this.#parts.set(edge, batch.last ? [] : parts);
    if (!batch.last) return "awaits-parts";
    checkEpochProof(batch, this.#state.epoch, epochs);
    const batches = parts.map((part) => part.batch);
    const state = advance(this.#state, batches);
    this.#store(parts);
    this.#state = state;
    this.#damage = undefined;
    return "applied";
  }

  /** An edge whose stream ended sends what it was sending from its beginning. */
  forgetParts(edge: string): void {
    this.#parts.delete(edge);
  }

  #isKnown({ epoch, to, snapshot }: PoolBatch): boolean {
    const { epoch: own, revision } = this.#state;
    if (epoch !== own) return epoch < own;
    // A snapshot of the same revision mends what is damaged or long.
    return snapshot && this.needsSnapshot ? to < revision : to <= revision;
  }

  #open({ payload, signature, keyId }: SignedBatch, keys: TrustedKeys): PoolBatch {
    checkSignature({ context: POOL_BATCH_CONTEXT, bytes: payload, signature, keyId }, keys);
    const batch = decodePoolBatch(payload);
    const { pool } = this.#options;
    if (batch.pool !== pool) throw new Failure("argument-invalid", `a batch of pool ${batch.pool}, not ${pool}`);
    return batch;
  }

  #store(parts: readonly Part[]): void {
    const isSnapshot = parts[0]?.batch.snapshot === true;
    this.#database.transaction(() => {
      if (isSnapshot) this.#database.exec("DELETE FROM envelope");
      const insert = this.#database.prepare("INSERT INTO envelope (payload, signature, key_id) VALUES (?, ?, ?)");
      for (const { envelope } of parts) insert.run(envelope.payload, envelope.signature, envelope.keyId);
      for (const { envelope } of parts) this.#verifiers.keep(envelope.keyId, this.#options.keys());
      if (isSnapshot) this.#verifiers.forgetUnused();
    });
    this.#chainLength = parts.length + (isSnapshot ? 0 : this.#chainLength);
  }

  #load(): void {
    const rows = this.#database.prepare("SELECT payload, signature, key_id FROM envelope ORDER BY position").all();
    this.#chainLength = rows.length;
    let parts: readonly Part[] = [];
    const keys = this.#verifiers.with(this.#options.keys());
    try {
      for (const row of rows) {
        const envelope = envelopeOf(row);
        const batch = this.#open(envelope, keys);
        checkContinues(this.#state, batch);
        parts = withPart(parts, { batch, envelope });
        if (!batch.last) continue;
        const batches = parts.map((part) => part.batch);
        this.#state = advance(this.#state, batches);
        parts = [];
      }
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#damage = error;
    }
  }
}

function envelopeOf(row: Record<string, unknown>): SignedBatch {
  const { payload, signature, key_id: keyId } = row;
  if (payload instanceof Uint8Array && signature instanceof Uint8Array && typeof keyId === "string") {
    return { payload, signature, keyId };
  }
  throw new Failure("storage-failed", "a stored envelope cannot be read");
}
