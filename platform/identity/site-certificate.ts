/** A site's certificate with its key: parsed and verified before it may serve. Pure but for `node:crypto`. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { Failure } from "#domain/failure.ts";

/** Leaf, intermediates and what some authorities put at the end. */
const CHAIN_LENGTH_MAX = 8;
/** RFC 5280 has no limit; what names a site's hosts is a hundred names at most. */
const NAMES_MAX = 500;

export interface CertificatePair {
  /** Leaf first, then its issuers (RFC 8446 section 4.4.2). */
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface SiteCertificate extends CertificatePair {
  /** In lower case; one that begins with `*.` is for one label more (RFC 9525 section 6.3). */
  readonly names: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SHA-256 of the leaf, in hexadecimal. */
  readonly fingerprint: string;
}

/** Throws `certificate-invalid`, beginning with `what`, for a pair that no client would take. */
export function readCertificate(what: string, pair: CertificatePair, nowMs: number): SiteCertificate {
  const chain = parseChain(what, pair.certificatePem);
  const [leaf] = chain;
  if (leaf === undefined)
    throw invalid(what, `expected 1 to ${CHAIN_LENGTH_MAX} certificates in PEM, the site's first`);
  if (!leaf.checkPrivateKey(parseKey(what, pair.keyPem)))
    throw invalid(what, "the key is not the one of the certificate");
  chain.forEach((certificate, index) => {
    const issuer = chain[index + 1];
    if (issuer !== undefined && !certificate.checkIssued(issuer))
      throw invalid(
        what,
        `certificate ${index + 2} did not issue certificate ${index + 1}: put the site's first, each issuer after it`,
      );
  });
  if (leaf.ca) throw invalid(what, "it is an authority's, expected a site's");
  const notBeforeMs = leaf.validFromDate.getTime();
  const notAfterMs = leaf.validToDate.getTime();
  if (nowMs < notBeforeMs) throw invalid(what, `it is valid only from ${leaf.validFrom}: is the clock right?`);
  if (nowMs >= notAfterMs) throw invalid(what, `it expired at ${leaf.validTo}: renew it`);
  const fingerprint = leaf.fingerprint256.replaceAll(":", "").toLowerCase();
  return { ...pair, names: namesOf(what, leaf), notBeforeMs, notAfterMs, fingerprint };
}

/** Whether a client that asks for `name` takes it (RFC 9525 section 6.3). */
export function isForName({ names }: Pick<SiteCertificate, "names">, name: string): boolean {
  return names.includes(name) || names.includes(name.replace(/^[^.]+/, "*"));
}

function parseChain(what: string, pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length > CHAIN_LENGTH_MAX) throw invalid(what, `a chain has at most ${CHAIN_LENGTH_MAX} certificates`);
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw invalid(what, "a certificate in it cannot be read", cause);
  }
}

function parseKey(what: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw invalid(what, "the key cannot be read: expected a private key in PEM, without a passphrase", cause);
  }
}

function namesOf(what: string, leaf: X509Certificate): readonly string[] {
  const entries = leaf.subjectAltName?.split(", ") ?? [];
  const names = entries.flatMap((entry) => (entry.startsWith("DNS:") ? [entry.slice(4).toLowerCase()] : []));
  if (names.length > NAMES_MAX) throw invalid(what, `it has ${names.length} names, at most ${NAMES_MAX} are served`);
  return names;
}

function invalid(what: string, why: string, cause?: unknown): Failure {
  return new Failure("certificate-invalid", `${what}: ${why}`, cause === undefined ? {} : { cause });
}
