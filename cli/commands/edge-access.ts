/** The options of `perigee edge` that say who may ask for what, and how often. */
import type { Command } from "commander";
import { Failure } from "#domain/failure.ts";
import { plainPath } from "#domain/http/plain-path.ts";
import type { AccessRules } from "#edge-node/access/access-gate.ts";
import type { RateLimit } from "#edge-node/access/rate-limit.ts";
import { trustedProxiesOf } from "#edge-node/access/trusted-proxies.ts";
import { readKeyFile, verifyingKeyOf } from "../signing-keys.ts";

export interface AccessOptions {
  readonly signingKeys?: string;
  readonly signedPath?: readonly string[];
  readonly rateLimit?: string;
  readonly trustedProxy?: readonly string[];
  readonly clientField: string;
}

export function withAccessOptions(command: Command): Command {
  return command
    .option("--signing-keys <file>", "of `perigee signing-key`: URLs and cookies that they signed are good here")
    .option("--signed-path <pattern...>", "what needs a signature: paths, or prefixes ending in *; all unless said")
    .option("--rate-limit <rate>", "of each client, and at once after a pause: 100/s:200")
    .option("--trusted-proxy <network...>", "proxies in front, whose word on who asks is believed")
    .option("--client-field <name>", "where they say it", "x-forwarded-for");
}

/** Throws `argument-invalid` or `config-invalid` by option. */
export function accessOf(options: AccessOptions): Omit<AccessRules, "site"> {
  const { signingKeys, signedPath, rateLimit, trustedProxy, clientField } = options;
  if (signingKeys === undefined && signedPath !== undefined) {
    throw new Failure("argument-invalid", "--signed-path needs --signing-keys");
  }
  const signed = signingKeys && {
    keys: readKeyFile(signingKeys).map(verifyingKeyOf),
    paths: (signedPath ?? ["/*"]).map(parsePattern),
  };
  return {
    ...(signed && { signed }),
    ...(rateLimit === undefined ? {} : { rateLimit: parseRateLimit(rateLimit) }),
    ...(trustedProxy === undefined ? {} : { proxies: trustedProxiesOf(clientField, trustedProxy) }),
  };
}

function parsePattern(pattern: string): string {
  if (plainPath(pattern.replace(/\*$/, "")) !== undefined) return pattern;
  throw new Failure(
    "argument-invalid",
    `--signed-path must be written as in a URL, without dot or empty segments, got ${JSON.stringify(pattern)}`,
  );
}

function parseRateLimit(text: string): RateLimit {
  const [, count = "", unit = "", burst] = /^(\d{1,7})\/([sm])(?::(\d{1,7}))?$/.exec(text) ?? [];
  const requestsPerSecond = Number(count) / (unit === "m" ? 60 : 1);
  const limit = { requestsPerSecond, burst: Number(burst ?? count) };
  if (unit !== "" && requestsPerSecond > 0 && limit.burst > 0) return limit;
  throw new Failure(
    "argument-invalid",
    `--rate-limit must be requests a second or minute and a burst, like 100/s:200 or 30/m, got ${JSON.stringify(text)}`,
  );
}
