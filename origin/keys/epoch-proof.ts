/** What mints the log's epoch: signed by the authority's key when a log is restored, and by each that takes over from it. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { EPOCH_CONTEXT, epochBytes, FIRST_EPOCH } from "#domain/desired-state.ts";
import { Failure } from "#domain/failure.ts";
import { storageFailure, writeFileDurably } from "#platform/files/durable.ts";
import type { Authority } from "#platform/identity/authority.ts";
import { isSignedBy, signBytes } from "#platform/identity/signatures.ts";
import type { Authorities } from "./authorities.ts";

export interface EpochProof {
  readonly signature: Uint8Array;
  /** Of who signed, by the authority before, in DER: who trusts only that one verifies through it. */
  readonly crossCertificate?: Uint8Array;
}

/** Durable when it resolves: before the log has the epoch. */
export async function mintEpoch(dataDir: string, { key }: Authority, epoch: number): Promise<void> {
  await writeFileDurably(pathIn(dataDir), signBytes(EPOCH_CONTEXT, epochBytes(epoch), key));
}

/**
 * Gives it as it is now; `undefined` in the first epoch. Throws `epoch-regressed` where no authority that is trusted has
 * minted the log's epoch.
 */
export async function openEpochProof(
  dataDir: string,
  authorities: Authorities,
  epoch: number,
): Promise<() => EpochProof | undefined> {
  if (epoch === FIRST_EPOCH) return () => undefined;
  const signed = epochBytes(epoch);
  const stored = await readIfThere(pathIn(dataDir));
  const minter = authorities.trusted.find(
    ({ publicKey }) => stored !== undefined && isSignedBy(EPOCH_CONTEXT, signed, stored, publicKey),
  );
  if (minter === undefined) {
    throw new Failure(
      "epoch-regressed",
      `${pathIn(dataDir)} does not sign epoch ${epoch}, which the log has: restore again (node origin/main.ts restore)`,
    );
  }
  const mint = () => mintEpoch(dataDir, authorities.issuing, epoch);
  // The one before would take what it has signed with it when it retires.
  if (minter !== authorities.issuing.certificate) await mint();
  authorities.onChange(mint);
  return () => {
    const [cross] = authorities.intermediates;
    const signature = signBytes(EPOCH_CONTEXT, signed, authorities.issuing.key);
    return { signature, ...(cross && { crossCertificate: new Uint8Array(cross.raw) }) };
  };
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
