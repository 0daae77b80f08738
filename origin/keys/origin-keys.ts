/** The origin's keys: made at the first start, kept under `dataDir/identity`, read by the owner only. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "#domain/assert.ts";
import type { Clock } from "#platform/clock.ts";
import { storageFailure, writeFileDurably } from "#platform/files/durable.ts";
import { type Authority, createAuthority } from "#platform/identity/authority.ts";
import { formatPemChain, parsePemChain } from "#platform/identity/certificates.ts";
import {
  exportPrivateKey,
  generateSigningKey,
  importPrivateKey,
  type SigningKey,
} from "#platform/identity/signatures.ts";
import type { Random } from "#platform/random.ts";

export interface OriginKeys {
  readonly authority: Authority;
  readonly publish: SigningKey;
  readonly stream: SigningKey;
  readonly token: SigningKey;
}

export async function loadOriginKeys(dataDir: string, tools: { clock: Clock; random: Random }): Promise<OriginKeys> {
  const folder = join(dataDir, "identity");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const certificatePath = join(folder, "authority.crt");
  const storedCertificate = await readIfThere(certificatePath);
  const authority =
    storedCertificate === undefined
      ? await makeAuthority(folder, certificatePath, tools)
      : await readAuthority(folder, storedCertificate);
  return {
    authority,
    publish: await loadKey(join(folder, "publish.key")),
    stream: await loadKey(join(folder, "stream.key")),
    token: await loadKey(join(folder, "token.key")),
  };
}

/** The key first: a certificate without its key would be believed at the next start. */
async function makeAuthority(folder: string, path: string, tools: { clock: Clock; random: Random }) {
  const authority = await createAuthority("perigee", tools);
  await writeFileDurably(join(folder, "authority.key"), exportPrivateKey(authority.key));
  await writeFileDurably(path, formatPemChain([authority.certificate]));
  return authority;
}

async function readAuthority(folder: string, certificatePem: string): Promise<Authority> {
  const [certificate] = parsePemChain(certificatePem);
  assert(certificate !== undefined, "authority.crt holds a certificate");
  const key = await loadKey(join(folder, "authority.key"));
  assert(certificate.checkPrivateKey(key.privateKey), "authority.key is the key of authority.crt");
  return { key, certificate };
}

async function loadKey(path: string): Promise<SigningKey> {
  const pem = await readIfThere(path);
  if (pem !== undefined) return importPrivateKey(pem);
  const key = generateSigningKey();
  await writeFileDurably(path, exportPrivateKey(key));
  return key;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw storageFailure(error, path);
  }
}
