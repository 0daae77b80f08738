/** `perigee signing-key` and `sign-url`: links and cookies that open what a site keeps for those who have one. */
import { isIP } from "node:net";
import { type Command, Option } from "commander";
import {
  formatSignature,
  SIGNATURE_CHARACTERS_MAX,
  SIGNATURE_NAME,
  SIGNED_LIFETIME_SECONDS_MAX,
  type Signature,
  type SignedTerms,
  splitTarget,
  statementOf,
  withSignature,
} from "#domain/access/signed-url.ts";
import { Failure } from "#domain/failure.ts";
import { plainPath } from "#domain/http/plain-path.ts";
import { parseName } from "#domain/ids.ts";
import { networkOf } from "#edge-node/access/client-address.ts";
import { proofOf } from "#edge-node/access/signing-keys.ts";
import { systemClock } from "#platform/clock.ts";
import { printValue } from "../output.ts";
import { addKey, provingKeyOf, readKeyFile, SIGNING_ALGORITHMS, type SigningAlgorithm } from "../signing-keys.ts";
import type { CommandSession } from "./session.ts";

/** What `perigee edge` takes signatures for, where nothing else is said. */
const STANDALONE_SITE = "standalone";

export function addSigningKey(program: Command, session: CommandSession): void {
  program
    .command("signing-key")
    .description("add a key that signs URLs to a file, and print what a Site or an edge needs of it")
    .argument("<id>", "its name in signatures; another one for each key that takes over")
    .requiredOption("--key-file <file>", "made where it is not there; keep it secret")
    .addOption(new Option("--algorithm <name>").choices([...SIGNING_ALGORITHMS]).default("ed25519"))
    .addHelpText(
      "after",
      "\nExample:\n  perigee signing-key spring --key-file ./url-keys.yaml\n\nA Site takes ed25519 keys only: its edges verify, and cannot sign.",
    )
    .action(async (id: string, options: { keyFile: string; algorithm: SigningAlgorithm }) => {
      const key = await addKey(options.keyFile, parseName(id, "the id"), options.algorithm);
      if (key.algorithm === "ed25519") {
        const { keyId, publicKey } = key;
        printValue(session.output, "yaml", { signedUrls: { keys: [{ keyId, publicKey }], paths: ["/*"] } });
      } else session.output.line(`perigee edge --signing-keys ${options.keyFile}`);
    });
}

interface SignOptions {
  readonly keyFile: string;
  readonly key?: string;
  readonly site: string;
  readonly lifetime: string;
  readonly prefix?: string;
  readonly address?: string;
  readonly cookie?: true;
}

export function addSignUrl(program: Command, session: CommandSession): void {
  program
    .command("sign-url")
    .description("sign a URL, or make a cookie, for what needs a signature")
    .argument("<url>", "as user agents will ask for it")
    .requiredOption("--key-file <file>", "of `perigee signing-key`")
    .option("--key <id>", "which of its keys; the newest unless said")
    .option("--site <name>", "the Site; not needed for `perigee edge`", STANDALONE_SITE)
    .option("--lifetime <seconds>", "how long it is good for", "3600")
    .option("--prefix <path>", "good for every path that begins so, whatever the query; end it with /")
    .option("--address <address>", "good for this client only; of IPv6 its network of /64")
    .option("--cookie", "print a Set-Cookie value in place of the URL; needs --prefix")
    .addHelpText(
      "after",
      "\nExample:\n  perigee sign-url https://films.example/a.mp4 --key-file ./url-keys.yaml --site films --lifetime 600",
    )
    .action((text: string, options: SignOptions) => {
      session.output.line(signed(text, options, systemClock.nowMs()));
    });
}

function signed(text: string, options: SignOptions, nowMs: number): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const split = url && splitTarget(`${url.pathname}${url.search}`);
  if (url === undefined || split === undefined || !/^https?:$/.test(url.protocol)) {
    throw new Failure("argument-invalid", `the URL must be one of http or https, got ${JSON.stringify(text)}`);
  }
  if (split.signatures.length > 0) throw new Failure("argument-invalid", "the URL has a signature: give it without");
  const lifetimeSeconds = parseLifetime(options.lifetime);
  const signature = sign(split.target, options, Math.floor(nowMs / 1000) + lifetimeSeconds);
  if (options.cookie !== true) return `${url.origin}${withSignature(split.target, signature)}${url.hash}`;
  if (options.prefix === undefined)
    throw new Failure("argument-invalid", "--cookie needs --prefix: a cookie is for many URLs");
  const path = options.prefix.slice(0, options.prefix.lastIndexOf("/") + 1);
  const attributes = `Path=${path}; Max-Age=${lifetimeSeconds}; Secure; HttpOnly; SameSite=Lax`;
  return `${SIGNATURE_NAME}=${formatSignature(signature)}; ${attributes}`;
}

function sign(target: string, options: SignOptions, expiresAtSeconds: number): Signature {
  const keys = readKeyFile(options.keyFile);
  const key = options.key === undefined ? keys.at(-1) : keys.find(({ keyId }) => keyId === options.key);
  if (key === undefined) throw new Failure("argument-invalid", `${options.keyFile} has no key ${options.key}`);
  const { prefix, address } = options;
  const terms: SignedTerms = {
    expiresAtSeconds,
    keyId: key.keyId,
    ...(prefix === undefined ? {} : { prefix: parsePrefix(prefix, target) }),
    ...(address === undefined ? {} : { client: parseClient(address) }),
  };
  const statement = statementOf(parseName(options.site, "--site"), target, terms);
  const signature = { ...terms, proof: proofOf(statement, provingKeyOf(key)) };
  if (formatSignature(signature).length <= SIGNATURE_CHARACTERS_MAX) return signature;
  throw new Failure(
    "argument-invalid",
    `a signature has at most ${SIGNATURE_CHARACTERS_MAX} characters: give a shorter --prefix`,
  );
}

function parsePrefix(prefix: string, target: string): string {
  if (plainPath(prefix) === undefined) {
    throw new Failure(
      "argument-invalid",
      `--prefix must be a path as in a URL, without dot or empty segments, got ${JSON.stringify(prefix)}`,
    );
  }
  if (target.startsWith(prefix)) return prefix;
  throw new Failure("argument-invalid", `--prefix ${prefix} is none of the URL's path ${target}`);
}

function parseClient(address: string): string {
  if (isIP(address) !== 0) return networkOf(address);
  throw new Failure("argument-invalid", `--address must be an IP address, got ${JSON.stringify(address)}`);
}

function parseLifetime(text: string): number {
  const seconds = Number(text);
  if (/^\d+$/.test(text) && seconds >= 1 && seconds <= SIGNED_LIFETIME_SECONDS_MAX) return seconds;
  throw new Failure(
    "argument-invalid",
    `--lifetime must be 1 to ${SIGNED_LIFETIME_SECONDS_MAX} seconds, got ${JSON.stringify(text)}`,
  );
}
