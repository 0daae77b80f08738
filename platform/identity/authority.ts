/** The origin's certificate authority and the requests that nodes make to it (RFC 2986, RFC 5280). */
import "reflect-metadata";
import type { webcrypto, X509Certificate } from "node:crypto";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import { parseCertificate } from "./certificates.ts";
import { identityUri, type PeerIdentity, serverNameOf } from "./peer.ts";
import { generateSigningKey, type SigningKey } from "./signatures.ts";

const ED25519 = { name: "Ed25519" };

/** Ten years: replacing an authority is an operator's decision, never an accident. */
export const AUTHORITY_LIFETIME_MS = 3652 * 86_400_000;
/** Longer than any outage an edge should survive; renewed at 70-90 % of life. */
export const NODE_CERTIFICATE_LIFETIME_MS = 30 * 86_400_000;
/** A scheduler's placements are trusted offline, so a stolen key must die soon. */
export const SCHEDULER_CERTIFICATE_LIFETIME_MS = 86_400_000;
/** Clocks of nodes may be behind by this: the hour of summer time, and what they drift. */
const BACKDATE_MS = 2 * 3_600_000;
/** RFC 5280 section 4.1.2.2: positive, at most 20 octets. */
const SERIAL_BYTES = 16;

export interface Authority {
  readonly key: SigningKey;
  readonly certificate: X509Certificate;
}

export interface IssueOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly lifetimeMs: number;
}

export async function createAuthority(
  name: string,
  { clock, random }: Pick<IssueOptions, "clock" | "random">,
): Promise<Authority> {
  const key = generateSigningKey();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialOf(random),
    name: `CN=${name}`,
    keys: await cryptoKeys(key),
    signingAlgorithm: ED25519,
    ...validity(clock, AUTHORITY_LIFETIME_MS),
    extensions: [
      new BasicConstraintsExtension(true, 1, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return { key, certificate: parseCertificate(new Uint8Array(certificate.rawData)) };
}

/** The key of another authority, certified by this one: the intermediate of RFC 4210 section 4.4, "new with old". */
export async function crossCertify(
  authority: Authority,
  other: X509Certificate,
  { clock, random }: Pick<IssueOptions, "clock" | "random">,
): Promise<X509Certificate> {
  const lifetimeMs = authority.certificate.validToDate.getTime() - clock.nowMs();
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialOf(random),
    publicKey: other.publicKey.toCryptoKey(ED25519, true, ["verify"]),
    subject: other.subject.split("\n").join(","),
    issuer: authority.certificate.subject.split("\n").join(","),
    signingKey: (await cryptoKeys(authority.key)).privateKey,
    signingAlgorithm: ED25519,
    ...validity(clock, lifetimeMs),
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return parseCertificate(new Uint8Array(certificate.rawData));
}

/** A PKCS #10 request in DER. Names in it are ignored by the authority: identity comes from the token. */
export async function createCertificateRequest(key: SigningKey): Promise<Uint8Array> {
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: "CN=perigee node",
    keys: await cryptoKeys(key),
    signingAlgorithm: ED25519,
  });
  return new Uint8Array(request.rawData);
}

/** Throws `argument-invalid` where the request is malformed or not signed by its own key. */
export async function issueCertificate(
  authority: Authority,
  requestDer: Uint8Array,
  identity: PeerIdentity,
  { clock, random, lifetimeMs }: IssueOptions,
): Promise<X509Certificate> {
  const request = await parseRequest(requestDer);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialOf(random),
    publicKey: request.publicKey,
    subject: `CN=${serverNameOf(identity)}`,
    issuer: authority.certificate.subject.split("\n").join(","),
    signingKey: (await cryptoKeys(authority.key)).privateKey,
    signingAlgorithm: ED25519,
    ...validity(clock, lifetimeMs),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([
        { type: "dns", value: serverNameOf(identity) },
        { type: "url", value: identityUri(identity) },
      ]),
    ],
  });
  return parseCertificate(new Uint8Array(certificate.rawData));
}

async function parseRequest(der: Uint8Array): Promise<Pkcs10CertificateRequest> {
  try {
    const request = new Pkcs10CertificateRequest(Buffer.from(der));
    if (request.publicKey.algorithm.name === ED25519.name && (await request.verify())) return request;
  } catch (cause) {
    throw new Failure("argument-invalid", "the certificate request cannot be read: expected PKCS #10 in DER", {
      cause,
    });
  }
  throw new Failure("argument-invalid", "the certificate request must be signed by its own Ed25519 key");
}

function validity(clock: Clock, lifetimeMs: number): { notBefore: Date; notAfter: Date } {
  const nowMs = clock.nowMs();
  return { notBefore: new Date(nowMs - BACKDATE_MS), notAfter: new Date(nowMs + lifetimeMs) };
}

function serialOf(random: Random): string {
  const bytes = random.bytes(SERIAL_BYTES);
  return `01${Buffer.from(bytes).toString("hex")}`;
}

async function cryptoKeys(key: SigningKey): Promise<webcrypto.CryptoKeyPair> {
  return {
    privateKey: key.privateKey.toCryptoKey(ED25519, true, ["sign"]),
    publicKey: key.publicKey.toCryptoKey(ED25519, true, ["verify"]),
  };
}
