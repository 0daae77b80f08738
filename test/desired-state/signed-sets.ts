/** A pool's set as an origin would send it: rows that come and go by revision, signed as batches and snapshots. */
import { encodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { setDigestOf } from "#contracts/codec/set-digest.ts";
import {
  type DesiredRow,
  EPOCH_CONTEXT,
  epochBytes,
  POOL_BATCH_CONTEXT,
  type PoolBatch,
  type Tombstone,
} from "#domain/desired-state.ts";
import type { AnyResource, Kind } from "#domain/resource.ts";
import { generateSigningKey, type SigningKey, signBytes } from "#platform/identity/signatures.ts";

const SIGNATURE = "A".repeat(86);

/** Of the kinds that the tests use, as short as a schema lets it be. */
function resourceOf(kind: string, name: string, resourceVersion: number): AnyResource {
  const metadata = { name, labels: {}, generation: 1, resourceVersion, createdAtMs: 1 };
  const apiVersion = "perigee.dev/v1" as const;
  switch (kind) {
    case "Site":
      return { apiVersion, kind, metadata, spec: { hostnames: [`${name}.example`], publish: PUBLISH } };
    case "ContentPolicy":
      return { apiVersion, kind, metadata, spec: { sites: ["shop"], prefetch: "all" } };
    case "Release": {
      const [site = "", generation = "1"] = name.split(".");
      const manifest = { digest: "a".repeat(64), sizeBytes: 1, signature: SIGNATURE, keyId: "k" };
      return { apiVersion, kind, metadata, spec: { site, generation: Number(generation), manifest, activateAtMs: 0 } };
    }
    case "Purge":
      return { apiVersion, kind, metadata, spec: { site: "shop", match: { kind: "all" }, soft: false, atMs: 1 } };
    case "Revocation": {
      const spec = { subject: { kind: "node" as const, name }, reason: "stolen", subjectExpiresAtMs: 1 };
      return { apiVersion, kind, metadata, spec };
    }
    default:
      throw new Error(`no sample of ${kind}`);
  }
}

const PUBLISH = { keepReleases: 5, indexDocument: "index.html" };

export interface Envelope {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly keyId: string;
}

export class SignedSets {
  readonly root: SigningKey = generateSigningKey();
  streamKey: SigningKey = generateSigningKey();
  epoch = 1;
  revision = 0;
  tombstones: Tombstone[] = [];
  readonly #resources = new Map<string, AnyResource>();
  #rows: DesiredRow[] = [];
  #from = 0;

  get keys() {
    return new Map([[this.streamKey.keyId, this.streamKey.publicKey]]);
  }

  /** `Kind/name` each, written at a revision of its own. */
  put(...keys: readonly string[]): this {
    for (const key of keys) this.#write(key, (kind, name, revision) => resourceOf(kind, name, revision));
    return this;
  }

  delete(...keys: readonly string[]): this {
    for (const key of keys) this.#write(key, () => undefined);
    return this;
  }

  /** Gone from the set, and nobody has said so. */
  lose(...keys: readonly string[]): this {
    for (const key of keys) this.#resources.delete(key);
    this.revision += 1;
    return this;
  }

  bury(kind: Kind, name: string): this {
    this.revision += 1;
    this.tombstones.push({ revision: this.revision, kind, name });
    return this;
  }

  /** What changed since the last batch or snapshot. */
  batch(): Envelope {
    const rows = this.#rows;
    return this.#sign({ snapshot: false, from: this.#from, rows });
  }

  snapshot(more: Partial<PoolBatch> = {}): Envelope {
    const rows = [...this.#resources.values()].map((resource) => {
      const { kind, metadata } = resource;
      return { revision: metadata.resourceVersion, kind, name: metadata.name, resource };
    });
    return this.#sign({ snapshot: true, from: 0, rows, tombstones: this.tombstones, ...more });
  }

  epochProof(epoch = this.epoch, key = this.root): Uint8Array {
    return signBytes(EPOCH_CONTEXT, epochBytes(epoch), key);
  }

  #write(key: string, make: (kind: string, name: string, revision: number) => AnyResource | undefined): void {
    const [kind = "", name = ""] = key.split("/");
    this.revision += 1;
    const old = this.#resources.get(key);
    const resource = make(kind, name, this.revision);
    if (resource === undefined) this.#resources.delete(key);
    else this.#resources.set(key, resource);
    const written = resource ?? old;
    if (written === undefined) throw new Error(`${key} is not there`);
    this.#rows.push({ revision: this.revision, kind: written.kind, name, resource });
  }

  #sign(batch: Pick<PoolBatch, "snapshot" | "from" | "rows"> & Partial<PoolBatch>): Envelope {
    const fixed = { epoch: this.epoch, pool: "near", to: this.revision, part: 0, last: true };
    const payload = encodePoolBatch({ ...fixed, setDigest: setDigestOf(this.#resources.values()), ...batch });
    this.#rows = [];
    this.#from = this.revision;
    return {
      payload,
      signature: signBytes(POOL_BATCH_CONTEXT, payload, this.streamKey),
      keyId: this.streamKey.keyId,
    };
  }
}
