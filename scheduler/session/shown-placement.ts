/** Verifies the placement that a client shows when it renews: any scheduler's, or an edge's own, also past its expiry. */
import type { X509Certificate } from "node:crypto";
import { type PlacementClaims, parseClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { Failure } from "#domain/failure.ts";
import { verifyToken } from "#platform/identity/tokens.ts";

/**
 * A placement is for connecting within seconds and is shown again while the session lives, so it is verified as of its
 * expiry: its signer's certificate had to be good then. How long ago that may be is the policy's session length.
 * Throws `token-invalid`, `certificate-untrusted` or `token-expired`.
 */
export async function verifyShownPlacement(
  token: string,
  session: string,
  { authorities, nowMs }: { readonly authorities: readonly X509Certificate[]; readonly nowMs: number },
): Promise<PlacementClaims> {
  const asOfMs = Math.min(nowMs, (readExpirySeconds(token) ?? Number.POSITIVE_INFINITY) * 1000);
  const trust = { kind: "chain", authorities, roles: ["scheduler", "edge"] } as const;
  const { claims: unchecked, signer } = await verifyToken(token, TOKEN_TYPES.placement, trust, asOfMs);
  const claims = parseClaims("placement", unchecked);
  if (signer?.role === "edge" && signer.pool !== claims.pool) {
    throw new Failure("token-invalid", `an edge of ${signer.pool} cannot place in ${claims.pool}`);
  }
  if (claims.session !== session) {
    throw new Failure("token-invalid", `the placement is of session ${claims.session}, the call is for ${session}`);
  }
  return claims;
}

/** Not yet verified; undefined where the token cannot be read, which its verification will say. */
function readExpirySeconds(token: string): number | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    const exp = typeof claims === "object" && claims !== null && "exp" in claims ? claims.exp : undefined;
    return typeof exp === "number" && exp >= 0 ? exp : undefined;
  } catch {
    return undefined;
  }
}
