/** Every pool's desired state on disk, as the signed envelopes that made it: verified on receipt and again at load. */
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
import { ALL_POOLS, POOL_BATCH_CONTEXT, type PoolBatch, type Watermark } from "#domain/desired-state.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { checkEpochProof, type EpochTrust } from "#platform/identity/epoch-trust.ts";
import { checkSignature, type TrustedKeys } from "#platform/identity/signatures.ts";
import { VERIFIERS_MIGRATION, Verifiers } from "#platform/identity/verifiers.ts";
import { type Database, openOrBeginAgain } from "#platform/sqlite/database.ts";

export const DESIRED_SET_MIGRATIONS = [
  `CREATE TABLE envelope (
     position INTEGER PRIMARY KEY, payload BLOB NOT NULL, signature BLOB NOT NULL, key_id TEXT NOT NULL
   ) STRICT`,
  VERIFIERS_MIGRATION,
];

/** Verified in a fifth of a second at load; a longer chain is replaced by a snapshot. */
export const CHAIN_ENVELOPES_MAX = 1024;
/** Parts of one snapshot that wait for its last one: all pools' resources, some kilobytes each. */
export const SNAPSHOT_PARTS_MAX = 512;
export const SNAPSHOT_BYTES_MAX = 256 * 1024 * 1024;

export interface SignedBatch {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly keyId: string;
}

export interface SetTrust extends EpochTrust {
  readonly streamKeys: TrustedKeys;
}

interface Part {
  readonly batch: PoolBatch;
  readonly envelope: SignedBatch;
}

/** The set is the caller's to close, with its database. One whose file has rotted is told of, set aside and begun again: the origin sends it anew. */
export function openDesiredSet(
  path: string,
  trust: () => SetTrust,
  onDamage: (failure: Failure) => void,
): { readonly set: DesiredSet; readonly database: Database } {
  const { set, database } = openOrBeginAgain(
    path,
    { migrations: DESIRED_SET_MIGRATIONS, durability: "full", isChecked: true },
    (opened) => ({ set: new DesiredSet(opened, trust), database: opened }),
    onDamage,
  );
  if (set.damage !== undefined) onDamage(set.damage);
  return { set, database };
}

export class DesiredSet {
  readonly #database: Database;
  readonly #trust: () => SetTrust;
  readonly #verifiers: Verifiers;
  #state: SetState = EMPTY_SET;
  #parts: readonly Part[] = [];
  #chainLength = 0;
  #damage: Failure | undefined;

  /** What is stored is replayed as far as it verifies; what comes after is dropped, and the origin sends it again. */
  constructor(database: Database, trust: () => SetTrust) {
    this.#database = database;
    this.#trust = trust;
    this.#verifiers = new Verifiers(database);
    this.#load();
  }

  /** `undefined` where nothing is held yet: the origin then sends a snapshot. */
  get watermark(): Watermark | undefined {
    return this.#state.revision === 0 ? undefined : watermarkOf(this.#state);
  }

  get resources(): Resources {
    return this.#state.resources;
  }

  /** Why what was stored could not be read whole at load. */
  get damage(): Failure | undefined {
    return this.#damage;
  }

  get needsSnapshot(): boolean {
    return this.#chainLength > CHAIN_ENVELOPES_MAX;
  }

  /**
   * False where further parts are awaited. Throws `signature-invalid`, `argument-invalid`, `resource-invalid`,
   * `epoch-regressed`, and `revision-compacted` or `digest-mismatch`: ask for a snapshot. A refusal changes nothing.
   */
  apply(envelope: SignedBatch): boolean {
    const trust = this.#trust();
    const parts = this.#take(envelope, trust.streamKeys);
    checkSize(parts);
    const last = parts.at(-1)?.batch;
    if (last?.last !== true) {
      this.#parts = parts;
      return false;
    }
    this.#parts = [];
    checkEpochProof(last, this.#state.epoch, trust);
    const state = advance(
      this.#state,
      parts.map(({ batch }) => batch),
    );
    this.#store(parts);
    this.#state = state;
    return true;
  }

  #take(envelope: SignedBatch, keys: TrustedKeys): readonly Part[] {
    const { payload, signature, keyId } = envelope;
    const { epoch } = this.#trust();
    checkSignature({ context: POOL_BATCH_CONTEXT, bytes: payload, signature, keyId }, keys);
    const batch = decodePoolBatch(payload);
    if (batch.pool !== ALL_POOLS) {
      throw new Failure("argument-invalid", `a batch of pool ${batch.pool}, expected that of all pools`);
    }
    checkContinues(this.#state.revision === 0 ? { epoch, revision: 0 } : this.#state, batch);
    return withPart(this.#parts, { batch, envelope });
  }

  #store(parts: readonly Part[]): void {
    const isSnapshot = parts[0]?.batch.snapshot === true;
    this.#database.transaction(() => {
      if (isSnapshot) this.#database.exec("DELETE FROM envelope");
      const insert = this.#database.prepare("INSERT INTO envelope (payload, signature, key_id) VALUES (?, ?, ?)");
      for (const { envelope } of parts) insert.run(envelope.payload, envelope.signature, envelope.keyId);
      for (const { envelope } of parts) this.#verifiers.keep(envelope.keyId, this.#trust().streamKeys);
      if (isSnapshot) this.#verifiers.forgetUnused();
    });
    this.#chainLength = parts.length + (isSnapshot ? 0 : this.#chainLength);
  }

  #load(): void {
    const rows = this.#database
      .prepare("SELECT position, payload, signature, key_id FROM envelope ORDER BY position")
      .all();
    let wholeUpTo = 0;
    const keys = this.#verifiers.with(this.#trust().streamKeys);
    try {
      for (const [index, row] of rows.entries()) {
        const parts = this.#take(envelopeOf(row), keys);
        this.#parts = parts;
        if (parts.at(-1)?.batch.last !== true) continue;
        this.#parts = [];
        this.#state = advance(
          this.#state,
          parts.map(({ batch }) => batch),
        );
        this.#chainLength = index + 1;
        wholeUpTo = Number(row["position"]);
      }
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#damage = error;
    }
    this.#parts = [];
    if (this.#chainLength < rows.length) {
      this.#damage ??= new Failure("storage-failed", "the stored set ends within a batch");
      this.#database.prepare("DELETE FROM envelope WHERE position > ?").run(wholeUpTo);
    }
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
