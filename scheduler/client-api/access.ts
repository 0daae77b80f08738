/** Who a client or operator is: verifies app and operator tokens by the origin's keys and what was revoked. */
import { type AppClaims, type OperatorClaims, parseClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { allows, type Scope } from "#contracts/tokens/scopes.ts";
import { isOriginAllowed } from "#contracts/tokens/web-origins.ts";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { TrustedKeys } from "#platform/identity/signatures.ts";
import { verifyToken } from "#platform/identity/tokens.ts";
import type { DesiredView } from "../facts/desired-view.ts";

export interface AccessPorts {
  /** The origin's. */
  readonly tokenKeys: () => TrustedKeys;
  readonly revoked: () => Pick<DesiredView, "revokedTokens" | "revokedKeys">;
  readonly clock: Clock;
}

export interface Credentials {
  readonly authorization?: string | undefined;
  /** The Origin field: a browser says which page calls. */
  readonly origin?: string | undefined;
}

/** Throws `token-invalid`, `token-expired`, `token-revoked`, and `permission-denied` for a page of another web origin. */
export async function authoriseApp(ports: AccessPorts, { authorization, origin }: Credentials): Promise<AppClaims> {
  const claims = parseClaims("app", await verify(ports, "app", authorization));
  checkRevoked(ports, claims.jti, `the app token of ${claims.sub}`);
  if (origin !== undefined && !isOriginAllowed(claims.origins, origin)) {
    throw new Failure(
      "permission-denied",
      `the app token of ${claims.sub} is for pages of ${claims.origins.join(", ")}, not of ${JSON.stringify(origin)}`,
    );
  }
  return claims;
}

/** Throws the same, and `permission-denied` where the scope is lacking. */
export async function authoriseOperator(
  ports: AccessPorts,
  { authorization }: Credentials,
  scope: Scope,
): Promise<OperatorClaims> {
  const claims = parseClaims("operator", await verify(ports, "operator", authorization));
  checkRevoked(ports, claims.jti, `the token of ${claims.sub}`);
  if (allows(claims.scopes, scope)) return claims;
  throw new Failure("permission-denied", `the token of ${claims.sub} lacks the scope ${scope}`);
}

async function verify(ports: AccessPorts, kind: "app" | "operator", authorization: string | undefined) {
  const [scheme, token] = (authorization ?? "").split(" ", 2);
  if (scheme?.toLowerCase() !== "bearer" || token === undefined) {
    throw new Failure("token-invalid", `the request needs Authorization: Bearer ${kind.toUpperCase()}-TOKEN`);
  }
  const { revokedKeys } = ports.revoked();
  const keys = new Map([...ports.tokenKeys()].filter(([keyId]) => !revokedKeys.has(keyId)));
  const { claims } = await verifyToken(token, TOKEN_TYPES[kind], { kind: "keys", keys }, ports.clock.nowMs());
  return claims;
}

function checkRevoked({ revoked }: AccessPorts, tokenId: string, what: string): void {
  if (revoked().revokedTokens.has(tokenId)) throw new Failure("token-revoked", `${what} was revoked`);
}
