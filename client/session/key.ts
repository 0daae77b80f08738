/** The client's own key, which placements are bound to, and the proofs it gives of it (DPoP, RFC 9449). */
import type { ClientClock } from "../clock.ts";
import { browserRandom, type ClientRandom } from "../random.ts";

const ECDSA_P256 = { name: "ECDSA", namedCurve: "P-256" };
/** 128 random bits never repeat in a proof's life. */
const PROOF_ID_BYTES = 16;
const ES256 = { name: "ECDSA", hash: "SHA-256" };

export interface PublicClientKey {
  readonly kty: "EC";
  readonly crv: "P-256";
  readonly x: string;
  readonly y: string;
}

export interface ClientKey {
  readonly publicKey: PublicClientKey;
  /** A proof for one request: method and URL without query. */
  prove(method: string, url: string): Promise<string>;
}

/** The private key cannot be exported: a page that leaks its tokens does not leak this. */
export async function createClientKey(clock: ClientClock, random: ClientRandom = browserRandom): Promise<ClientKey> {
  const pair = await crypto.subtle.generateKey(ECDSA_P256, false, ["sign"]);
  const { x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  if (x === undefined || y === undefined) throw new TypeError("the browser made a key without a point");
  const publicKey: PublicClientKey = { kty: "EC", crv: "P-256", x, y };
  return {
    publicKey,
    prove: (method, url) => signProof({ method, url, publicKey, privateKey: pair.privateKey, clock, random }),
  };
}

/** `CryptoKey`, as browsers and Node name it in different places. */
type PrivateKey = Parameters<typeof crypto.subtle.sign>[1];

interface ProofInput {
  readonly method: string;
  readonly url: string;
  readonly publicKey: PublicClientKey;
  readonly privateKey: PrivateKey;
  readonly clock: ClientClock;
  readonly random: ClientRandom;
}

async function signProof({ method, url, publicKey, privateKey, clock, random }: ProofInput): Promise<string> {
  const header = { alg: "ES256", typ: "dpop+jwt", jwk: publicKey };
  const claims = {
    htm: method,
    htu: url,
    iat: Math.floor(clock.nowMs() / 1000),
    jti: encodeBase64Url(random.bytes(PROOF_ID_BYTES)),
  };
  const signed = `${encodeJson(header)}.${encodeJson(claims)}`;
  const signature = await crypto.subtle.sign(ES256, privateKey, new TextEncoder().encode(signed));
  return `${signed}.${encodeBase64Url(new Uint8Array(signature))}`;
}

function encodeJson(value: object): string {
  return encodeBase64Url(new TextEncoder().encode(JSON.stringify(value)));
}

/** RFC 7515 section 2: without padding. */
function encodeBase64Url(bytes: Uint8Array): string {
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
