/** What the origin orders for sites' host names and hands to the edges of a pool. Pure. */

/** A key that one node can open: of the certificate, or of nothing else. */
export interface SealedKey {
  readonly node: string;
  /** The node's sealing key that it is sealed to, base64. */
  readonly sealedTo: string;
  /** The PEM of the private key, sealed, base64. */
  readonly sealed: string;
}

/** The certificate of one host name, for the edges of one pool: the key goes sealed to each of them. */
export interface SiteCertificateSpec {
  readonly pool: string;
  readonly hostname: string;
  readonly certificatePem: string;
  readonly keys: readonly SealedKey[];
}

/** What an authority is to find at any edge under `/.well-known/acme-challenge/TOKEN` (RFC 8555 section 8.3). */
export interface AcmeChallengeSpec {
  readonly hostname: string;
  readonly token: string;
  readonly keyAuthorization: string;
}

/** What a key is sealed for: the same certificate and name, or it does not open. */
export function sealingContext({ hostname, certificatePem }: Pick<SiteCertificateSpec, "hostname" | "certificatePem">) {
  return `perigee/site-key/1 ${hostname} ${certificatePem}`;
}
