/** What the origin forgets in time: old revisions, records, blobs that no release needs, orders that have had their effect. */
import { PURGE_RETENTION_MS } from "#domain/content/purge.ts";
import { isFailure } from "#domain/failure.ts";
import { TOMBSTONE_RETENTION_MS } from "#domain/fleet/tombstone.ts";
import type { Clock } from "#platform/clock.ts";
import type { BlobStore, CollectResult } from "./blob-store/file-blob-store.ts";
import type { ResourceLog, Write } from "./log/resource-log.ts";
import { listResources } from "./log/resources.ts";
import type { Distribution } from "./node-rpc/distribution.ts";
import { neededBlobs } from "./publishing/publish.ts";
import { deleteOrphanedReleases } from "./publishing/releases.ts";
import { RECORD_RETENTION_MS, type Records } from "./records/records.ts";
import { USAGE_RETENTION_MS } from "./records/usage-sums.ts";

export interface HousekeepingParts {
  readonly log: ResourceLog;
  readonly records: Records;
  readonly blobs: BlobStore;
  readonly distribution: Distribution;
  readonly clock: Clock;
  readonly events: { collected(result: CollectResult): void; housekeepingFailed(error: unknown): void };
}

export interface HousekeepingLimits {
  readonly logRevisionsKept: number;
  readonly blobGraceSeconds: number;
  readonly housekeepingSeconds: number;
}

/** Never two runs at once. A run that fails changes nothing that the next one cannot do. */
export function startHousekeeping(parts: HousekeepingParts, limits: HousekeepingLimits): Disposable {
  return parts.clock.every(limits.housekeepingSeconds * 1000, async () => {
    try {
      await keepHouse(parts, limits);
    } catch (error) {
      if (!isFailure(error)) throw error;
      parts.events.housekeepingFailed(error);
    }
  });
}

async function keepHouse(parts: HousekeepingParts, limits: HousekeepingLimits): Promise<void> {
  const { log, records, blobs, distribution, clock, events } = parts;
  const expired = expiredOrders(log, clock.nowMs());
  if (expired.length > 0) await log.write(expired);
  await deleteOrphanedReleases(log);
  distribution.advance();
  const held = distribution.heldBack.positions;
  records.policies.follow(log, clock.nowMs());
  await log.compact(Math.max(log.compactedRevision(), log.revision() - limits.logRevisionsKept), held);
  records.prune(clock.nowMs() - RECORD_RETENTION_MS);
  records.usage.prune(clock.nowMs() - USAGE_RETENTION_MS);
  const uploadedBeforeMs = clock.nowMs() - limits.blobGraceSeconds * 1000;
  events.collected(await blobs.collect(await neededBlobs(log, blobs, held), uploadedBeforeMs));
}

/** Deletions of purges and tombstones past their retention, and of revocations whose subject has expired by itself. */
export function expiredOrders(log: ResourceLog, nowMs: number): readonly Write[] {
  const purges = listResources(log, "Purge").filter(({ spec }) => spec.atMs < nowMs - PURGE_RETENTION_MS);
  const revocations = listResources(log, "Revocation").filter(({ spec }) => spec.subjectExpiresAtMs < nowMs);
  const tombstones = listResources(log, "Tombstone").filter(({ spec }) => spec.atMs < nowMs - TOMBSTONE_RETENTION_MS);
  return [...purges, ...revocations, ...tombstones].map(({ kind, metadata }) => ({
    kind,
    name: metadata.name,
    expectedRevision: metadata.resourceVersion,
    render: () => undefined,
  }));
}
