/** Opens the ledger where the configuration says it is: in this process, or in a Redis that several replicas share. */
import { readFile } from "node:fs/promises";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { fileReasonOf } from "#platform/files/reason.ts";
import type { Random } from "#platform/random.ts";
import { type RedisEvents, RedisScripts } from "#platform/redis/redis-scripts.ts";
import type { SchedulerConfig } from "../config.ts";
import { EmbeddedLedger } from "./embedded-ledger.ts";
import type { Ledger } from "./ledger.ts";
import { type LedgerEvents, RedisLedger } from "./redis-ledger.ts";

export interface OpenedLedger {
  readonly ledger: Ledger;
  /** Undefined where the ledger is in memory. */
  readonly shared: { readonly redis: RedisScripts; readonly prefix: string } | undefined;
  /** A line for `/readyz`. */
  readonly standing: () => string;
}

export interface OpenLedgerTools {
  readonly clock: Clock;
  readonly random: Random;
  readonly events: LedgerEvents & RedisEvents;
}

/** Throws `config-invalid` for an address that is none and for a file that has not what it should; a Redis that is not there yet is dialled until it is. */
export async function openLedger(
  { ledger: where }: Pick<SchedulerConfig, "ledger">,
  { clock, random, events }: OpenLedgerTools,
  stack: AsyncDisposableStack,
): Promise<OpenedLedger> {
  if (where === undefined)
    return { ledger: new EmbeddedLedger(clock), shared: undefined, standing: () => "ledger in memory" };
  const { url, user, passwordFile, authorityFile, prefix } = where.redis;
  if (!URL.canParse(url))
    throw faultOf("url", `${url} is no address, expected redis://host:port or rediss://host:port`);
  if (authorityFile !== undefined && !url.startsWith("rediss:"))
    throw faultOf("authorityFile", `it is for rediss:// only, and url is ${url}`);
  const password = (await readOptional("passwordFile", passwordFile))?.trim();
  if (password === "") throw faultOf("passwordFile", `${passwordFile} is empty, expected one line with the password`);
  const authorityPem = await readOptional("authorityFile", authorityFile);
  if (authorityPem !== undefined && !authorityPem.includes("-----BEGIN CERTIFICATE-----"))
    throw faultOf("authorityFile", `${authorityFile} holds no certificate, expected PEM`);
  const redis = stack.use(new RedisScripts({ url, user, password, authorityPem }, { clock, random, events }));
  return {
    ledger: new RedisLedger({ redis, clock, events, prefix }),
    shared: { redis, prefix },
    standing: () =>
      redis.reason === undefined
        ? `ledger in Redis at ${redis.host}`
        : `Redis at ${redis.host} cannot be used, no session is placed: ${redis.reason}`,
  };
}

async function readOptional(key: string, path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw faultOf(key, `${path} cannot be read (${fileReasonOf(error)})`, error);
  }
}

function faultOf(key: string, fault: string, cause?: unknown): Failure {
  return new Failure("config-invalid", `ledger.redis.${key}: ${fault}`, { cause });
}
