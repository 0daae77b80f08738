/** What mints the log's epoch: signed by the authority's key when a log is restored, kept beside the keys. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { EPOCH_CONTEXT, epochBytes, FIRST_EPOCH } from "#domain/desired-state.ts";
import { Failure } from "#domain/failure.ts";
import { storageFailure, writeFileDurably } from "#platform/files/durable.ts";
import type { Authority } from "#platform/identity/authority.ts";
import { isSignedBy, signBytes } from "#platform/identity/signatures.ts";
import type { Authorities } from "./authorities.ts";

/** Durable when it resolves: before the log has the epoch. */
export async function mintEpoch(dataDir: string, { key }: Authority, epoch: number): Promise<void> {
  await writeFileDurably(pathIn(dataDir), signBytes(EPOCH_CONTEXT, epochBytes(epoch), key));
}

/** `undefined` in the first epoch. Throws `epoch-regressed` where no authority that is trusted minted the log's epoch. */
export async function readEpochProof(
  dataDir: string,
  { trusted }: Pick<Authorities, "trusted">,
  epoch: number,
): Promise<Uint8Array | undefined> {
  if (epoch === FIRST_EPOCH) return undefined;
  const proof = await readIfThere(pathIn(dataDir));
  if (
    proof !== undefined &&
    trusted.some(({ publicKey }) => isSignedBy(EPOCH_CONTEXT, epochBytes(epoch), proof, publicKey))
  )
    return proof;
  throw new Failure(
    "epoch-regressed",
    `${pathIn(dataDir)} does not sign epoch ${epoch}, which the log has: restore again (node origin/main.ts restore)`,
  );
}

function pathIn(dataDir: string): string {
  return join(dataDir, "identity", "epoch.signature");
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw storageFailure(error, path);
  }
}
