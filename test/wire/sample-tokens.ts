/** A sample of every token that a client or an operator carries, signed, with what verifies it. */
import { type Claims, TOKEN_TYPES, type TokenKind } from "#contracts/tokens/claims.ts";
import { systemClock } from "#platform/clock.ts";
import { createAuthority, createCertificateRequest, issueCertificate } from "#platform/identity/authority.ts";
import { formatPemChain } from "#platform/identity/certificates.ts";
import type { Role } from "#platform/identity/peer.ts";
import { exportPublicKey, generateSigningKey } from "#platform/identity/signatures.ts";
import { signToken } from "#platform/identity/tokens.ts";
import { systemRandom } from "#platform/random.ts";

const tools = { clock: systemClock, random: systemRandom };
const HOUR_SECONDS = 3600;

/** Who signs each kind (DESIGN section 9); without a role it is the origin's token key. */
const SIGNERS = [
  ["app", undefined],
  ["operator", undefined],
  ["probe", "scheduler"],
  ["placement", "scheduler"],
  ["probeAnswer", "edge"],
  ["resume", "edge"],
] as const satisfies readonly (readonly [TokenKind, Role | undefined])[];

export async function sampleTokens() {
  const nowMs = systemClock.nowMs();
  const authority = await createAuthority("fixtures", tools);
  const tokenKey = generateSigningKey();
  const claims = claimsAt(Math.floor(nowMs / 1000));
  const tokens: object[] = [];
  for (const [kind, role] of SIGNERS) {
    const signer = role === undefined ? { key: tokenKey } : await signerOf(role, authority);
    tokens.push({ kind, role, token: await signToken(TOKEN_TYPES[kind], claims[kind], signer), claims: claims[kind] });
  }
  const spki = Buffer.from(exportPublicKey(tokenKey.publicKey)).toString("base64");
  return { nowMs, authorityPem: formatPemChain([authority.certificate]), tokenKeySpki: spki, tokens };
}

async function signerOf(role: Role, authority: Awaited<ReturnType<typeof createAuthority>>) {
  const key = generateSigningKey();
  const identity = { role, pool: role === "edge" ? "near" : "-", name: `${role}-1` };
  const lifetimeMs = HOUR_SECONDS * 1000;
  const request = await createCertificateRequest(key);
  return { key, chain: [await issueCertificate(authority, request, identity, { ...tools, lifetimeMs })] };
}

function claimsAt(nowSeconds: number): { readonly [K in TokenKind]: Claims<K> } {
  const exp = nowSeconds + HOUR_SECONDS;
  const session = {
    session: "session-0000001",
    attempt: 2,
    app: "hall",
    tier: "strict" as const,
    pool: "near",
    renderClass: "cpu",
    cnf: { jkt: "a".repeat(43) },
    exp,
  };
  const budget = {
    budgetMs: 30,
    networkMsP95: 8.5,
    renderEncodeMsP95: 9,
    decodeJitterMs: 4,
    serialisationMs: 2,
    rttLimitMs: 15,
  };
  return {
    app: { sub: "hall", origins: ["https://vr.example"], maxSessions: 100, jti: "app-token-0001", exp },
    operator: { sub: "ci", scopes: ["publish:shop", "read"], jti: "operator-00001", exp },
    probe: { jti: "probe-000000001", session: session.session, pool: "near", node: "near-1", exp },
    probeAnswer: {
      probe: "probe-000000001",
      node: "near-1",
      pool: "near",
      freeSlots: { cpu: 2 },
      iat: nowSeconds,
      exp,
    },
    placement: { ...session, budget },
    resume: session,
  };
}
