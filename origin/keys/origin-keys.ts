/** The origin's keys: made at the first start, kept under `dataDir/identity`, read by the owner only. */
import { join } from "node:path";
import type { Clock } from "#platform/clock.ts";
import { writeFileDurably } from "#platform/files/durable.ts";
import {
  exportPrivateKey,
  generateSigningKey,
  importPrivateKey,
  type SigningKey,
} from "#platform/identity/signatures.ts";
import type { Random } from "#platform/random.ts";
import { Authorities, readIfThere } from "./authorities.ts";

export interface OriginKeys {
  readonly authorities: Authorities;
  readonly publish: SigningKey;
  readonly stream: SigningKey;
  readonly token: SigningKey;
}

export async function loadOriginKeys(dataDir: string, tools: { clock: Clock; random: Random }): Promise<OriginKeys> {
  const folder = join(dataDir, "identity");
  return {
    authorities: await Authorities.open(folder, tools),
    publish: await loadKey(join(folder, "publish.key")),
    stream: await loadKey(join(folder, "stream.key")),
    token: await loadKey(join(folder, "token.key")),
  };
}

async function loadKey(path: string): Promise<SigningKey> {
  const pem = await readIfThere(path);
  if (pem !== undefined) return importPrivateKey(pem);
  const key = generateSigningKey();
  await writeFileDurably(path, exportPrivateKey(key));
  return key;
}
