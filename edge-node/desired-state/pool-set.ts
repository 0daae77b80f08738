/** The pool's desired state on disk, as the signed envelopes that made it: verified on receipt and again at each load. */
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
import { type Database, isBrokenDatabase } from "#platform/sqlite/database.ts";
import { ENVELOPE_CHAIN_MIGRATION, EnvelopeChain, type SignedBatch } from "./envelope-chain.ts";
import { ORDERS_MIGRATION, Orders } from "./orders.ts";
import { findShrink, SHRINK_PERCENT_MAX, type Shrink } from "./shrink.ts";
import { changedSubjects, subjectOf } from "./subjects.ts";
import { type Position, TRIAL_MIGRATION, Trial } from "./trial.ts";

export type { SignedBatch } from "./envelope-chain.ts";

export const POOL_SET_MIGRATIONS = [
  `CREATE TABLE floor (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, revision INTEGER NOT NULL) STRICT;
   CREATE TABLE envelope (
     position INTEGER PRIMARY KEY, continues INTEGER NOT NULL,
     payload BLOB NOT NULL, signature BLOB NOT NULL, key_id TEXT NOT NULL
   ) STRICT`,
  `${ENVELOPE_CHAIN_MIGRATION};${TRIAL_MIGRATION}`,
  ORDERS_MIGRATION,
];

/** Verified in a tenth of a second at load; a longer chain is replaced by a snapshot. */
export const CHAIN_ENVELOPES_MAX = 512;
/** Parts of one snapshot that wait for its last one. */
export const SNAPSHOT_PARTS_MAX = 256;
export const SNAPSHOT_BYTES_MAX = 64 * 1024 * 1024;
/** A message names so many, and says how many there are. */
const NAMES_SHOWN_MAX = 5;

interface Part {
  readonly batch: PoolBatch;
  readonly envelope: SignedBatch;
}

/** How a node that holds some state of the set comes to this one: by the envelopes that are stored, or not. */
export type Passage =
  | { readonly kind: "sent"; readonly envelopes: readonly SignedBatch[] }
  | { readonly kind: "nothing-held" }
  /** It holds a later state. */
  | { readonly kind: "ahead" }
  /** None of the stored batches continues what it holds. */
  | { readonly kind: "diverged" };

export interface PoolSetOptions {
  readonly pool: string;
  readonly keys: () => TrustedKeys;
  /** The origin's when the certificate was issued: nothing older is taken. */
  readonly epoch?: () => number;
  /**
   * Who mints epochs: the authorities that this node has pinned, and one that they have certified by `cross`. Without any,
   * no epoch after the first is taken.
   */
  readonly mints?: EpochTrust["mints"];
}

export class PoolSet {
  readonly #database: Database;
  readonly #options: PoolSetOptions;
  readonly #chain: EnvelopeChain;
  readonly #trial: Trial;
  readonly #orders: Orders;
  /** What was acknowledged as durable: nothing older is taken, whatever happened to the disk. */
  #floor: Pick<Watermark, "epoch" | "revision"> = { epoch: 0, revision: 0 };
  #state: SetState = EMPTY_SET;
  #parts: readonly Part[] = [];
  #chainLength = 0;
  #damage: Failure | undefined;
  #isUnpersisted = false;
  /** What came last was refused for what is in it: what follows does not continue what is held. */
  #isHoldingOut = false;
  #withOrders: Resources = EMPTY_SET.resources;

  /** What is stored is replayed as far as it verifies; the rest counts as damage, and only a snapshot mends it. */
  constructor(database: Database, options: PoolSetOptions, trial = new Trial(database)) {
    this.#database = database;
    this.#options = options;
    this.#chain = new EnvelopeChain(database);
    this.#trial = trial;
    this.#orders = new Orders(database);
    this.#load();
    this.#withOrders = this.#orders.over(this.#state.resources);
  }

  /** `undefined` where nothing whole is held: the origin then sends a snapshot. */
  get watermark(): Watermark | undefined {
    if (this.#damage !== undefined || this.#state.revision === 0) return undefined;
    return watermarkOf(this.#state);
  }

  get resources(): Resources {
    return this.#state.resources;
  }

  /** With the purges and revocations of what is refused; the same map until something changes. */
  get resourcesWithOrders(): Resources {
    return this.#withOrders;
  }

  /** Of the log that ordered last; `undefined` where nothing is held and nothing ordered. */
  get ordersEpoch(): number | undefined {
    return this.#orders.epoch ?? this.watermark?.epoch;
  }

  /** Why what was stored could not be read whole. */
  get damage(): Failure | undefined {
    return this.#damage;
  }

  /** Of the set as it is; `undefined` where nothing whole is held. */
  get position(): Position | undefined {
    const end = this.watermark === undefined ? undefined : this.#chain.end();
    return end && { ...end, epoch: this.#state.epoch, revision: this.#state.revision };
  }

  /** The disk refused what came last: it is asked for again. */
  get isUnpersisted(): boolean {
    return this.#isUnpersisted;
  }

  /** The chain has become long, or is damaged. */
  get needsSnapshot(): boolean {
    return this.#damage !== undefined || this.#chainLength > CHAIN_ENVELOPES_MAX;
  }

  /**
   * False where further parts of a snapshot are awaited. Throws `signature-invalid`, `certificate-untrusted`,
   * `argument-invalid` (another pool, unreadable, too large), `resource-invalid`, `epoch-regressed`, `shrink-refused`,
   * `revision-quarantined`, and `revision-compacted` or `digest-mismatch`: ask for a snapshot. A refusal changes nothing but
   * `resourcesWithOrders`.
   */
  apply(envelope: SignedBatch): boolean {
    const batch = this.#open(envelope, this.#options.keys());
    const before = this.#parts;
    try {
      return this.#take(batch, envelope);
    } catch (error) {
      if (isFailure(error)) this.#takeOrders(error, batch, before);
      throw error;
    }
  }

  #take(batch: PoolBatch, envelope: SignedBatch): boolean {
    this.#checkNotOlder(batch);
    if (!batch.snapshot && this.#damage !== undefined) {
      throw new Failure("revision-compacted", "what is stored is damaged: only a snapshot mends it");
    }
    checkContinues(this.#state, batch);
    const parts = withPart(this.#parts, { batch, envelope });
    checkSize(parts);
    this.#parts = batch.last ? [] : parts;
    if (!batch.last) return false;
    const batches = parts.map((part) => part.batch);
    this.#checkEpoch(batch);
    const state = advance(this.#state, batches);
    this.#checkShrink(state, batches);
    this.#checkSuspects(state);
    this.#isUnpersisted = true;
    this.#store(parts, state);
    this.#isUnpersisted = false;
    this.#state = state;
    this.#floor = { epoch: state.epoch, revision: state.revision };
    this.#damage = undefined;
    this.#isHoldingOut = false;
    this.#orders.settled();
    this.#withOrders = this.#orders.over(state.resources);
    return true;
  }

  /** No purge or revocation waits for what is wrong with the rest. What is older, or of an epoch not minted, orders nothing. */
  #takeOrders({ code }: Failure, batch: PoolBatch, before: readonly Part[]): void {
    const isHeldBack = code === "revision-quarantined" || code === "shrink-refused";
    const isNext = code === "revision-compacted" && this.#isHoldingOut && batch.epoch === this.#heldOutEpoch();
    if (!isHeldBack && !isNext) return;
    this.#isHoldingOut = true;
    const parts = batch.part === before.length ? before.map((part) => part.batch) : [];
    const rows = [...parts, batch].flatMap((part) => part.rows);
    const isWhole = batch.snapshot && batch.last && parts.length === batch.part;
    const isTaken = this.#orders.take({ epoch: batch.epoch, to: batch.to, rows, isWhole }, () => this.#trial.open());
    if (isTaken) this.#withOrders = this.#orders.over(this.#state.resources);
  }

  /** Of the log that is refused. */
  #heldOutEpoch(): number {
    return Math.max(this.#floor.epoch, this.#orders.epoch ?? 0);
  }

  /** What a node of this pool that holds `watermark` lacks, to be passed on unopened. */
  envelopesAfter(watermark: Watermark | undefined): readonly SignedBatch[] {
    const own = this.watermark;
    if (own === undefined) return [];
    if (watermark?.epoch === own.epoch && watermark.revision === own.revision) {
      return watermark.setDigest === own.setDigest ? [] : this.#chain.read();
    }
    const later = watermark?.epoch === own.epoch ? this.#chain.read(watermark.revision) : [];
    return later.length > 0 ? later : this.#chain.read();
  }

  /** As `envelopesAfter`, for one that is not to be sent what it would have to refuse. */
  passageFor(watermark: Watermark | undefined): Passage {
    const own = this.watermark;
    if (own === undefined) return { kind: "nothing-held" };
    if (watermark === undefined || watermark.epoch < own.epoch) return { kind: "sent", envelopes: this.#chain.read() };
    const { epoch, revision, setDigest } = watermark;
    if (epoch > own.epoch || revision > own.revision) return { kind: "ahead" };
    if (revision === own.revision && setDigest === own.setDigest) return { kind: "sent", envelopes: [] };
    if (this.#chain.digestAt(revision) === setDigest) return { kind: "sent", envelopes: this.#chain.read(revision) };
    // A snapshot that is older than what the node holds would take it back.
    const isOlder = (this.#chain.beginning() ?? own.revision) < revision;
    return isOlder ? { kind: "diverged" } : { kind: "sent", envelopes: this.#chain.read() };
  }

  #open({ payload, signature, keyId }: SignedBatch, keys: TrustedKeys): PoolBatch {
    checkSignature({ context: POOL_BATCH_CONTEXT, bytes: payload, signature, keyId }, keys);
    const batch = decodePoolBatch(payload);
    const { pool } = this.#options;
    if (batch.pool !== pool) throw new Failure("argument-invalid", `a batch of pool ${batch.pool}, not ${pool}`);
    return batch;
  }

  #checkNotOlder({ epoch, to }: PoolBatch): void {
    const certified = this.#options.epoch?.() ?? 0;
    if (epoch < certified) {
      throw new Failure("epoch-regressed", `a batch of epoch ${epoch}, and this node's certificate is of ${certified}`);
    }
    const { quarantine } = this.#trial;
    if (quarantine?.epoch === epoch && to <= quarantine.revision) {
      throw new Failure("revision-quarantined", `revision ${to} is not taken: ${quarantine.revision} has crashed here`);
    }
    const { epoch: heldEpoch, revision } = this.#floor;
    if (epoch < heldEpoch) throw new Failure("epoch-regressed", `a batch of epoch ${epoch}, after ${heldEpoch}`);
    if (epoch > heldEpoch || to >= revision) return;
    throw new Failure("epoch-regressed", `a batch to revision ${to}, after ${revision} of the same epoch`);
  }

  #checkEpoch(batch: PoolBatch): void {
    const { epoch = () => 0, mints = () => [] } = this.#options;
    checkEpochProof(batch, this.#floor.epoch, { epoch: epoch(), mints });
  }

  #checkShrink({ resources: after, revision }: SetState, batches: readonly PoolBatch[]): void {
    const rows = batches.flatMap((batch) => batch.rows);
    const isSnapshot = batches[0]?.snapshot === true;
    // Most batches delete nothing, and a look at the whole set is not free.
    if (!isSnapshot && rows.every(({ resource }) => resource !== undefined)) return;
    const tombstones = batches.flatMap((batch) => batch.tombstones ?? []);
    const shrink = findShrink({ before: this.#state.resources, after, rows, tombstones });
    if (shrink !== undefined) throw shrinkRefused(shrink, revision);
  }

  #checkSuspects({ resources, revision }: SetState): void {
    const { quarantine } = this.#trial;
    if (quarantine === undefined || !this.#trial.isSuspect(resources)) return;
    const names = shown(quarantine.suspects.map(({ subject }) => subject));
    throw new Failure(
      "revision-quarantined",
      `revision ${revision} has in it what ${quarantine.revision} crashed with: change one of ${names}`,
    );
  }

  #store(parts: readonly Part[], state: SetState): void {
    const isSnapshot = parts[0]?.batch.snapshot === true;
    const envelopes = parts.map(({ batch, envelope }) => ({
      ...envelope,
      from: batch.snapshot ? undefined : batch.from,
    }));
    const rows = parts.flatMap(({ batch }) => batch.rows);
    const changed = isSnapshot ? changedSubjects(this.#state.resources, state.resources) : new Set(rows.map(subjectOf));
    this.#database.transaction(() => {
      this.#chain.append(envelopes, this.#trial.proven, this.#options.keys());
      this.#database.prepare("INSERT OR REPLACE INTO floor VALUES (1, ?, ?)").run(state.epoch, state.revision);
      this.#trial.take(state.resources, changed, state.revision);
      this.#orders.settle(state.epoch, state.revision);
    });
    this.#trial.took();
    this.#chainLength = parts.length + (isSnapshot ? 0 : this.#chainLength);
  }

  #load(): void {
    const floor = this.#database.prepare("SELECT epoch, revision FROM floor").get();
    if (floor === undefined) return;
    this.#floor = { epoch: Number(floor["epoch"]), revision: Number(floor["revision"]) };
    const { quarantine, proven } = this.#trial;
    const end = quarantine === undefined ? this.#floor : (proven ?? EMPTY_SET);
    try {
      const keys = this.#chain.verifiers.with(this.#options.keys());
      const chain = this.#chain.read();
      this.#chainLength = chain.length;
      for (const envelope of chain) this.#replay(envelope, keys);
      if (this.#state.revision === end.revision && this.#state.epoch === end.epoch) return;
      throw new Failure("storage-failed", `the stored set ends before revision ${end.revision}`);
    } catch (error) {
      if (!isFailure(error) || isBrokenDatabase(error)) throw error;
      this.#damage = error;
    }
    this.#parts = [];
  }

  #replay(envelope: SignedBatch, keys: TrustedKeys): void {
    const batch = this.#open(envelope, keys);
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

function shrinkRefused({ kind, lost, held }: Shrink, revision: number): Failure {
  const what =
    kind === "Release" ? `sites of ${held} would have no release any more` : `of ${held} ${kind}s are not in it`;
  return new Failure(
    "shrink-refused",
    `revision ${revision} is not taken: ${lost.length} ${what} (${shown(lost)}), more than ${SHRINK_PERCENT_MAX} %, and no tombstone says so`,
    { detail: { kind, lost: lost.length, held } },
  );
}

export function shown(names: readonly string[]): string {
  const more = names.length > NAMES_SHOWN_MAX ? ` and ${names.length - NAMES_SHOWN_MAX} more` : "";
  return `${names.slice(0, NAMES_SHOWN_MAX).join(", ")}${more}`;
}
