/**
 * Which release of each published site is served: one durable row each, verified when loaded, replaced by one swap. The
 * one before stays beside it until the one that took its place is proven.
 */
import { openManifest } from "#contracts/codec/manifest.ts";
import type { Digest, Manifest, ReleaseSpec } from "#domain/content/release.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { checkSignature, exportPublicKey, importPublicKey, type TrustedKeys } from "#platform/identity/signatures.ts";
import type { Database } from "#platform/sqlite/database.ts";

export const ACTIVE_RELEASES_MIGRATIONS = [
  `CREATE TABLE active (
     site TEXT PRIMARY KEY, generation INTEGER NOT NULL,
     manifest BLOB NOT NULL, digest TEXT NOT NULL, signature TEXT NOT NULL, key_id TEXT NOT NULL
   ) STRICT`,
  `CREATE TABLE before (
     site TEXT PRIMARY KEY, generation INTEGER NOT NULL, manifest BLOB, digest TEXT, signature TEXT, key_id TEXT
   ) STRICT;
   CREATE TABLE quarantined (site TEXT PRIMARY KEY, generation INTEGER NOT NULL) STRICT;
   CREATE TABLE verifier (key_id TEXT PRIMARY KEY, spki BLOB NOT NULL) STRICT`,
];

/** In `before`, of a site that served none. */
const NONE = 0;

export interface ActiveRelease {
  readonly generation: number;
  readonly manifest: Manifest;
}

export interface ActiveReleasesOptions {
  /** What is on trial gives way to what was before it: with the set that named it, or by itself, which is remembered. */
  readonly goBack?: "set" | "releases" | undefined;
  /** Called before another release is served, and before one is given up. */
  readonly beforeChange?: () => void;
}

export class ActiveReleases {
  readonly #database: Database;
  readonly #keys: () => TrustedKeys;
  readonly #beforeChange: () => void;
  readonly #releases = new Map<string, ActiveRelease>();
  /** By site, of what was ever activated: it stays where a stored manifest is damaged. */
  readonly #floors = new Map<string, number>();
  /** By site; `undefined` where there was none, or it does not verify any more. */
  readonly #before = new Map<string, ActiveRelease | undefined>();
  readonly #quarantined = new Map<string, number>();
  /** Stored manifests that did not verify: they are not served. */
  readonly damaged: readonly Failure[];

  constructor(database: Database, keys: () => TrustedKeys, options: ActiveReleasesOptions = {}) {
    this.#database = database;
    this.#keys = keys;
    this.#beforeChange = options.beforeChange ?? (() => undefined);
    if (options.goBack !== undefined) goBack(database, options.goBack);
    const damaged: Failure[] = [];
    const trusted = new Map([...verifiersIn(database), ...keys()]);
    for (const row of database.prepare("SELECT * FROM active").all()) {
      const { site, generation } = keyOf(row);
      this.#floors.set(site, generation);
      try {
        this.#releases.set(site, { generation, manifest: openRow(row, site, generation, trusted) });
      } catch (error) {
        if (!isFailure(error)) throw error;
        damaged.push(error);
      }
    }
    for (const row of database.prepare("SELECT * FROM before").all()) {
      const { site, generation } = keyOf(row);
      this.#before.set(site, generation === NONE ? undefined : openedOr(row, site, generation, trusted));
    }
    for (const row of database.prepare("SELECT * FROM quarantined").all()) {
      const { site, generation } = keyOf(row);
      this.#quarantined.set(site, generation);
    }
    this.damaged = damaged;
  }

  get(site: string): ActiveRelease | undefined {
    return this.#releases.get(site);
  }

  floorOf(site: string): number {
    return this.#floors.get(site) ?? 0;
  }

  /** Of a generation that crashed here: neither it nor an earlier one is activated. 0 where none has. */
  quarantinedOf(site: string): number {
    return this.#quarantined.get(site) ?? 0;
  }

  /** Those that may be served again too. */
  all(): Iterable<ActiveRelease> {
    const before = [...this.#before.values()].filter((release) => release !== undefined);
    return [...this.#releases.values(), ...before];
  }

  /** Sites that serve something else than what is proven, with the generation that they serve; 0: none. */
  unproven(): ReadonlyMap<string, number> {
    return new Map([...this.#before.keys()].map((site) => [site, this.get(site)?.generation ?? NONE]));
  }

  /** What was before is given up, where a site still serves this generation. */
  prove(releases: ReadonlyMap<string, number>): void {
    for (const [site, generation] of releases) {
      if (!this.#before.has(site) || (this.get(site)?.generation ?? NONE) !== generation) continue;
      this.#database.prepare("DELETE FROM before WHERE site = ?").run(site);
      this.#before.delete(site);
    }
    this.#database.exec(
      "DELETE FROM verifier WHERE key_id NOT IN (SELECT key_id FROM active UNION SELECT ifnull(key_id, '') FROM before)",
    );
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
    this.#beforeChange();
    const { digest, signature, keyId } = release.manifest;
    const key = this.#keys().get(keyId);
    this.#database.transaction(() => {
      this.#keepBefore(site);
      this.#database
        .prepare("INSERT OR REPLACE INTO active VALUES (?, ?, ?, ?, ?, ?)")
        .run(site, generation, bytes, digest, signature, keyId);
      this.#database.prepare("DELETE FROM quarantined WHERE site = ?").run(site);
      if (key === undefined) return;
      this.#database.prepare("INSERT OR IGNORE INTO verifier VALUES (?, ?)").run(keyId, exportPublicKey(key));
    });
    this.#noteBefore(site);
    this.#quarantined.delete(site);
    this.#floors.set(site, generation);
    this.#releases.set(site, { generation, manifest });
  }

  /** For a site that is no longer desired; made again, it begins anew. */
  forget(site: string): void {
    this.#beforeChange();
    this.#database.transaction(() => {
      this.#keepBefore(site);
      this.#database.prepare("DELETE FROM active WHERE site = ?").run(site);
      this.#database.prepare("DELETE FROM quarantined WHERE site = ?").run(site);
    });
    this.#noteBefore(site);
    this.#floors.delete(site);
    this.#releases.delete(site);
    this.#quarantined.delete(site);
  }

  /** The one that was proven last: what took its place in the meantime was not. */
  #keepBefore(site: string): void {
    if (this.#before.has(site)) return;
    const { changes } = this.#database.prepare("INSERT INTO before SELECT * FROM active WHERE site = ?").run(site);
    if (changes === 0) this.#database.prepare("INSERT INTO before (site, generation) VALUES (?, ?)").run(site, NONE);
  }

  #noteBefore(site: string): void {
    if (!this.#before.has(site)) this.#before.set(site, this.#releases.get(site));
  }
}

/** Reads no manifest: one of them may be the reason. */
function goBack(database: Database, because: "set" | "releases"): void {
  database.transaction(() => {
    if (because === "releases") {
      database.exec(
        `INSERT OR REPLACE INTO quarantined SELECT site, active.generation FROM active JOIN before USING (site)
         WHERE active.generation > before.generation`,
      );
    }
    database.exec(
      `DELETE FROM active WHERE site IN (SELECT site FROM before);
       INSERT INTO active SELECT * FROM before WHERE generation <> ${NONE};
       DELETE FROM before`,
    );
  });
}

/** Keys that opened what is stored here, each when it came: one that is trusted no more opens it still. */
function verifiersIn(database: Database): TrustedKeys {
  const rows = database.prepare("SELECT key_id, spki FROM verifier").all();
  return new Map(
    rows.flatMap(({ key_id: keyId, spki }) =>
      typeof keyId === "string" && spki instanceof Uint8Array ? [[keyId, importPublicKey(spki)]] : [],
    ),
  );
}

function keyOf(row: Record<string, unknown>): { readonly site: string; readonly generation: number } {
  return { site: String(row["site"]), generation: Number(row["generation"]) };
}

function openedOr(...opened: Parameters<typeof openRow>): ActiveRelease | undefined {
  try {
    return { generation: opened[2], manifest: openRow(...opened) };
  } catch (error) {
    if (!isFailure(error)) throw error;
    return undefined;
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
