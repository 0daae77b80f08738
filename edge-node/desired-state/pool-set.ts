/** The pool's desired state on disk: takes signed batches, each whole or not at all; refusals change nothing. */
import { decodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { createSetDigest, setDigestOf } from "#contracts/codec/set-digest.ts";
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { type DesiredRow, POOL_BATCH_CONTEXT, type PoolBatch, type Watermark } from "#domain/desired-state.ts";
import { Failure } from "#domain/failure.ts";
import type { AnyResource } from "#domain/resource.ts";
import { checkSignature, type TrustedKeys } from "#platform/identity/signatures.ts";
import type { Database } from "#platform/sqlite/database.ts";

export const POOL_SET_MIGRATIONS = [
  `CREATE TABLE watermark (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER, revision INTEGER, digest TEXT) STRICT;
   CREATE TABLE resource (key TEXT PRIMARY KEY, json TEXT NOT NULL) STRICT`,
];

export interface SignedBatch {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly keyId: string;
}

type Resources = ReadonlyMap<string, AnyResource>;

export class PoolSet {
  readonly #database: Database;
  readonly #pool: string;
  readonly #keys: TrustedKeys;
  #resources: Resources = new Map();
  #watermark: Watermark = { epoch: 0, revision: 0, setDigest: setDigestOf([]) };
  #parts: PoolBatch[] = [];

  /** A stored set that does not fit its digest counts as none: at revision 0 the next batch must be a snapshot. */
  constructor(database: Database, options: { readonly pool: string; readonly keys: TrustedKeys }) {
    this.#database = database;
    this.#pool = options.pool;
    this.#keys = options.keys;
    this.#load();
  }

  get watermark(): Watermark {
    return this.#watermark;
  }

  get resources(): Resources {
    return this.#resources;
  }

  /**
   * False where further parts of a snapshot are awaited. Throws `signature-invalid`, `argument-invalid` (another pool,
   * unreadable), `resource-invalid`, `epoch-regressed`, and `revision-compacted` or `digest-mismatch`: ask for a snapshot.
   */
  apply({ payload, signature, keyId }: SignedBatch): boolean {
    checkSignature({ context: POOL_BATCH_CONTEXT, bytes: payload, signature, keyId }, this.#keys);
    const batch = decodePoolBatch(payload);
    this.#checkFit(batch);
    const parts = this.#withEarlierParts(batch);
    this.#parts = batch.last ? [] : parts;
    if (!batch.last) return false;
    const rows = parts.flatMap((part) => part.rows);
    const next = changed(batch.snapshot ? new Map() : this.#resources, rows);
    const digest = createSetDigest(batch.snapshot ? setDigestOf([]) : this.#watermark.setDigest);
    if (!batch.snapshot) for (const key of keysOf(rows)) withDefined(this.#resources.get(key), digest.remove);
    for (const key of keysOf(rows)) withDefined(next.get(key), digest.add);
    if (digest.toHex() !== batch.setDigest) {
      throw new Failure("digest-mismatch", `pool ${this.#pool}: the set at revision ${batch.to} has another digest`);
    }
    const watermark = { epoch: batch.epoch, revision: batch.to, setDigest: batch.setDigest };
    this.#store(batch.snapshot, keysOf(rows), next, watermark);
    this.#resources = next;
    this.#watermark = watermark;
    return true;
  }

  #checkFit({ pool, epoch, from, to, snapshot }: PoolBatch): void {
    const at = this.#watermark;
    if (pool !== this.#pool) throw new Failure("argument-invalid", `a batch of pool ${pool}, not ${this.#pool}`);
    if (epoch < at.epoch) throw new Failure("epoch-regressed", `a batch of epoch ${epoch}, after ${at.epoch}`);
    if (epoch === at.epoch && to < at.revision) {
      throw new Failure("epoch-regressed", `a batch to revision ${to}, after ${at.revision} of the same epoch`);
    }
    if (!snapshot && (epoch !== at.epoch || from !== at.revision)) {
      throw new Failure("revision-compacted", `a batch from revision ${from} does not continue ${at.revision}`);
    }
  }

  #withEarlierParts(batch: PoolBatch): PoolBatch[] {
    const earlier = batch.part === 0 ? [] : this.#parts;
    const fits = earlier.every(
      (part) => part.epoch === batch.epoch && part.to === batch.to && part.snapshot === batch.snapshot,
    );
    if (fits && earlier.length === batch.part) return [...earlier, batch];
    throw new Failure("revision-compacted", `part ${batch.part} does not follow the ${earlier.length} before it`);
  }

  #store(snapshot: boolean, keys: ReadonlySet<string>, next: Resources, watermark: Watermark): void {
    this.#database.transaction(() => {
      if (snapshot) this.#database.exec("DELETE FROM resource");
      const put = this.#database.prepare("INSERT OR REPLACE INTO resource VALUES (?, ?)");
      const remove = this.#database.prepare("DELETE FROM resource WHERE key = ?");
      for (const key of keys) {
        const resource = next.get(key);
        if (resource === undefined) remove.run(key);
        else put.run(key, JSON.stringify(resource));
      }
      const { epoch, revision, setDigest } = watermark;
      this.#database.prepare("INSERT OR REPLACE INTO watermark VALUES (1, ?, ?, ?)").run(epoch, revision, setDigest);
    });
  }

  #load(): void {
    const row = this.#database.prepare("SELECT epoch, revision, digest FROM watermark").get();
    if (row === undefined) return;
    const epoch = Number(row["epoch"]);
    this.#watermark = { ...this.#watermark, epoch };
    const resources = new Map<string, AnyResource>();
    for (const stored of this.#database.prepare("SELECT key, json FROM resource").all()) {
      resources.set(String(stored["key"]), parseStoredResource(String(stored["json"])));
    }
    const setDigest = setDigestOf(resources.values());
    if (setDigest !== row["digest"]) return;
    this.#resources = resources;
    this.#watermark = { epoch, revision: Number(row["revision"]), setDigest };
  }
}

function keyOf({ kind, name }: DesiredRow): string {
  return `${kind}/${name}`;
}

function keysOf(rows: readonly DesiredRow[]): Set<string> {
  return new Set(rows.map(keyOf));
}

function changed(before: Resources, rows: readonly DesiredRow[]): Resources {
  const after = new Map(before);
  for (const row of rows) {
    if (row.resource === undefined) after.delete(keyOf(row));
    else after.set(keyOf(row), row.resource);
  }
  return after;
}

function withDefined<T>(value: T | undefined, use: (value: T) => void): void {
  if (value !== undefined) use(value);
}
