/** The part of the Web Crypto API that k6 has and `@types/k6` does not declare. */

interface EllipticCurve {
  readonly name: "ECDSA";
  readonly namedCurve: "P-256";
}

/** Opaque: k6 gives nothing to read of it. */
interface CryptoKey {
  readonly type: "private" | "public";
}

interface PublicJsonWebKey {
  readonly x: string;
  readonly y: string;
}

interface SubtleCrypto {
  generateKey(
    algorithm: EllipticCurve,
    isExtractable: boolean,
    usages: readonly ("sign" | "verify")[],
  ): Promise<{ readonly privateKey: CryptoKey; readonly publicKey: CryptoKey }>;
  exportKey(format: "jwk", key: CryptoKey): Promise<PublicJsonWebKey>;
  sign(
    algorithm: { readonly name: "ECDSA"; readonly hash: "SHA-256" },
    key: CryptoKey,
    message: Uint8Array,
  ): Promise<ArrayBuffer>;
}

declare const crypto: {
  readonly subtle: SubtleCrypto;
  randomUUID(): string;
};
