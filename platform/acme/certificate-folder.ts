/** Keys and certificates that were ordered: a file a name with both, so that they change together or not at all. */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { storageFailure, writeFileDurably } from "../files/durable.ts";
import type { CertificatePair } from "../identity/site-certificate.ts";
import { createAcmeKeyPem } from "./order-certificate.ts";

const ACCOUNT_FILE = "account.key";
const SUFFIX = ".pem";

export class CertificateFolder {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<CertificateFolder> {
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw storageFailure(error, folder);
    }
    return new CertificateFolder(folder);
  }

  /** Made at the first call, and the same from then on. */
  async accountKeyPem(): Promise<string> {
    const path = join(this.#folder, ACCOUNT_FILE);
    const stored = await readIfThere(path);
    if (stored !== undefined) return stored;
    const made = createAcmeKeyPem();
    await writeFileDurably(path, made);
    return made;
  }

  /** Every pair by its name, as it was stored: not verified. */
  async load(): Promise<ReadonlyMap<string, CertificatePair>> {
    const pairs = new Map<string, CertificatePair>();
    const names = await readdir(this.#folder);
    for (const file of names.filter((name) => name.endsWith(SUFFIX) && !name.startsWith(".")).sort()) {
      const pem = await readIfThere(join(this.#folder, file));
      if (pem !== undefined) pairs.set(file.slice(0, -SUFFIX.length), { certificatePem: pem, keyPem: pem });
    }
    return pairs;
  }

  /** Durable when it resolves. */
  async save(name: string, { certificatePem, keyPem }: CertificatePair): Promise<void> {
    await writeFileDurably(join(this.#folder, `${name}${SUFFIX}`), `${keyPem.trim()}\n${certificatePem.trim()}\n`);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw storageFailure(error, path);
  }
}
