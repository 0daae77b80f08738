/** Seals bytes to one node: X25519 with a key for this message alone, HKDF-SHA-256, AES-256-GCM (as HPKE, RFC 9180, does it). */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from "node:crypto";
import { Failure } from "#domain/failure.ts";

const INFO = "perigee/sealed/1";
const PUBLIC_KEY_BYTES = 32;
const KEY_BYTES = 32;
const TAG_BYTES = 16;
/** Each message has a key of its own, so one number serves all. */
const NONCE = Buffer.alloc(12);
/** What stands before the 32 bytes of a key in SubjectPublicKeyInfo (RFC 8410 section 4). */
const SPKI_PREFIX = Buffer.from("302a300506032b656e032100", "hex");

export interface SealingKey {
  readonly privateKey: KeyObject;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}

export function generateSealingKey(): SealingKey {
  return sealingKeyOf(generateKeyPairSync("x25519").privateKey);
}

export function exportSealingKey({ privateKey }: SealingKey): string {
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

/** Throws `storage-failed` for what is no X25519 key in PKCS #8 PEM. */
export function importSealingKey(pem: string): SealingKey {
  try {
    const privateKey = createPrivateKey(pem);
    if (privateKey.asymmetricKeyType === "x25519") return sealingKeyOf(privateKey);
  } catch (cause) {
    throw new Failure("storage-failed", "the sealing key cannot be read: remove it, and another is made", { cause });
  }
  throw new Failure("storage-failed", "the sealing key is of another type: remove it, and another is made");
}

/** Opens only with the private key, and only where `context` is the same. Throws `argument-invalid` for what is no key. */
export function seal(publicKey: Uint8Array, context: string, bytes: Uint8Array): Uint8Array {
  const own = generateSealingKey();
  const key = sharedKey(own.privateKey, publicKey, Buffer.concat([own.publicKey, publicKey]));
  const cipher = createCipheriv("aes-256-gcm", key, NONCE).setAAD(Buffer.from(context));
  const sealed = Buffer.concat([cipher.update(bytes), cipher.final()]);
  return Buffer.concat([own.publicKey, sealed, cipher.getAuthTag()]);
}

/** Throws `signature-invalid` for what was sealed to another, for another context, or was changed. */
export function unseal(own: SealingKey, context: string, sealed: Uint8Array): Uint8Array {
  try {
    const sender = sealed.subarray(0, PUBLIC_KEY_BYTES);
    const key = sharedKey(own.privateKey, sender, Buffer.concat([sender, own.publicKey]));
    const decipher = createDecipheriv("aes-256-gcm", key, NONCE).setAAD(Buffer.from(context));
    decipher.setAuthTag(sealed.subarray(sealed.byteLength - TAG_BYTES));
    const inner = sealed.subarray(PUBLIC_KEY_BYTES, sealed.byteLength - TAG_BYTES);
    return Buffer.concat([decipher.update(inner), decipher.final()]);
  } catch (cause) {
    throw new Failure("signature-invalid", `${context}: it is not sealed to this node's key`, { cause });
  }
}

function sealingKeyOf(privateKey: KeyObject): SealingKey {
  const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  return { privateKey, publicKey: spki.subarray(SPKI_PREFIX.byteLength) };
}

function sharedKey(privateKey: KeyObject, publicKey: Uint8Array, salt: Uint8Array): Uint8Array {
  const secret = diffieHellman({ privateKey, publicKey: parsePublicKey(publicKey) });
  return new Uint8Array(hkdfSync("sha256", secret, salt, INFO, KEY_BYTES));
}

function parsePublicKey(bytes: Uint8Array): KeyObject {
  if (bytes.byteLength !== PUBLIC_KEY_BYTES)
    throw new Failure("argument-invalid", `a sealing key has ${PUBLIC_KEY_BYTES} bytes, got ${bytes.byteLength}`);
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, bytes]), format: "der", type: "spki" });
}
