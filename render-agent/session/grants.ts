/** What entitles a client to a lease: a placement or a resume ticket, verified with what the agent holds, whoever is reachable. */
import { parseClaims, type ResumeClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { Failure } from "#domain/failure.ts";
import type { RevocationSpec } from "#domain/fleet/revocation.ts";
import type { NodeTrust } from "#platform/identity/node-identity.ts";
import type { ConnectedPeer, Role } from "#platform/identity/peer.ts";
import { verifyToken } from "#platform/identity/tokens.ts";

/** A placement without its budget, or a ticket: what both say of a session. */
export type SessionGrant = ResumeClaims;

export interface GrantPorts {
  readonly pool: string;
  readonly trust: () => Pick<NodeTrust, "authorities">;
  readonly isRevoked: (subject: RevocationSpec["subject"]) => boolean;
  readonly nowMs: () => number;
}

export interface ShownGrant {
  /** Compact JWS. */
  readonly token: string;
  /** Of the key that the client proved to the edge. */
  readonly thumbprint: string;
}

/** Who may sign what. */
const SIGNERS: Readonly<Record<"placement" | "resume", readonly Role[]>> = {
  placement: ["scheduler", "edge"],
  resume: ["edge"],
};

/**
 * Throws `token-invalid`, `token-expired`, `certificate-untrusted`, `token-revoked`, `placement-refused` for another
 * pool, and `proof-invalid` for another key.
 */
export async function verifyGrant(ports: GrantPorts, { token, thumbprint }: ShownGrant): Promise<SessionGrant> {
  const { pool, trust, isRevoked, nowMs } = ports;
  const kind = kindOf(token);
  const chain = { kind: "chain", authorities: trust().authorities, roles: SIGNERS[kind] } as const;
  const { claims: unchecked, signer } = await verifyToken(token, TOKEN_TYPES[kind], chain, nowMs());
  const claims = parseClaims(kind, unchecked);
  checkSigner(signer, pool, isRevoked);
  if (claims.pool !== pool) {
    throw new Failure("placement-refused", `the ${kind} is for pool ${claims.pool}, this agent is of ${pool}`);
  }
  if (claims.cnf.jkt !== thumbprint) {
    throw new Failure("proof-invalid", `the ${kind} is for another key than the one proved`);
  }
  return claims;
}

/** An edge is believed for its own pool only; whose certificate was revoked, for nothing. */
function checkSigner(signer: ConnectedPeer | undefined, pool: string, isRevoked: GrantPorts["isRevoked"]): void {
  if (signer === undefined) throw new Failure("token-invalid", "the grant does not say who signed it");
  if (signer.role === "edge" && signer.pool !== pool) {
    throw new Failure("token-invalid", `an edge of ${signer.pool} signs nothing for pool ${pool}`);
  }
  if (isRevoked({ kind: "node", name: signer.name, certificateSerial: signer.serial })) {
    throw new Failure("token-revoked", `${signer.name}, which signed the grant, was revoked`);
  }
}

/** By the unverified header; what it says is checked when the token is verified as that. */
function kindOf(token: string): "placement" | "resume" {
  try {
    const header: unknown = JSON.parse(Buffer.from(token.split(".", 1)[0] ?? "", "base64url").toString());
    const isTicket =
      typeof header === "object" && header !== null && "typ" in header && header.typ === TOKEN_TYPES.resume;
    return isTicket ? "resume" : "placement";
  } catch (cause) {
    throw new Failure("token-invalid", "the grant must be a compact JWS", { cause });
  }
}
