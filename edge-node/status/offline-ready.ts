/** Decides whether this edge could go on without the cloud, and what stands against it. Pure. */

export interface OfflineFacts {
  /** The set is whole and durable. */
  readonly isSetWhole: boolean;
  /** Ever: a new edge has nothing to go on with. */
  readonly hasConnected: boolean;
  /** Assigned sites whose newest release is not complete. */
  readonly incompleteSites: readonly string[];
  readonly certificateExpiresAtMs: number;
  /** How long an outage may last. */
  readonly outageBudgetMs: number;
  readonly diskFreeBytes: number | undefined;
  readonly nowMs: number;
}

export interface OfflineReason {
  /** CamelCase: a condition's reason. */
  readonly reason: "NeverConnected" | "SetDamaged" | "ObjectsMissing" | "CertificateShort" | "DiskLow";
  readonly message: string;
}

/** Below it logs, reports and databases may fail to be written. */
export const DISK_FREE_BYTES_MIN = 64 * 1024 * 1024;
const SITES_SHOWN_MAX = 5;

/** Empty: it could. */
export function offlineReasons(facts: OfflineFacts): readonly OfflineReason[] {
  const reasons: OfflineReason[] = [];
  if (!facts.hasConnected) reasons.push({ reason: "NeverConnected", message: "no desired state was ever received" });
  if (!facts.isSetWhole) {
    reasons.push({ reason: "SetDamaged", message: "the stored set is damaged and waits for a snapshot" });
  }
  if (facts.incompleteSites.length > 0) {
    const shown = facts.incompleteSites.slice(0, SITES_SHOWN_MAX).join(", ");
    reasons.push({
      reason: "ObjectsMissing",
      message: `${facts.incompleteSites.length} assigned sites are incomplete: ${shown}`,
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
  return reasons;
}
