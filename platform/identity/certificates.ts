/** Reads certificates and verifies chains to a pinned authority (RFC 5280, the part a private authority needs). */
import { createHash, type KeyObject, X509Certificate } from "node:crypto";
import { Failure } from "#domain/failure.ts";
import { type PeerIdentity, parseIdentity, type Role } from "./peer.ts";

/** Leaf, perhaps an intermediate, authority. */
export const CHAIN_LENGTH_MAX = 3;

export interface VerifiedChain {
  readonly identity: PeerIdentity;
  readonly leaf: X509Certificate;
}

export interface ChainTrust {
  readonly authorities: readonly X509Certificate[];
  readonly roles: readonly Role[];
  /** Only this pool, where given. */
  readonly pool?: string;
}

export function parseCertificate(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(Buffer.from(der));
  } catch (cause) {
    throw new Failure("certificate-untrusted", "the certificate cannot be read", { cause });
  }
}

/** The certificates of a PEM text, in its order. */
export function parsePemChain(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

export function formatPemChain(chain: readonly X509Certificate[]): string {
  return chain.map((certificate) => certificate.toString()).join("");
}

/** `sha256:HEX` of the certificate's DER: what an operator copies to a node as the pin. */
export function pinOf(certificate: X509Certificate): string {
  return `sha256:${createHash("sha256").update(certificate.raw).digest("hex")}`;
}

/** Throws `certificate-untrusted` saying which link, role, pool or date was wrong. */
export function verifyChain(chain: readonly X509Certificate[], trust: ChainTrust, nowMs: number): VerifiedChain {
  const leaf = chain[0];
  if (leaf === undefined || chain.length > CHAIN_LENGTH_MAX)
    throw untrusted(`a chain has 1 to ${CHAIN_LENGTH_MAX} certificates`);
  if (leaf.ca) throw untrusted("the leaf is an authority");
  for (const [index, certificate] of chain.entries()) {
    checkDates(certificate, nowMs);
    if (index > 0 && !certificate.ca) throw untrusted("an issuer is no authority");
    // What follows leads to an authority that others trust.
    if (trust.authorities.some((authority) => isIssuedBy(certificate, authority))) break;
    const next = chain[index + 1];
    if (next === undefined || !isIssuedBy(certificate, next))
      throw untrusted("it was not issued by a trusted authority");
  }
  const identity = parseIdentity(leaf.subjectAltName);
  if (identity === undefined) throw untrusted("it names no identity");
  if (!trust.roles.includes(identity.role)) {
    throw untrusted(`its role is ${identity.role}, expected ${trust.roles.join(" or ")}`);
  }
  if (trust.pool !== undefined && identity.pool !== trust.pool) {
    throw untrusted(`its pool is ${identity.pool}, expected ${trust.pool}`);
  }
  return { identity, leaf };
}

/**
 * The keys of the authorities, and of one that any of them has certified, where its cross certificate is given. Throws
 * `certificate-untrusted` for bytes that are no certificate.
 */
export function authorityKeysOf(authorities: readonly X509Certificate[], cross?: Uint8Array): readonly KeyObject[] {
  const keys = authorities.map(({ publicKey }) => publicKey);
  if (cross === undefined) return keys;
  const certificate = parseCertificate(cross);
  const isVouched = certificate.ca && authorities.some((authority) => isIssuedBy(certificate, authority));
  return isVouched ? [...keys, certificate.publicKey] : keys;
}

/** An authority may stand at the end of its own chain. */
function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  if (certificate.raw.equals(issuer.raw)) return true;
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function checkDates(certificate: X509Certificate, nowMs: number): void {
  if (nowMs < certificate.validFromDate.getTime())
    throw untrusted(`it is valid only from ${certificate.validFrom}: is the clock right?`);
  if (nowMs > certificate.validToDate.getTime()) throw untrusted(`it expired at ${certificate.validTo}`);
}

function untrusted(reason: string): Failure {
  return new Failure("certificate-untrusted", `the certificate is not trusted: ${reason}`);
}
