/** Which release of each published site is served: one durable row each, verified when loaded, replaced by one swap. */
import { openManifest } from "#contracts/codec/manifest.ts";
import type { Digest, Manifest, ReleaseSpec } from "#domain/content/release.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { checkSignature, type TrustedKeys } from "#platform/identity/signatures.ts";
import type { Database } from "#platform/sqlite/database.ts";

export const ACTIVE_RELEASES_MIGRATIONS = [
  `CREATE TABLE active (
     site TEXT PRIMARY KEY, generation INTEGER NOT NULL,
     manifest BLOB NOT NULL, digest TEXT NOT NULL, signature TEXT NOT NULL, key_id TEXT NOT NULL
   ) STRICT`,
];

export interface ActiveRelease {
  readonly generation: number;
  readonly manifest: Manifest;
}

export class ActiveReleases {
  readonly #database: Database;
  readonly #releases = new Map<string, ActiveRelease>();
  /** By site, of what was ever activated: it stays where a stored manifest is damaged. */
  readonly #floors = new Map<string, number>();
  /** Stored manifests that did not verify: they are not served. */
  readonly damaged: readonly Failure[];

  constructor(database: Database, keys: TrustedKeys) {
    this.#database = database;
    const damaged: Failure[] = [];
    for (const row of database.prepare("SELECT * FROM active").all()) {
      const site = String(row["site"]);
      const generation = Number(row["generation"]);
      this.#floors.set(site, generation);
      try {
        this.#releases.set(site, { generation, manifest: openRow(row, site, generation, keys) });
      } catch (error) {
        if (!isFailure(error)) throw error;
        damaged.push(error);
      }
    }
    this.damaged = damaged;
  }

  get(site: string): ActiveRelease | undefined {
    return this.#releases.get(site);
  }

  floorOf(site: string): number {
    return this.#floors.get(site) ?? 0;
  }

  all(): Iterable<ActiveRelease> {
    return this.#releases.values();
  }

  sites(): readonly string[] {
    return [...this.#floors.keys()];
  }

  /** The signed bytes of a manifest that is served, for those who verify it themselves. */
  manifestBytes(digest: Digest): Uint8Array | undefined {
    const row = this.#database.prepare("SELECT site, manifest FROM active WHERE digest = ?").get(digest);
    const bytes = row?.["manifest"];
    return bytes instanceof Uint8Array && this.#releases.has(String(row?.["site"])) ? bytes : undefined;
  }

  /** Durable before it is served. Throws `generation-regressed`. */
  activate(release: ReleaseSpec, bytes: Uint8Array, manifest: Manifest): void {
    const { site, generation } = release;
    const floor = this.floorOf(site);
    const repairs = generation === floor && this.get(site) === undefined;
    if (generation <= floor && !repairs) {
      throw new Failure("generation-regressed", `site ${site}: generation ${generation} after ${floor}`);
    }
    const { digest, signature, keyId } = release.manifest;
    this.#database
      .prepare("INSERT OR REPLACE INTO active VALUES (?, ?, ?, ?, ?, ?)")
      .run(site, generation, bytes, digest, signature, keyId);
    this.#floors.set(site, generation);
    this.#releases.set(site, { generation, manifest });
  }

  /** For a site that is no longer desired; made again, it begins anew. */
  forget(site: string): void {
    this.#database.prepare("DELETE FROM active WHERE site = ?").run(site);
    this.#floors.delete(site);
    this.#releases.delete(site);
  }
}

function openRow(row: Record<string, unknown>, site: string, generation: number, keys: TrustedKeys): Manifest {
  const { manifest, digest, signature, key_id: keyId } = row;
  if (!(manifest instanceof Uint8Array) || typeof digest !== "string") {
    throw new Failure("storage-failed", `the stored manifest of ${site} cannot be read`);
  }
  if (typeof signature !== "string" || typeof keyId !== "string") {
    throw new Failure("storage-failed", `the stored signature of ${site} cannot be read`);
  }
  const claim = { site, generation, manifest: { digest, signature, keyId } };
  return openManifest(manifest, claim, (signed) => checkSignature(signed, keys));
}
