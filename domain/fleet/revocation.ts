/** Takes back a token, a node's certificate or a key before it expires. Pure. */

export interface RevocationSpec {
  readonly subject:
    | { readonly kind: "token"; readonly id: string }
    | { readonly kind: "node"; readonly name: string; readonly certificateSerial?: string }
    | { readonly kind: "key"; readonly keyId: string };
  readonly reason: string;
  /** Epoch milliseconds; the revocation itself is dropped after its subject has expired. */
  readonly subjectExpiresAtMs: number;
}
