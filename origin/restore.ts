/** Makes a restored backup the log of the fleet: a new epoch, minted, and revisions that no node has seen. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "#domain/failure.ts";
import { positionsIn, ROLLOUT_NAME } from "#domain/fleet/rollout.ts";
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import type { EtcdConfig } from "./config.ts";
import { authorityFiles } from "./keys/authorities.ts";
import { mintEpoch } from "./keys/epoch-proof.ts";
import { loadOriginKeys } from "./keys/origin-keys.ts";
import { raiseEtcdEpoch } from "./log/etcd/etcd-log.ts";
import { etcdOptions } from "./log/open-log.ts";
import type { ResourceLog } from "./log/resource-log.ts";
import { findResource } from "./log/resources.ts";
import { openSqliteLog, raiseEpoch } from "./log/sqlite-log.ts";

/** As many commits are never lost with what came after a backup; etcd restores by this number. */
const REVISIONS_SKIPPED = 1_000_000_000;

export interface Restored {
  readonly epoch: number;
  readonly revision: number;
}

/**
 * With every origin of the log stopped. `epoch` where nodes have been in a higher one than the backup's next. Throws `config-invalid`
 * where the folder holds no origin's log and keys, or the epoch is not higher.
 */
export async function restoreOrigin(
  dataDir: string,
  tools: { readonly clock: Clock; readonly random: Random },
  epoch?: number,
  etcd?: EtcdConfig,
): Promise<Restored> {
  const path = join(dataDir, "log.sqlite");
  const files = authorityFiles(join(dataDir, "identity"));
  for (const needed of [...(etcd === undefined ? [path] : []), ...files]) {
    if (existsSync(needed)) continue;
    throw new Failure("config-invalid", `${needed} is not there: put the backup's files in place first`);
  }
  const { authorities } = await loadOriginKeys(dataDir, tools);
  if (etcd !== undefined) {
    const epochOf = async (current: number): Promise<number> => {
      const next = nextEpoch(current, epoch);
      await mintEpoch(dataDir, authorities.issuing, next);
      return next;
    };
    const raise = { epochOf, heldIn, revisionsSkipped: REVISIONS_SKIPPED };
    return await raiseEtcdEpoch({ ...(await etcdOptions(etcd)), ...tools }, raise);
  }
  const next = nextEpoch(epochIn(path), epoch);
  await mintEpoch(dataDir, authorities.issuing, next);
  return { epoch: next, revision: raiseEpoch(path, next, REVISIONS_SKIPPED) };
}

function epochIn(path: string): number {
  using log = openSqliteLog(path);
  log.compact(log.revision(), heldIn(log));
  return log.epoch;
}

/** What is held back from some pools is so in the next epoch too. */
function heldIn(log: ResourceLog): readonly number[] {
  return positionsIn(findResource(log, "Rollout", ROLLOUT_NAME)?.spec);
}

function nextEpoch(current: number, wanted: number | undefined): number {
  const next = wanted ?? current + 1;
  if (Number.isSafeInteger(next) && next > current) return next;
  throw new Failure("config-invalid", `the epoch must be a number above ${current}, which the backup has, got ${next}`);
}
