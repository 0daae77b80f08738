/** Tokens that clients and operators carry: compact JWS (RFC 7515, EdDSA of RFC 8037), signed by a key or by a certificate's key. */
import type { KeyObject, X509Certificate } from "node:crypto";
import { CompactSign, compactVerify, decodeProtectedHeader } from "jose";
import { Failure, isFailure } from "#domain/failure.ts";
import { type ChainTrust, parseCertificate, verifyChain } from "./certificates.ts";
import { type ConnectedPeer, serialOf } from "./peer.ts";
import type { SigningKey, TrustedKeys } from "./signatures.ts";

/** Clocks may differ by this where a token's expiry is judged. */
export const CLOCK_SKEW_SECONDS = 5;

export interface TokenSigner {
  readonly key: SigningKey;
  /** Travels in the token (`x5c`), so that anyone with the authority's certificate can verify it. */
  readonly chain?: readonly X509Certificate[];
}

export type TokenTrust =
  | { readonly kind: "keys"; readonly keys: TrustedKeys }
  | ({ readonly kind: "chain" } & ChainTrust);

export interface VerifiedToken {
  /** Shape not yet checked: `parseClaims` does. */
  readonly claims: unknown;
  /** Who signed, for tokens with a chain. */
  readonly signer: ConnectedPeer | undefined;
}

export function signToken(type: string, claims: object, signer: TokenSigner): Promise<string> {
  const x5c = signer.chain?.map((certificate) => certificate.raw.toString("base64"));
  const header = { alg: "EdDSA", typ: type, kid: signer.key.keyId, ...(x5c === undefined ? {} : { x5c }) };
  return new CompactSign(Buffer.from(JSON.stringify(claims))).setProtectedHeader(header).sign(signer.key.privateKey);
}

/** Throws `token-invalid`, `token-expired` or `certificate-untrusted`. */
export async function verifyToken(
  token: string,
  type: string,
  trust: TokenTrust,
  nowMs: number,
): Promise<VerifiedToken> {
  const { key, signer } = signerOf(token, type, trust, nowMs);
  const claims = await verifiedPayload(token, key, type);
  checkExpiry(claims, type, nowMs);
  return { claims, signer };
}

function signerOf(
  token: string,
  type: string,
  trust: TokenTrust,
  nowMs: number,
): { key: KeyObject; signer: ConnectedPeer | undefined } {
  const header = decodeHeader(token, type);
  if (header.typ !== type)
    throw new Failure("token-invalid", `expected a token of type ${type}, got ${JSON.stringify(header.typ) ?? "none"}`);
  if (trust.kind === "keys") {
    const key = trust.keys.get(header.kid ?? "");
    if (key === undefined)
      throw new Failure(
        "token-invalid",
        `${type}: signed by the unknown key ${JSON.stringify(header.kid) ?? "(none)"}`,
      );
    return { key, signer: undefined };
  }
  const chain = certificatesOf(header.x5c, type);
  const { leaf, identity } = verifyChain(chain, trust, nowMs);
  return { key: leaf.publicKey, signer: { ...identity, serial: serialOf(leaf) } };
}

/** A header is what its sender wrote, whatever its type says. */
function certificatesOf(x5c: unknown, type: string): X509Certificate[] {
  if (x5c === undefined) return [];
  if (!Array.isArray(x5c) || !x5c.every((text) => typeof text === "string")) {
    throw new Failure("token-invalid", `${type}: x5c must be certificates in base64 (RFC 7515 section 4.1.6)`);
  }
  return x5c.map((text) => parseCertificate(Buffer.from(text, "base64")));
}

function decodeHeader(token: string, type: string) {
  try {
    return decodeProtectedHeader(token);
  } catch (cause) {
    throw new Failure(
      "token-invalid",
      `the token is no ${type}: it is not a compact JWS (RFC 7515); was it copied whole?`,
      { cause },
    );
  }
}

async function verifiedPayload(token: string, key: KeyObject, type: string): Promise<unknown> {
  try {
    const { payload } = await compactVerify(token, key, { algorithms: ["EdDSA"] });
    return JSON.parse(Buffer.from(payload).toString());
  } catch (cause) {
    if (isFailure(cause)) throw cause;
    throw new Failure("token-invalid", `${type}: the signature does not fit`, { cause });
  }
}

function checkExpiry(claims: unknown, type: string, nowMs: number): void {
  const exp = typeof claims === "object" && claims !== null && "exp" in claims ? claims.exp : undefined;
  if (typeof exp !== "number") throw new Failure("token-invalid", `${type}: has no expiry`);
  if (nowMs / 1000 > exp + CLOCK_SKEW_SECONDS) {
    throw new Failure("token-expired", `${type}: expired at ${new Date(exp * 1000).toISOString()}; get a new one`);
  }
}
