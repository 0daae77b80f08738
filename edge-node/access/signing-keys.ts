/** Proofs of signed URLs: by Ed25519, where an edge has only the public key, or by HMAC-SHA-256 with a shared secret. */
import { createHmac, createPublicKey, createSecretKey, hash, type KeyObject, timingSafeEqual } from "node:crypto";
import { SIGNED_URL_CONTEXT } from "#domain/access/signed-url.ts";
import { Failure } from "#domain/failure.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import { isSignedBy, type SigningKey, signBytes } from "#platform/identity/signatures.ts";
import type { SignedAccess } from "./access-decision.ts";

export type VerifyingKey =
  | { readonly algorithm: "ed25519"; readonly keyId: string; readonly publicKey: KeyObject }
  | { readonly algorithm: "hmac-sha-256"; readonly keyId: string; readonly secret: Uint8Array };

export type ProvingKey =
  | { readonly algorithm: "ed25519"; readonly key: SigningKey }
  | { readonly algorithm: "hmac-sha-256"; readonly secret: Uint8Array };

/** What is shorter can be guessed. */
export const SECRET_BYTES_MIN = 32;
/** Verified statements that need no second look: of Ed25519 one takes as long as ten hits. */
const VERIFIED_MAX = 10_000;

/** The 32 octets of an Ed25519 key (RFC 8032 section 5.1.5) in base64url. Throws `signature-invalid`. */
export function publicKeyOf(base64url: string): KeyObject {
  try {
    return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: base64url }, format: "jwk" });
  } catch (cause) {
    throw new Failure("signature-invalid", "a public key must be the 32 octets of an Ed25519 key in base64url", {
      cause,
    });
  }
}

/** Base64url. */
export function proofOf(statement: string, key: ProvingKey): string {
  if (key.algorithm === "hmac-sha-256") return hmacOf(createSecretKey(key.secret), statement);
  return Buffer.from(signBytes(SIGNED_URL_CONTEXT, Buffer.from(statement), key.key)).toString("base64url");
}

/** Whether a proof is one of these keys'; those that were are remembered. */
export function proofsOf(keys: readonly VerifyingKey[]): SignedAccess["isProof"] {
  const byId = new Map(keys.map((key) => [key.keyId, readied(key)]));
  const verified = new BoundedMap<string, true>({ entriesMax: VERIFIED_MAX });
  return (keyId, statement, proof) => {
    const key = byId.get(keyId);
    if (key === undefined) return false;
    if (key.type === "secret") return isEqual(hmacOf(key, statement), proof);
    const name = hash("sha256", `${proof}\n${statement}`, "base64url");
    if (verified.get(name) === true) return true;
    const isGood = isSigned(key, statement, proof);
    if (isGood) verified.set(name, true);
    return isGood;
  };
}

/** A secret that OpenSSL has taken in once: bytes anew for each request take seven times as long. */
function readied(key: VerifyingKey): KeyObject {
  return key.algorithm === "ed25519" ? key.publicKey : createSecretKey(key.secret);
}

function hmacOf(secret: KeyObject, statement: string): string {
  return createHmac("sha256", secret).update(`${SIGNED_URL_CONTEXT}\0${statement}`).digest("base64url");
}

function isEqual(expected: string, given: string): boolean {
  const [left, right] = [Buffer.from(expected), Buffer.from(given)];
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}

/** In its one spelling only: base64url has bits that say nothing. */
function isSigned(publicKey: KeyObject, statement: string, proof: string): boolean {
  const bytes = Buffer.from(proof, "base64url");
  return (
    bytes.toString("base64url") === proof && isSignedBy(SIGNED_URL_CONTEXT, Buffer.from(statement), bytes, publicKey)
  );
}
