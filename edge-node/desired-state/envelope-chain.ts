/**
 * Signed envelopes on disk: the chain that made the set, which begins with a snapshot, and of the one before it as much
 * as is proven. With them the keys that they were verified by: a key that is trusted no more opens what it has opened.
 */
import { setDigestIn } from "#contracts/codec/pool-batch.ts";
import { Failure } from "#domain/failure.ts";
import type { TrustedKeys } from "#platform/identity/signatures.ts";
import { VERIFIERS_MIGRATION, Verifiers } from "#platform/identity/verifiers.ts";
import type { Database } from "#platform/sqlite/database.ts";
import type { Position } from "./trial.ts";

export const ENVELOPE_CHAIN_MIGRATION = `
  ALTER TABLE envelope ADD COLUMN chain INTEGER NOT NULL DEFAULT 1;
  ${VERIFIERS_MIGRATION}`;

export interface SignedBatch {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly keyId: string;
}

export interface LinkedEnvelope extends SignedBatch {
  /** The revision that it continues; `undefined` of a snapshot. */
  readonly from: number | undefined;
}

/** In place of the revision that a snapshot does not continue. */
const SNAPSHOT = -1;
const COLUMNS = "SELECT payload, signature, key_id FROM envelope";
const CURRENT = "chain = (SELECT max(chain) FROM envelope)";

export class EnvelopeChain {
  readonly verifiers: Verifiers;
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
    this.verifiers = new Verifiers(database);
  }

  /** The whole chain, or the end of it that continues a revision: empty where none does. */
  read(fromRevision?: number): readonly SignedBatch[] {
    const rows =
      fromRevision === undefined
        ? this.#database.prepare(`${COLUMNS} WHERE ${CURRENT} ORDER BY position`).all()
        : this.#database
            .prepare(
              `${COLUMNS} WHERE ${CURRENT} AND position >=
                 (SELECT min(position) FROM envelope WHERE ${CURRENT} AND continues = ?) ORDER BY position`,
            )
            .all(fromRevision);
    return rows.map(envelopeOf);
  }

  /** The digest of the set that the chain had made at the revision; `undefined` where none of its batches continues that. */
  digestAt(revision: number): string | undefined {
    const row = this.#database
      .prepare(
        `${COLUMNS} WHERE ${CURRENT} AND position <
           (SELECT min(position) FROM envelope WHERE ${CURRENT} AND continues = ?) ORDER BY position DESC LIMIT 1`,
      )
      .get(revision);
    return row === undefined ? undefined : setDigestIn(envelopeOf(row).payload);
  }

  /** The revision of the snapshot that it begins with; `undefined` where it is that snapshot alone. */
  beginning(): number | undefined {
    const row = this.#database
      .prepare(`SELECT min(continues) AS revision FROM envelope WHERE ${CURRENT} AND continues <> ${SNAPSHOT}`)
      .get();
    const revision = row?.["revision"];
    return typeof revision === "number" ? revision : undefined;
  }

  /** What a snapshot takes the place of goes, but for what is proven. Within a transaction. */
  append(envelopes: readonly LinkedEnvelope[], proven: Position | undefined, keys: TrustedKeys): void {
    const end = this.end();
    const isSnapshot = envelopes[0]?.from === undefined;
    const chain = (end?.chain ?? 0) + (isSnapshot ? 1 : 0);
    const insert = this.#database.prepare(
      "INSERT INTO envelope (continues, payload, signature, key_id, chain) VALUES (?, ?, ?, ?, ?)",
    );
    for (const { from = SNAPSHOT, payload, signature, keyId } of envelopes) {
      insert.run(from, payload, signature, keyId, chain);
      this.verifiers.keep(keyId, keys);
    }
    if (!isSnapshot) return;
    this.#database
      .prepare("DELETE FROM envelope WHERE chain < ? AND NOT (chain = ? AND position <= ?)")
      .run(chain, proven?.chain ?? 0, proven?.position ?? 0);
    this.verifiers.forgetUnused();
  }

  end(): Pick<Position, "chain" | "position"> | undefined {
    const row = this.#database.prepare(`SELECT chain, max(position) AS position FROM envelope WHERE ${CURRENT}`).get();
    const [chain, position] = [row?.["chain"], row?.["position"]];
    return typeof chain === "number" && typeof position === "number" ? { chain, position } : undefined;
  }
}

function envelopeOf(row: Record<string, unknown>): SignedBatch {
  const { payload, signature, key_id: keyId } = row;
  if (payload instanceof Uint8Array && signature instanceof Uint8Array && typeof keyId === "string") {
    return { payload, signature, keyId };
  }
  throw new Failure("storage-failed", "a stored envelope cannot be read");
}
