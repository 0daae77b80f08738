/** A client's key and its proofs, one for each request (DPoP, RFC 9449), as the browser library makes them. */
import { b64encode } from "k6/encoding";

export interface ClientKey {
  readonly publicKey: { readonly kty: "EC"; readonly crv: "P-256"; readonly x: string; readonly y: string };
  prove(method: string, url: string): Promise<string>;
}

export async function createClientKey(): Promise<ClientKey> {
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  const { x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  const publicKey = { kty: "EC", crv: "P-256", x, y } as const;
  return {
    publicKey,
    async prove(method, url) {
      const header = { alg: "ES256", typ: "dpop+jwt", jwk: publicKey };
      const claims = { htm: method, htu: url, iat: Math.floor(Date.now() / 1000), jti: crypto.randomUUID() };
      const signed = `${encode(header)}.${encode(claims)}`;
      // k6's JavaScript makes no bytes of a string itself.
      const bytes = new Uint8Array(Array.from(signed, (character) => character.charCodeAt(0)));
      const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, pair.privateKey, bytes);
      return `${signed}.${b64encode(signature, "rawurl")}`;
    },
  };
}

function encode(value: object): string {
  return b64encode(JSON.stringify(value), "rawurl");
}
