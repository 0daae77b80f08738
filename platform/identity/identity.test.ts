import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { exportJWK, SignJWT } from "jose";
import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { systemClock } from "../clock.ts";
import { systemRandom } from "../random.ts";
import { createAuthority, createCertificateRequest, issueCertificate } from "./authority.ts";
import { formatPemChain, parsePemChain, pinOf, verifyChain } from "./certificates.ts";
import { verifyProof } from "./dpop.ts";
import { identityUri, type PeerIdentity, parseIdentity } from "./peer.ts";
import {
  checkSignature,
  exportPrivateKey,
  exportPublicKey,
  generateSigningKey,
  importPrivateKey,
  importPublicKey,
  signBytes,
} from "./signatures.ts";
import { signToken, type TokenTrust, verifyToken } from "./tokens.ts";

const options = { clock: systemClock, random: systemRandom, lifetimeMs: 3_600_000 };
const scheduler: PeerIdentity = { role: "scheduler", pool: "-", name: "s1" };
const edge: PeerIdentity = { role: "edge", pool: "near", name: "near-1" };
const nowMs = systemClock.nowMs();
const exp = Math.floor(nowMs / 1000) + 30;

async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run();
    return "none";
  } catch (error) {
    return isFailure(error) ? error.code : String(error);
  }
}

async function issued(
  authority: Awaited<ReturnType<typeof createAuthority>>,
  identity: PeerIdentity,
  lifetimeMs = options.lifetimeMs,
) {
  const key = generateSigningKey();
  const certificate = await issueCertificate(authority, await createCertificateRequest(key), identity, {
    ...options,
    lifetimeMs,
  });
  return { key, chain: [certificate] };
}

t.test("an identity survives its way through a certificate's name; nothing else is one", async (t) => {
  const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
  const role = fc.constantFrom("origin", "scheduler", "edge", "agent");
  fc.assert(
    fc.property(role, fc.oneof(name, fc.constant("-")), name, (role, pool, name) => {
      const identity: PeerIdentity = {
        role: role === "origin" ? "origin" : role === "edge" ? "edge" : role === "agent" ? "agent" : "scheduler",
        pool,
        name,
      };
      const parsed = parseIdentity(`DNS:x, URI:${identityUri(identity)}`);
      return JSON.stringify(parsed) === JSON.stringify(identity);
    }),
  );
  for (const bad of [
    undefined,
    "",
    "DNS:a",
    "URI:perigee://king/near/a",
    "URI:perigee://edge/near/a/b",
    "URI:perigee://edge/near/A",
    "URI:perigee://edge/near/a, URI:perigee://edge/far/a",
  ]) {
    t.equal(parseIdentity(bad), undefined, String(bad));
  }
});

t.test("a signature fits its context, bytes and key only", async (t) => {
  const key = generateSigningKey();
  const bytes = Buffer.from("manifest");
  const claim = {
    context: "perigee/manifest/1",
    bytes,
    signature: signBytes("perigee/manifest/1", bytes, key),
    keyId: key.keyId,
  };
  const keys = new Map([[key.keyId, key.publicKey]]);
  t.equal(await codeOf(() => checkSignature(claim, keys)), "none");
  t.equal(await codeOf(() => checkSignature({ ...claim, context: "perigee/pool-batch/1" }, keys)), "signature-invalid");
  t.equal(await codeOf(() => checkSignature({ ...claim, bytes: Buffer.from("manifesto") }, keys)), "signature-invalid");
  t.equal(await codeOf(() => checkSignature(claim, new Map())), "signature-invalid");
  t.equal(importPrivateKey(exportPrivateKey(key)).keyId, key.keyId);
  t.ok(importPublicKey(exportPublicKey(key.publicKey)).equals(key.publicKey));
  t.equal(await codeOf(() => importPrivateKey("nonsense")), "signature-invalid");
});

t.test("a chain is trusted for its authority, role, pool and time only", async (t) => {
  const authority = await createAuthority("one", options);
  const other = await createAuthority("other", options);
  const { chain } = await issued(authority, edge);
  const trust = { authorities: [authority.certificate], roles: ["edge"] as const };
  t.strictSame(verifyChain(chain, trust, nowMs).identity, edge);
  const behindMs = nowMs - 3_600_000;
  t.strictSame(verifyChain(chain, trust, behindMs).identity, edge, "also by a clock that is an hour behind");
  t.strictSame(verifyChain(parsePemChain(formatPemChain(chain)), { ...trust, pool: "near" }, nowMs).identity, edge);
  t.equal(await codeOf(() => verifyChain(chain, { ...trust, pool: "far" }, nowMs)), "certificate-untrusted");
  t.equal(await codeOf(() => verifyChain(chain, { ...trust, roles: ["agent"] }, nowMs)), "certificate-untrusted");
  t.equal(
    await codeOf(() => verifyChain(chain, { ...trust, authorities: [other.certificate] }, nowMs)),
    "certificate-untrusted",
  );
  t.equal(await codeOf(() => verifyChain(chain, trust, nowMs + 2 * options.lifetimeMs)), "certificate-untrusted");
  t.equal(await codeOf(() => verifyChain([authority.certificate], trust, nowMs)), "certificate-untrusted");
  t.equal(await codeOf(() => verifyChain([], trust, nowMs)), "certificate-untrusted");
  t.match(pinOf(authority.certificate), /^sha256:[0-9a-f]{64}$/);
});

t.test("a request that its own key did not sign gets no certificate", async (t) => {
  const authority = await createAuthority("one", options);
  const request = await createCertificateRequest(generateSigningKey());
  const twisted = Uint8Array.from(request, (byte, index) => (index === request.length - 1 ? byte ^ 1 : byte));
  t.equal(await codeOf(() => issueCertificate(authority, twisted, edge, options)), "argument-invalid");
  t.equal(await codeOf(() => issueCertificate(authority, new Uint8Array([1, 2]), edge, options)), "argument-invalid");
});

t.test("a token is good for its type, signer and time only", async (t) => {
  const authority = await createAuthority("one", options);
  const other = await createAuthority("other", options);
  const signer = await issued(authority, scheduler);
  const token = await signToken("perigee-placement+jwt", { session: "s", exp }, signer);
  const trust = { kind: "chain", authorities: [authority.certificate], roles: ["scheduler"] } as const;
  t.match(await verifyToken(token, "perigee-placement+jwt", trust, nowMs), {
    claims: { session: "s" },
    signer: { ...scheduler, serial: /^[0-9a-f]+$/ },
  });
  const verify = (type: string, changed: object, at: number) =>
    codeOf(() => verifyToken(token, type, { ...trust, ...changed }, at));
  t.equal(await verify("perigee-resume+jwt", {}, nowMs), "token-invalid");
  t.equal(await verify("perigee-placement+jwt", { authorities: [other.certificate] }, nowMs), "certificate-untrusted");
  t.equal(await verify("perigee-placement+jwt", { roles: ["edge"] }, nowMs), "certificate-untrusted");
  t.equal(await verify("perigee-placement+jwt", {}, nowMs + 60_000), "token-expired");
  t.equal(await codeOf(() => verifyToken(`${token}x`, "perigee-placement+jwt", trust, nowMs)), "token-invalid");
  t.equal(await codeOf(() => verifyToken("a.b", "perigee-placement+jwt", trust, nowMs)), "token-invalid");
  const object = { toString: 1, valueOf: 1 };
  for (const strange of [
    { x5c: {} },
    { x5c: "a" },
    { x5c: [7] },
    { x5c: [object] },
    { typ: object },
    { kid: object },
  ]) {
    const [header = "", ...rest] = token.split(".");
    const changed = { ...JSON.parse(Buffer.from(header, "base64url").toString()), ...strange };
    const forged = [Buffer.from(JSON.stringify(changed)).toString("base64url"), ...rest].join(".");
    const judged: TokenTrust = "kid" in strange ? { kind: "keys", keys: new Map() } : trust;
    const code = await codeOf(() => verifyToken(forged, "perigee-placement+jwt", judged, nowMs));
    t.equal(code, "token-invalid", JSON.stringify(strange));
  }
  const byKey = await signToken("perigee-operator+jwt", { exp }, { key: signer.key });
  const keys = { kind: "keys", keys: new Map([[signer.key.keyId, signer.key.publicKey]]) } as const;
  t.match(await verifyToken(byKey, "perigee-operator+jwt", keys, nowMs), { signer: undefined });
  t.equal(
    await codeOf(() => verifyToken(byKey, "perigee-operator+jwt", { kind: "keys", keys: new Map() }, nowMs)),
    "token-invalid",
  );
  t.equal(await codeOf(() => verifyToken(byKey, "perigee-operator+jwt", trust, nowMs)), "certificate-untrusted");
});

t.test("a proof is for one method, one URL and now", async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = await exportJWK(publicKey);
  const url = "http://edge.test/.perigee/v1/sessions";
  const prove = (claims: object, header: object = {}) =>
    new SignJWT({ htm: "POST", htu: url, jti: "12345678", iat: Math.floor(nowMs / 1000), ...claims })
      .setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk, ...header })
      .sign(privateKey);
  const expected = { method: "POST", urls: [url], nowMs };
  t.match(await verifyProof(await prove({}), expected), { thumbprint: /^[\w-]{43}$/, proofId: "12345678" });
  const codeFor = async (claims: object, header?: object) =>
    codeOf(async () => verifyProof(await prove(claims, header), expected));
  t.equal(await codeFor({ htm: "GET" }), "proof-invalid");
  t.equal(await codeFor({ htu: "http://other.test/" }), "proof-invalid");
  t.equal(await codeFor({ iat: 1 }), "proof-invalid");
  t.equal(await codeFor({ jti: "short" }), "proof-invalid");
  t.equal(await codeFor({}, { typ: "JWT" }), "proof-invalid");
  t.equal(await codeOf(() => verifyProof("x", expected)), "proof-invalid");
});
