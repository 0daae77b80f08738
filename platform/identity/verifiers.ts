/**
 * The keys that stored envelopes were verified by when they came: one that is trusted no more opens what it has opened,
 * and nothing new.
 */
import type { Database } from "../sqlite/database.ts";
import { exportPublicKey, importPublicKey, type TrustedKeys } from "./signatures.ts";

/** Beside a table `envelope` with a column `key_id`. */
export const VERIFIERS_MIGRATION = "CREATE TABLE verifier (key_id TEXT PRIMARY KEY, spki BLOB NOT NULL) STRICT";

export class Verifiers {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Of what is stored, with those that are trusted now. */
  with(trusted: TrustedKeys): TrustedKeys {
    const rows = this.#database.prepare("SELECT key_id, spki FROM verifier").all();
    const stored = rows.flatMap(({ key_id: keyId, spki }) =>
      typeof keyId === "string" && spki instanceof Uint8Array ? [[keyId, importPublicKey(spki)] as const] : [],
    );
    return new Map([...stored, ...trusted]);
  }

  /** Within the transaction that stores an envelope. */
  keep(keyId: string, trusted: TrustedKeys): void {
    const key = trusted.get(keyId);
    if (key === undefined) return;
    this.#database.prepare("INSERT OR IGNORE INTO verifier VALUES (?, ?)").run(keyId, exportPublicKey(key));
  }

  /** Within the transaction that removes envelopes. */
  forgetUnused(): void {
    this.#database.exec("DELETE FROM verifier WHERE key_id NOT IN (SELECT key_id FROM envelope)");
  }
}
