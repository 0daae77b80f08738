/** Certificates of a test's own authority, and a client that trusts it. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { isIP } from "node:net";
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY_MS = 86_400_000;

export interface TestPair {
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface TestAuthority {
  readonly authorityPem: string;
  /** Valid from a day before `nowMs` for `lifetimeMs` after it. */
  issue(
    names: readonly string[],
    options?: { readonly lifetimeMs?: number; readonly startMs?: number },
  ): Promise<TestPair>;
}

export async function createTestAuthority(nowMs: number): Promise<TestAuthority> {
  let serial = 1;
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const authority = await X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: "CN=test authority",
    keys,
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(nowMs - 2 * DAY_MS),
    notAfter: new Date(nowMs + 3650 * DAY_MS),
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
    ],
  });
  return {
    authorityPem: authority.toString("pem"),
    async issue(names, { lifetimeMs = 90 * DAY_MS, startMs = nowMs - DAY_MS } = {}) {
      serial += 1;
      const own = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
      const certificate = await X509CertificateGenerator.create({
        serialNumber: serial.toString(16).padStart(4, "0"),
        subject: `CN=${names[0] ?? "nobody"}`,
        issuer: authority.subject,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: ALGORITHM,
        notBefore: new Date(startMs),
        notAfter: new Date(nowMs + lifetimeMs),
        extensions: [
          new BasicConstraintsExtension(false, undefined, true),
          new SubjectAlternativeNameExtension(
            names.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value })),
          ),
        ],
      });
      const key = await webcrypto.subtle.exportKey("pkcs8", own.privateKey);
      return { certificatePem: certificate.toString("pem"), keyPem: PemConverter.encode(key, "PRIVATE KEY") };
    },
  };
}
