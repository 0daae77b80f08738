/** Decides whether this edge could go on without the cloud, and what stands against it. Pure. */

export interface OfflineFacts {
  /** The set is whole and durable. */
  readonly isSetWhole: boolean;
  /** The disk refused what the origin sent last: a restart would not have it. */
  readonly isUnpersisted: boolean;
  /** Ever: a new edge has nothing to go on with. */
  readonly hasConnected: boolean;
  /** Assigned sites whose newest release is not complete. */
  readonly incompleteSites: readonly string[];
  /** In words; `undefined` while nothing is fetched. */
  readonly waitingFor: string | undefined;
  readonly certificateExpiresAtMs: number;
  /** How long an outage may last. */
  readonly outageBudgetMs: number;
  readonly diskFreeBytes: number | undefined;
  /** Of the own clock ahead of the origin's, negative where it is behind; `undefined` while the origin has said nothing. */
  readonly clockOffsetMs: number | undefined;
  readonly nowMs: number;
}

/** What each needs: docs/operating tells an operator. In the order in which they are told. */
export const OFFLINE_REASONS = [
  "NeverConnected",
  "SetDamaged",
  "RevisionUnpersisted",
  "ObjectsMissing",
  "CertificateShort",
  "DiskLow",
  "ClockUnsynchronised",
] as const;

export interface OfflineReason {
  /** CamelCase: a condition's reason. */
  readonly reason: (typeof OFFLINE_REASONS)[number];
  readonly message: string;
}

/** Below it logs, reports and databases may fail to be written. */
export const DISK_FREE_BYTES_MIN = 64 * 1024 * 1024;
/** Tokens are taken with 5 s of skew: the half of it is left for the other side's clock. */
export const CLOCK_OFFSET_MS_MAX = 2_500;
const SITES_SHOWN_MAX = 5;

/** Empty: it could. */
export function offlineReasons(facts: OfflineFacts): readonly OfflineReason[] {
  const reasons: OfflineReason[] = [];
  if (!facts.hasConnected) reasons.push({ reason: "NeverConnected", message: "no desired state was ever received" });
  if (!facts.isSetWhole) {
    reasons.push({ reason: "SetDamaged", message: "the stored set is damaged and waits for a snapshot" });
  }
  if (facts.isUnpersisted) {
    reasons.push({
      reason: "RevisionUnpersisted",
      message: "the disk refused the newest desired state: a restart would begin from the one before",
    });
  }
  if (facts.incompleteSites.length > 0) {
    const shown = facts.incompleteSites.slice(0, SITES_SHOWN_MAX).join(", ");
    const waiting = facts.waitingFor === undefined ? "" : `; waits for ${facts.waitingFor}`;
    reasons.push({
      reason: "ObjectsMissing",
      message: `${facts.incompleteSites.length} assigned sites are incomplete: ${shown}${waiting}`,
    });
  }
  const lifeMs = facts.certificateExpiresAtMs - facts.nowMs;
  if (lifeMs < facts.outageBudgetMs) {
    const [left, wanted] = [lifeMs, facts.outageBudgetMs].map((ms) => Math.floor(ms / 1000));
    reasons.push({
      reason: "CertificateShort",
      message: `the certificate lives ${left} s, an outage may last ${wanted} s`,
    });
  }
  if (facts.diskFreeBytes !== undefined && facts.diskFreeBytes < DISK_FREE_BYTES_MIN) {
    reasons.push({
      reason: "DiskLow",
      message: `${facts.diskFreeBytes} bytes are free, ${DISK_FREE_BYTES_MIN} are needed`,
    });
  }
  const { clockOffsetMs } = facts;
  if (clockOffsetMs !== undefined && Math.abs(clockOffsetMs) > CLOCK_OFFSET_MS_MAX) {
    const way = clockOffsetMs < 0 ? "behind" : "ahead of";
    // To a tenth of a second: what has changed is told the origin at once.
    const [off, most] = [Math.abs(clockOffsetMs), CLOCK_OFFSET_MS_MAX].map((ms) => (ms / 1000).toFixed(1));
    reasons.push({
      reason: "ClockUnsynchronised",
      message: `the clock is ${off} s ${way} the origin's, at most ${most} s are good`,
    });
  }
  return reasons;
}
