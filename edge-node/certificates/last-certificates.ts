/** The last certificate of each host name that this node could serve, its key as sealed as it came; kept on disk. */
import type { SiteCertificateSpec } from "#domain/content/site-certificate.ts";
import type { Database } from "#platform/sqlite/database.ts";

export const LAST_CERTIFICATES_MIGRATIONS = [
  "CREATE TABLE certificate (hostname TEXT PRIMARY KEY, certificate_pem TEXT NOT NULL, sealed TEXT NOT NULL) STRICT",
];

/** A host name's, as one node can open it. */
export interface OwnCertificate extends Pick<SiteCertificateSpec, "hostname" | "certificatePem"> {
  /** Base64. */
  readonly sealed: string;
}

export class LastCertificates {
  readonly #database: Database;
  readonly #kept = new Map<string, OwnCertificate>();

  constructor(database: Database) {
    this.#database = database;
    for (const row of database.prepare("SELECT hostname, certificate_pem, sealed FROM certificate").all()) {
      const hostname = String(row["hostname"]);
      const certificatePem = String(row["certificate_pem"]);
      this.#kept.set(hostname, { hostname, certificatePem, sealed: String(row["sealed"]) });
    }
  }

  find(hostname: string): OwnCertificate | undefined {
    return this.#kept.get(hostname);
  }

  hostnames(): readonly string[] {
    return [...this.#kept.keys()];
  }

  /** Of one that was opened and is in force. */
  keep(certificate: OwnCertificate): void {
    const { hostname, certificatePem, sealed } = certificate;
    if (this.#kept.get(hostname)?.sealed === sealed) return;
    this.#database.prepare("INSERT OR REPLACE INTO certificate VALUES (?, ?, ?)").run(hostname, certificatePem, sealed);
    this.#kept.set(hostname, certificate);
  }

  forget(hostname: string): void {
    if (!this.#kept.has(hostname)) return;
    this.#database.prepare("DELETE FROM certificate WHERE hostname = ?").run(hostname);
    this.#kept.delete(hostname);
  }
}
