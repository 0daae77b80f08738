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

/** Throws `config-invalid` for a file that cannot be read; a Redis that is not there yet is dialled until it is. */
export async function openLedger(
  { ledger: where }: Pick<SchedulerConfig, "ledger">,
  { clock, random, events }: OpenLedgerTools,
  stack: AsyncDisposableStack,
): Promise<OpenedLedger> {
  if (where === undefined)
    return { ledger: new EmbeddedLedger(clock), shared: undefined, standing: () => "ledger in memory" };
  const { url, user, passwordFile, authorityFile, prefix } = where.redis;
  const password = (await readOptional("passwordFile", passwordFile))?.trim();
  const authorityPem = await readOptional("authorityFile", authorityFile);
  const redis = stack.use(new RedisScripts({ url, user, password, authorityPem }, { clock, random, events }));
  return {
    ledger: new RedisLedger({ redis, clock, events, prefix }),
    shared: { redis, prefix },
    standing: () =>
      redis.isUp ? `ledger in Redis at ${redis.host}` : `Redis at ${redis.host} not reached: no session is placed`,
  };
}

async function readOptional(key: string, path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const message = `ledger.redis.${key}: ${path} cannot be read (${fileReasonOf(error)})`;
    throw new Failure("config-invalid", message, { cause: error });
  }
}
