/** Who may begin an epoch of the desired state: an authority that is pinned, not the key that signs batches. */
import type { KeyObject } from "node:crypto";
import { EPOCH_CONTEXT, epochBytes, FIRST_EPOCH, type PoolBatch } from "#domain/desired-state.ts";
import { Failure } from "#domain/failure.ts";
import { isSignedBy } from "./signatures.ts";

export interface EpochTrust {
  /** The origin's when the certificate was issued: nothing older is taken, and it needs no proof. */
  readonly epoch: number;
  /** The keys of the authorities that are pinned, and of one that they have certified by `cross`. */
  readonly mints: (cross: Uint8Array | undefined) => readonly KeyObject[];
}

const NO_PROOF = new Uint8Array();

/** A higher epoch than `held` overrules all that is held. Throws `signature-invalid`. */
export function checkEpochProof(
  { epoch, epochProof = NO_PROOF, epochAuthority }: PoolBatch,
  held: number,
  { epoch: certified, mints }: EpochTrust,
): void {
  if (epoch <= Math.max(FIRST_EPOCH, held, certified)) return;
  if (mints(epochAuthority).some((key) => isSignedBy(EPOCH_CONTEXT, epochBytes(epoch), epochProof, key))) return;
  throw new Failure("signature-invalid", `epoch ${epoch} is not signed by an authority that this node has pinned`);
}
