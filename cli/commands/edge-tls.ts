/** The options of `perigee edge` for TLS: where, and whose certificates. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { Failure } from "#domain/failure.ts";
import { parseHostName } from "#domain/ids.ts";
import type { CertificateSource } from "#edge-node/front/tls/certificate-files.ts";
import type { TlsOptions } from "#edge-node/front/tls/tls-front.ts";
import { parseAddress } from "#platform/address.ts";
import { fileReasonOf } from "#platform/files/reason.ts";

export interface TlsFlags {
  readonly listenTls?: string;
  readonly certificate: readonly string[];
  readonly key: readonly string[];
  readonly certificates?: string;
  readonly acmeDirectory?: string;
  readonly acmeEmail?: string;
  readonly acmeName: readonly string[];
  readonly acmeFolder: string;
  readonly acmeAuthority?: string;
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];

export function withTlsOptions(command: Command): Command {
  return command
    .option("--listen-tls <host:port>", "TLS, with HTTP/1.1 and HTTP/2")
    .option("--certificate <file>", "PEM, the site's first, then its issuers; again for each further pair", collect, [])
    .option("--key <file>", "PEM, of the certificate at the same place", collect, [])
    .option("--certificates <folder>", "pairs NAME.crt and NAME.key, or fullchain.pem and privkey.pem a folder below")
    .option("--acme-directory <url>", "of the authority that certificates are ordered from (RFC 8555)")
    .option("--acme-email <address>", "where the authority writes to")
    .option(
      "--acme-name <host name>",
      "ordered and renewed; its port 80 must lead to --listen; again for more",
      collect,
      [],
    )
    .option("--acme-folder <folder>", "keys and certificates that were ordered", "./certificates")
    .option("--acme-authority <file>", "PEM of who signed the directory's own certificate, where it is no public one");
}

/** `undefined` without `--listen-tls`. Throws `argument-invalid` by option. */
export function tlsOf(flags: TlsFlags): TlsOptions | undefined {
  const { listenTls } = flags;
  const sources = sourcesOf(flags);
  const acme = acmeOf(flags);
  if (listenTls === undefined) {
    if (sources.length === 0 && acme === undefined) return undefined;
    throw new Failure("argument-invalid", "certificates need --listen-tls");
  }
  if (sources.length === 0 && acme === undefined)
    throw new Failure(
      "argument-invalid",
      "--listen-tls needs --certificate and --key, --certificates, or --acme-directory",
    );
  return { listen: parseAddress(listenTls), sources, ...(acme && { acme }) };
}

function sourcesOf({ certificate, key, certificates }: TlsFlags): readonly CertificateSource[] {
  if (certificate.length !== key.length) {
    const counts = `got ${certificate.length} of one and ${key.length} of the other`;
    throw new Failure("argument-invalid", `each --certificate needs its --key: ${counts}`);
  }
  const pairs = certificate.map((certificateFile, index): CertificateSource => {
    return { kind: "pair", certificateFile, keyFile: key[index] ?? "" };
  });
  return certificates === undefined ? pairs : [...pairs, { kind: "folder", folder: certificates }];
}

function acmeOf(flags: TlsFlags): TlsOptions["acme"] {
  const { acmeDirectory, acmeEmail, acmeName, acmeFolder, acmeAuthority } = flags;
  if (acmeDirectory === undefined) {
    if (acmeName.length === 0) return undefined;
    throw new Failure("argument-invalid", "--acme-name needs --acme-directory");
  }
  if (!URL.canParse(acmeDirectory) || new URL(acmeDirectory).protocol !== "https:")
    throw new Failure(
      "argument-invalid",
      `--acme-directory must be an https URL, got ${JSON.stringify(acmeDirectory)}`,
    );
  if (acmeName.length === 0) throw new Failure("argument-invalid", "--acme-directory needs an --acme-name");
  return {
    directoryUrl: acmeDirectory,
    ...(acmeEmail === undefined ? {} : { email: acmeEmail }),
    ...(acmeAuthority === undefined ? {} : { trustedPem: readPem(acmeAuthority) }),
    names: acmeName.map(parseName),
    folder: acmeFolder,
  };
}

function parseName(text: string): string {
  const name = parseHostName(text);
  if (name !== undefined) return name;
  throw new Failure(
    "argument-invalid",
    `--acme-name must be a host name without wildcards, got ${JSON.stringify(text)}`,
  );
}

function readPem(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new Failure("argument-invalid", `--acme-authority ${path}: ${fileReasonOf(cause)}`, { cause });
  }
}
