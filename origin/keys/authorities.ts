/** The origin's certificate authority over its successors: one issues; one before it is trusted until nobody needs it. */
import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import Type from "typebox";
import { Value } from "typebox/value";
import { assert } from "#domain/assert.ts";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { storageFailure, writeFileDurably } from "#platform/files/durable.ts";
import {
  type Authority,
  createAuthority,
  crossCertify,
  NODE_CERTIFICATE_LIFETIME_MS,
} from "#platform/identity/authority.ts";
import { formatPemChain, parsePemChain } from "#platform/identity/certificates.ts";
import { exportPrivateKey, importPrivateKey } from "#platform/identity/signatures.ts";
import type { Random } from "#platform/random.ts";

/**
 * A node whose certificate ran out while it was away may still renew for so long by proof of the old key: an outage of 30
 * days that began when renewal was due. A key that is stolen is revoked, not waited out.
 */
export const RENEW_GRACE_MS = 30 * 86_400_000;
/** After it nobody holds a certificate of the authority before that is good for anything, not even for renewal. */
export const OVERLAP_MS = NODE_CERTIFICATE_LIFETIME_MS + RENEW_GRACE_MS;
/** Authorities of one installation have names that differ: TLS libraries find an issuer by its name. */
const NAME_BYTES = 4;
const FIRST_KEY = "authority.key";
const FIRST_CERTIFICATE = "authority.crt";
/** What the first rotation left, and those after it. */
const ROTATED_FILE = "authorities.json";

type Certificate = Authority["certificate"];

interface Retiring {
  readonly certificate: Certificate;
  /** The issuing authority's key, certified by the one before: who trusts only that one verifies through it. */
  readonly cross: Certificate;
  readonly retiresAtMs: number;
}

interface Tools {
  readonly clock: Clock;
  readonly random: Random;
}

const storedSchema = Type.Object({
  keyPem: Type.String(),
  certificatePem: Type.String(),
  retiring: Type.Optional(
    Type.Object({ certificatePem: Type.String(), crossPem: Type.String(), retiresAtMs: Type.Integer() }),
  ),
});

export class Authorities {
  readonly #folder: string;
  readonly #tools: Tools;
  readonly #listeners: (() => Promise<void>)[] = [];
  #issuing: Authority;
  #retiring: Retiring | undefined;

  private constructor(folder: string, tools: Tools, issuing: Authority, retiring: Retiring | undefined) {
    this.#folder = folder;
    this.#tools = tools;
    this.#issuing = issuing;
    this.#retiring = retiring;
  }

  /** Made at the first start. `authorities.json` has what the first rotation left; before it there are two files. */
  static async open(folder: string, tools: Tools): Promise<Authorities> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const rotated = await readIfThere(join(folder, ROTATED_FILE));
    if (rotated !== undefined) {
      await forgetFirst(folder);
      const { issuing, retiring } = storedOf(rotated);
      return new Authorities(folder, tools, issuing, retiring);
    }
    const certificatePem = await readIfThere(join(folder, FIRST_CERTIFICATE));
    const issuing =
      certificatePem === undefined ? await makeFirst(folder, tools) : await readFirst(folder, certificatePem);
    return new Authorities(folder, tools, issuing, undefined);
  }

  get issuing(): Authority {
    return this.#issuing;
  }

  /** Until it retires. */
  get retiring(): Pick<Retiring, "certificate" | "retiresAtMs"> | undefined {
    return this.#retiring;
  }

  /** Whose certificates are good, the issuing one first. */
  get trusted(): readonly Certificate[] {
    return [this.#issuing.certificate, ...(this.#retiring === undefined ? [] : [this.#retiring.certificate])];
  }

  /** What follows a leaf in its chain. */
  get intermediates(): readonly Certificate[] {
    return this.#retiring === undefined ? [] : [this.#retiring.cross];
  }

  /** At the end of the origin's own chain: pins name it, those that were given before a rotation too. */
  get root(): Certificate {
    return this.#retiring?.certificate ?? this.#issuing.certificate;
  }

  /** Awaited by who changes them. */
  onChange(listener: () => Promise<void>): void {
    this.#listeners.push(listener);
  }

  /**
   * A new authority issues from now on, and the one before is trusted for `overlapMs` more; its key is destroyed. Throws
   * `resource-conflict` while another one retires.
   */
  async rotate(overlapMs: number): Promise<void> {
    if (this.#retiring !== undefined) {
      const until = new Date(this.#retiring.retiresAtMs).toISOString();
      throw new Failure("resource-conflict", `the authority before retires at ${until}: rotate again after that`);
    }
    const { clock, random } = this.#tools;
    const before = this.#issuing;
    const name = `perigee ${Buffer.from(random.bytes(NAME_BYTES)).toString("hex")}`;
    const issuing = await createAuthority(name, this.#tools);
    const cross = await crossCertify(before, issuing.certificate, this.#tools);
    const retiring = { certificate: before.certificate, cross, retiresAtMs: Math.floor(clock.nowMs() + overlapMs) };
    await this.#store(issuing, retiring);
  }

  /** True where one was due. */
  async retireDue(): Promise<boolean> {
    if (this.#retiring === undefined || this.#tools.clock.nowMs() < this.#retiring.retiresAtMs) return false;
    await this.#store(this.#issuing, undefined);
    return true;
  }

  /** Durable in one step before it is in force. */
  async #store(issuing: Authority, retiring: Retiring | undefined): Promise<void> {
    const stored = {
      keyPem: exportPrivateKey(issuing.key),
      certificatePem: formatPemChain([issuing.certificate]),
      ...(retiring && {
        retiring: {
          certificatePem: formatPemChain([retiring.certificate]),
          crossPem: formatPemChain([retiring.cross]),
          retiresAtMs: retiring.retiresAtMs,
        },
      }),
    };
    await writeFileDurably(join(this.#folder, ROTATED_FILE), `${JSON.stringify(stored)}\n`, 0o600);
    await forgetFirst(this.#folder);
    this.#issuing = issuing;
    this.#retiring = retiring;
    for (const listener of this.#listeners) await listener();
  }
}

/** What has the issuing authority: without these another would be made. */
export function authorityFiles(folder: string): readonly string[] {
  const rotated = join(folder, ROTATED_FILE);
  return existsSync(rotated) ? [rotated] : [join(folder, FIRST_KEY), join(folder, FIRST_CERTIFICATE)];
}

function storedOf(text: string): { readonly issuing: Authority; readonly retiring: Retiring | undefined } {
  const stored: unknown = JSON.parse(text);
  assert(Value.Check(storedSchema, stored), "authorities.json is what was written");
  const issuing = authorityOf(stored.keyPem, stored.certificatePem);
  if (stored.retiring === undefined) return { issuing, retiring: undefined };
  const { certificatePem, crossPem, retiresAtMs } = stored.retiring;
  return {
    issuing,
    retiring: { certificate: certificateOf(certificatePem), cross: certificateOf(crossPem), retiresAtMs },
  };
}

/** The key first: a certificate without its key would be believed at the next start. */
async function makeFirst(folder: string, tools: Tools): Promise<Authority> {
  const authority = await createAuthority("perigee", tools);
  await writeFileDurably(join(folder, FIRST_KEY), exportPrivateKey(authority.key));
  await writeFileDurably(join(folder, FIRST_CERTIFICATE), formatPemChain([authority.certificate]));
  return authority;
}

async function readFirst(folder: string, certificatePem: string): Promise<Authority> {
  const keyPem = await readIfThere(join(folder, FIRST_KEY));
  assert(keyPem !== undefined, `${FIRST_KEY} is there`);
  return authorityOf(keyPem, certificatePem);
}

async function forgetFirst(folder: string): Promise<void> {
  for (const name of [FIRST_KEY, FIRST_CERTIFICATE]) await rm(join(folder, name), { force: true });
}

function authorityOf(keyPem: string, certificatePem: string): Authority {
  const key = importPrivateKey(keyPem);
  const certificate = certificateOf(certificatePem);
  assert(certificate.checkPrivateKey(key.privateKey), "an authority's key is the key of its certificate");
  return { key, certificate };
}

function certificateOf(pem: string): Certificate {
  const [certificate] = parsePemChain(pem);
  assert(certificate !== undefined, "a stored authority has a certificate");
  return certificate;
}

export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw storageFailure(error, path);
  }
}
