/** Ed25519 over a context and bytes (RFC 8032): what manifests, batches and proofs are signed with. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { Failure } from "#domain/failure.ts";

/** 64 bits of the key's SHA-256: enough to find it, never what is trusted. */
const KEY_ID_LENGTH = 16;

export interface SigningKey {
  readonly keyId: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** Keys by id; a signature by any other is refused. */
export type TrustedKeys = ReadonlyMap<string, KeyObject>;

export function generateSigningKey(): SigningKey {
  return signingKeyOf(generateKeyPairSync("ed25519").privateKey);
}

export function signingKeyOf(privateKey: KeyObject): SigningKey {
  const publicKey = createPublicKey(privateKey);
  return { keyId: keyIdOf(publicKey), privateKey, publicKey };
}

export function exportPrivateKey({ privateKey }: SigningKey): string {
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

/** Throws `signature-invalid` for what is no Ed25519 key in PKCS #8 PEM. */
export function importPrivateKey(pem: string): SigningKey {
  const key = parseKey("private key", () => createPrivateKey(pem));
  return signingKeyOf(key);
}

/** By key: each batch that is stored names the key that it was verified with. */
const EXPORTED = new WeakMap<KeyObject, Uint8Array>();

export function exportPublicKey(publicKey: KeyObject): Uint8Array {
  const known = EXPORTED.get(publicKey) ?? publicKey.export({ type: "spki", format: "der" });
  EXPORTED.set(publicKey, known);
  return known;
}

export function importPublicKey(spki: Uint8Array): KeyObject {
  return parseKey("public key", () => createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" }));
}

function parseKey(what: string, parse: () => KeyObject): KeyObject {
  try {
    const key = parse();
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch (cause) {
    throw new Failure("signature-invalid", `the ${what} cannot be read`, { cause });
  }
  throw new Failure("signature-invalid", `the ${what} must be of type Ed25519`);
}

export function keyIdOf(publicKey: KeyObject): string {
  return createHash("sha256").update(exportPublicKey(publicKey)).digest("hex").slice(0, KEY_ID_LENGTH);
}

/** 64 bytes over `context`, a zero byte, and the bytes: no signature can be taken for one of another context. */
export function signBytes(context: string, bytes: Uint8Array, key: SigningKey): Uint8Array {
  return sign(null, inContext(context, bytes), key.privateKey);
}

export function isSignedBy(context: string, bytes: Uint8Array, signature: Uint8Array, publicKey: KeyObject): boolean {
  return verify(null, inContext(context, bytes), publicKey, signature);
}

export interface SignatureClaim {
  readonly context: string;
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly keyId: string;
}

/** Throws `signature-invalid` naming the key. */
export function checkSignature({ context, bytes, signature, keyId }: SignatureClaim, keys: TrustedKeys): void {
  const key = keys.get(keyId);
  if (key === undefined) throw new Failure("signature-invalid", `${context}: signed by the unknown key ${keyId}`);
  if (!isSignedBy(context, bytes, signature, key)) {
    throw new Failure("signature-invalid", `${context}: the signature by key ${keyId} does not fit the bytes`);
  }
}

function inContext(context: string, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${context}\0`), bytes]);
}
