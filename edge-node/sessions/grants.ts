/** What lets a client in: placements, tickets and app tokens, verified by what the edge holds; and the tickets it signs. */
import {
  type AppClaims,
  PLACEMENT_LIFETIME_SECONDS,
  type PlacementClaims,
  parseClaims,
  RESUME_LIFETIME_SECONDS,
  type ResumeClaims,
  TOKEN_TYPES,
} from "#contracts/tokens/claims.ts";
import { Failure } from "#domain/failure.ts";
import type { RevocationSpec } from "#domain/fleet/revocation.ts";
import type { Clock } from "#platform/clock.ts";
import type { NodeIdentity } from "#platform/identity/node-identity.ts";
import type { ConnectedPeer, Role } from "#platform/identity/peer.ts";
import { signToken, verifyToken } from "#platform/identity/tokens.ts";
import type { SessionRecord } from "./session-records.ts";

/** Who may sign what. */
const SIGNERS: Readonly<Record<"placement" | "resume", readonly Role[]>> = {
  placement: ["scheduler", "edge"],
  resume: ["edge"],
};

export interface GrantPorts {
  readonly identity: Pick<NodeIdentity, "peer" | "trust" | "signer">;
  readonly isRevoked: (subject: RevocationSpec["subject"]) => boolean;
  readonly clock: Clock;
}

/** A placement without its budget, or a ticket: what both say of a session. */
export type SessionGrant = ResumeClaims;

/** Throws `token-*`, `certificate-untrusted`, or `placement-refused` for another pool. */
export async function verifyPlacement(ports: GrantPorts, token: string): Promise<SessionGrant> {
  const { budget: _, ...grant } = await verifySigned(ports, token, "placement", ports.clock.nowMs());
  return grant;
}

/** Throws as `verifyPlacement`. */
export async function verifyTicket(ports: GrantPorts, token: string): Promise<SessionGrant> {
  return verifySigned(ports, token, "resume", ports.clock.nowMs());
}

/** The same past its expiry, as of which its signer is judged. */
export async function verifyShownTicket(ports: GrantPorts, token: string): Promise<SessionGrant> {
  return verifySigned(ports, token, "resume", Math.min(ports.clock.nowMs(), expiryMsOf(token)));
}

/** Throws `token-*`. */
export async function verifyAppToken(ports: GrantPorts, token: string): Promise<AppClaims> {
  const { identity, isRevoked, clock } = ports;
  const unrevoked = [...identity.trust.tokenKeys].filter(([keyId]) => !isRevoked({ kind: "key", keyId }));
  const trust = { kind: "keys", keys: new Map(unrevoked) } as const;
  const claims = parseClaims("app", (await verifyToken(token, TOKEN_TYPES.app, trust, clock.nowMs())).claims);
  if (!isRevoked({ kind: "token", id: claims.jti })) return claims;
  throw new Failure("token-revoked", `the app token ${claims.jti} was revoked: get a new one`);
}

export interface SignedTicket {
  readonly token: string;
  readonly exp: number;
}

/** `exp` where the ticket may not live longer than the one before. */
export async function signTicket(
  { identity, clock }: GrantPorts,
  of: Pick<SessionRecord, "session" | "attempt" | "app" | "tier" | "renderClass" | "thumbprint">,
  exp = Math.floor(clock.nowMs() / 1000) + RESUME_LIFETIME_SECONDS,
): Promise<SignedTicket> {
  const { session, attempt, app, tier, renderClass, thumbprint } = of;
  const { pool } = identity.peer;
  const claims: ResumeClaims = { session, attempt, app, tier, pool, renderClass, cnf: { jkt: thumbprint }, exp };
  return { token: await signToken(TOKEN_TYPES.resume, claims, identity.signer()), exp };
}

/** A placement by the edge itself, for its own pool. */
export function signPlacement(
  { identity, clock }: GrantPorts,
  claims: Omit<PlacementClaims, "pool" | "exp">,
): Promise<string> {
  const exp = Math.floor(clock.nowMs() / 1000) + PLACEMENT_LIFETIME_SECONDS;
  const placement: PlacementClaims = { ...claims, pool: identity.peer.pool, exp };
  return signToken(TOKEN_TYPES.placement, placement, identity.signer());
}

/** An edge is believed for its own pool only; whose certificate was revoked, for nothing. */
async function verifySigned<K extends "placement" | "resume">(
  { identity, isRevoked }: GrantPorts,
  token: string,
  kind: K,
  nowMs: number,
) {
  const { pool } = identity.peer;
  const { authorities } = identity.trust;
  const trust = { kind: "chain", authorities, roles: SIGNERS[kind] } as const;
  const { claims: unchecked, signer } = await verifyToken(token, TOKEN_TYPES[kind], trust, nowMs);
  const claims = parseClaims(kind, unchecked);
  checkSigner(signer, claims.pool, isRevoked);
  if (claims.pool === pool) return claims;
  throw new Failure("placement-refused", `the ${kind} is for pool ${claims.pool}, this edge is of ${pool}: renew`);
}

export function checkSigner(signer: ConnectedPeer | undefined, pool: string, isRevoked: GrantPorts["isRevoked"]): void {
  if (signer === undefined) throw new Failure("token-invalid", "the token does not say who signed it");
  if (signer.role === "edge" && signer.pool !== pool) {
    throw new Failure("token-invalid", `an edge of ${signer.pool} signs nothing for pool ${pool}`);
  }
  if (isRevoked({ kind: "node", name: signer.name, certificateSerial: signer.serial })) {
    throw new Failure("token-revoked", `${signer.name}, which signed the token, was revoked`);
  }
}

/** Not yet verified; now where it cannot be read, which its verification will say. */
function expiryMsOf(token: string): number {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    const exp = typeof claims === "object" && claims !== null && "exp" in claims ? claims.exp : undefined;
    return typeof exp === "number" && exp >= 0 ? exp * 1000 : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
