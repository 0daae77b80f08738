/** What happens in an edge-node beside its cache: one method an event, the log record and the metrics together. */
import type { Digest } from "#domain/content/release.ts";
import { type Failure, type FailureCode, isFailure } from "#domain/failure.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";

/** The databases of `dataDir`. */
export type DamagedState = "desired" | "releases" | "purges" | "reports" | "certificates";

export type NodeEvents = ReturnType<typeof createNodeEvents>;

export function createNodeEvents(logger: Logger, metrics: Metrics) {
  const storage = metrics.counter("storage_failures_total", "What the disk refused, by code", ["code"]);
  const dropped = metrics.counter("reports_dropped_total", "Reports given up because their queue was full", ["kind"]);
  const reports = metrics.counter("reports_total", "Reports made durable");
  const commits = metrics.counter("report_commits_total", "Transactions that made reports durable, an fsync each");
  const usageLost = metrics.counter("usage_lost_total", "Requests whose count by site could not be kept");
  const waiting = metrics.gauge("reports_waiting", "Records that the origin does not have yet");
  const served = metrics.counter("published_requests_total", "Requests for published sites by status", ["status"]);
  const misdirected = metrics.counter("misdirected_requests_total", "Requests whose Host is no site's here");
  const publishedNow = new Map<number, number>();
  metrics.beforeRender(() => {
    for (const [status, count] of publishedNow) served.inc({ status: String(status) }, count);
    publishedNow.clear();
  });
  return {
    ...createLinkEvents(logger, metrics),
    ...createSetEvents(logger, metrics),
    ...createReleaseEvents(logger, metrics),
    storageFailed(error: unknown) {
      const code = isFailure(error) ? error.code : "bug";
      storage.inc({ code });
      logger.error({ err: error, code }, "storage failed");
    },
    reportsDropped(kind: string, count: number) {
      dropped.inc({ kind }, count);
      logger.warn({ kind, count }, "reports given up, their queue is full");
    },
    reportsCommitted(count: number, waitingNow: number) {
      reports.inc(count);
      commits.inc();
      waiting.set(waitingNow);
    },
    usageLost(requests: number) {
      usageLost.inc(requests);
      logger.error({ requests }, "usage of a site lost, it could not be written");
    },
    reportsWaiting: (waitingNow: number) => waiting.set(waitingNow),
    published: (status: number, count = 1) => void publishedNow.set(status, (publishedNow.get(status) ?? 0) + count),
    misdirected: () => misdirected.inc(),
    listening: (addresses: Readonly<Record<string, string>>) => logger.info({ addresses }, "edge-node listening"),
  };
}

function createLinkEvents(logger: Logger, metrics: Metrics) {
  const link = metrics.gauge("origin_link_up", "1 while the stream to the origin stands");
  const failures = metrics.counter("origin_link_failures_total", "Links that ended or were refused", ["code"]);
  return {
    linkUp() {
      link.set(1);
      logger.info("link to the origin up");
    },
    linkDown(reason: Failure) {
      link.set(0);
      logger.warn({ err: reason }, "link to the origin down, serving what is held");
    },
    linkFailed(failure: Failure) {
      failures.inc({ code: failure.code });
      logger.debug({ err: failure }, "link to the origin failed, it is made again");
      if (!failure.retryable) logger.warn({ err: failure }, "the origin does not take this node");
    },
    originRefused: (code: string, message: string) => logger.warn({ code, message }, "the origin refused this node"),
  };
}

/** No snapshot mends these: somebody has to look. */
const HELD_BACK: ReadonlySet<FailureCode> = new Set(["epoch-regressed", "revision-quarantined", "shrink-refused"]);

function createSetEvents(logger: Logger, metrics: Metrics) {
  const revision = metrics.gauge("applied_revision", "Revision of the pool's set that is durable here");
  const batches = metrics.counter("batches_refused_total", "Batches of desired state refused by reason", ["code"]);
  const damaged = metrics.counter("stored_state_damaged_total", "Stored state that did not verify at load", ["what"]);
  const crashes = metrics.counter(
    "crashes_on_trial_total",
    "Starts after a crash within a minute of a change or start",
  );
  const returns = metrics.counter("returns_to_proven_total", "Starts that went back to what was proven", ["what"]);
  const proven = metrics.gauge("proven_revision", "Newest revision that has served for a minute");
  const synced = metrics.gauge("synced", "1 while what the origin distributes is taken");
  synced.set(1);
  return {
    crashedOnTrial(count: number) {
      crashes.inc();
      logger.warn({ crashes: count }, "the last process ended out of order, what is on trial is tried again");
    },
    returnedToProven(what: "set" | "releases", quarantine: object | undefined) {
      crashes.inc();
      returns.inc({ what });
      logger.error({ what, quarantine }, "three crashes, serving what was proven before");
    },
    proven(to: number) {
      proven.set(to);
      logger.debug({ revision: to }, "desired state proven");
    },
    synced: (isSynced: boolean) => synced.set(isSynced ? 1 : 0),
    applied(to: number) {
      revision.set(to);
      logger.debug({ revision: to }, "desired state applied");
    },
    batchRefused(failure: Failure) {
      batches.inc({ code: failure.code });
      const level = HELD_BACK.has(failure.code) ? "error" : "warn";
      logger[level]({ err: failure }, "batch refused, the set stays as it was");
    },
    storedDamaged(what: DamagedState, failure: Failure) {
      damaged.inc({ what });
      logger.error({ what, err: failure }, "stored state does not verify");
    },
    purgesMissed(expiredBeforeMs: number) {
      logger.warn({ expiredBeforeMs }, "cut off for longer than purges are retained: what is older is expired");
    },
  };
}

function createReleaseEvents(logger: Logger, metrics: Metrics) {
  const activations = metrics.counter("releases_activated_total", "Releases that came to be served");
  const refusals = metrics.counter("releases_refused_total", "Releases refused by reason", ["code"]);
  const delays = metrics.counter("releases_delayed_total", "Attempts at a release that are tried again", ["code"]);
  const fetched = metrics.counter("fetched_bytes_total", "Bytes of objects fetched and verified");
  const blobs = metrics.counter("objects_damaged_total", "Objects on disk that were not what their name says");
  const collected = metrics.counter("collected_bytes_total", "Bytes of objects that no release needs any more");
  return {
    activated(site: string, generation: number) {
      activations.inc();
      logger.info({ site, generation }, "release activated");
    },
    releaseRefused(release: string, failure: Failure) {
      refusals.inc({ code: failure.code });
      logger.error({ release, err: failure }, "release refused, the one before stays");
    },
    releaseDelayed(release: string, failure: Failure) {
      delays.inc({ code: failure.code });
      logger.warn({ release, err: failure }, "release not complete yet");
    },
    fetched: (bytes: number) => fetched.inc(bytes),
    fetchFailed: (error: unknown) => logger.debug({ err: error }, "object not fetched"),
    blobDamaged(digest: Digest) {
      blobs.inc();
      logger.error({ digest }, "object damaged on disk, removed");
    },
    blobsCollected(bytes: number) {
      collected.inc(bytes);
      if (bytes > 0) logger.info({ bytes }, "objects collected");
    },
  };
}
