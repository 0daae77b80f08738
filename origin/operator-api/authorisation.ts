/** Who an operator request is from and whether its token's scopes allow it. */
import { type OperatorClaims, parseClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { allows, type Scope } from "#contracts/tokens/scopes.ts";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { SigningKey } from "#platform/identity/signatures.ts";
import { signToken, verifyToken } from "#platform/identity/tokens.ts";
import type { Random } from "#platform/random.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { listResources } from "../log/resources.ts";

export interface TokenDesk {
  readonly log: ResourceLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly tokenKey: SigningKey;
}

/** Throws `token-invalid`, `token-expired`, `token-revoked` or `permission-denied`. */
export async function authorise(desk: TokenDesk, authorization: string | undefined, wanted: Scope) {
  const claims = await authenticate(desk, authorization);
  if (allows(claims.scopes, wanted)) return claims;
  throw new Failure("permission-denied", `the token of ${claims.sub} lacks the scope ${wanted}`);
}

async function authenticate(desk: TokenDesk, authorization: string | undefined): Promise<OperatorClaims> {
  const [scheme, token] = (authorization ?? "").split(" ", 2);
  if (scheme?.toLowerCase() !== "bearer" || token === undefined) {
    throw new Failure("token-invalid", "the request needs Authorization: Bearer OPERATOR-TOKEN");
  }
  const trust = { kind: "keys" as const, keys: new Map([[desk.tokenKey.keyId, desk.tokenKey.publicKey]]) };
  const verified = await verifyToken(token, TOKEN_TYPES.operator, trust, desk.clock.nowMs());
  const claims = parseClaims("operator", verified.claims);
  const isRevoked = listResources(desk.log, "Revocation").some(
    ({ spec: { subject } }) => subject.kind === "token" && subject.id === claims.jti,
  );
  if (isRevoked) throw new Failure("token-revoked", `the token of ${claims.sub} was revoked`);
  return claims;
}

export interface IssuedToken {
  readonly token: string;
  readonly id: string;
  readonly expiresAtMs: number;
}

/** Signs the claims of an operator or an app with an id and an expiry of whole seconds. */
export async function issueToken(
  desk: TokenDesk,
  kind: "operator" | "app",
  claims: object,
  lifetimeSeconds: number,
): Promise<IssuedToken> {
  const id = desk.random.uuid();
  const exp = Math.floor(desk.clock.nowMs() / 1000) + lifetimeSeconds;
  const parsed = parseClaims(kind, { ...claims, jti: id, exp });
  const token = await signToken(TOKEN_TYPES[kind], parsed, { key: desk.tokenKey });
  return { token, id, expiresAtMs: exp * 1000 };
}
