/** Which edges of a pool a certificate's key is sealed to, and for which of them it is sealed already. Pure. */
import type { SealedKey, SiteCertificateSpec } from "#domain/content/site-certificate.ts";

export interface PoolEdge {
  readonly node: string;
  /** As it says of itself, base64; `undefined` while it has not connected since the origin's start. */
  readonly sealingKey: string | undefined;
}

export interface SealingPlan {
  readonly kept: readonly SealedKey[];
  /** To be sealed now. */
  readonly missing: readonly { readonly node: string; readonly sealedTo: string }[];
}

/** An edge that is away gets a successor sealed to the key that it had; one that never said a key gets none. */
export function planSealing(
  before: Pick<SiteCertificateSpec, "certificatePem" | "keys"> | undefined,
  certificatePem: string,
  edges: readonly PoolEdge[],
): SealingPlan {
  const earlier = new Map(before?.keys.map((key) => [key.node, key]));
  const kept: SealedKey[] = [];
  const missing: { node: string; sealedTo: string }[] = [];
  for (const { node, sealingKey } of edges) {
    const known = earlier.get(node);
    const sealedTo = sealingKey ?? known?.sealedTo;
    if (sealedTo === undefined) continue;
    if (known?.sealedTo === sealedTo && before?.certificatePem === certificatePem) kept.push(known);
    else missing.push({ node, sealedTo });
  }
  return { kept, missing };
}
