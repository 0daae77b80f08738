import t from "tap";
import { createMetrics } from "#platform/metrics/metrics.ts";
import { showOfflineReadiness } from "./offline-metrics.ts";
import {
  CLOCK_OFFSET_MS_MAX,
  DISK_FREE_BYTES_MIN,
  OFFLINE_REASONS,
  type OfflineFacts,
  offlineReasons,
} from "./offline-ready.ts";

const facts: OfflineFacts = {
  isSetWhole: true,
  isUnpersisted: false,
  hasConnected: true,
  incompleteSites: [],
  waitingFor: undefined,
  certificateExpiresAtMs: 100_000,
  outageBudgetMs: 50_000,
  diskFreeBytes: DISK_FREE_BYTES_MIN,
  clockOffsetMs: 0,
  nowMs: 1000,
};

/** Each reason on either side of its edge. */
const EDGES: readonly (readonly [(typeof OFFLINE_REASONS)[number], Partial<OfflineFacts>, Partial<OfflineFacts>])[] = [
  ["NeverConnected", { hasConnected: true }, { hasConnected: false }],
  ["SetDamaged", { isSetWhole: true }, { isSetWhole: false }],
  ["RevisionUnpersisted", { isUnpersisted: false }, { isUnpersisted: true }],
  ["ObjectsMissing", { incompleteSites: [] }, { incompleteSites: ["shop"] }],
  ["CertificateShort", { nowMs: 50_000 }, { nowMs: 50_001 }],
  ["DiskLow", { diskFreeBytes: DISK_FREE_BYTES_MIN }, { diskFreeBytes: DISK_FREE_BYTES_MIN - 1 }],
  ["ClockUnsynchronised", { clockOffsetMs: CLOCK_OFFSET_MS_MAX }, { clockOffsetMs: CLOCK_OFFSET_MS_MAX + 1 }],
  ["ClockUnsynchronised", { clockOffsetMs: -CLOCK_OFFSET_MS_MAX }, { clockOffsetMs: -CLOCK_OFFSET_MS_MAX - 1 }],
  ["ClockUnsynchronised", { clockOffsetMs: undefined }, { clockOffsetMs: 3_600_000 }],
];

t.test("each thing that an outage would need has its reason, from its limit on and not before", async (t) => {
  for (const [reason, within, beyond] of EDGES) {
    t.same(offlineReasons({ ...facts, ...within }), [], `${reason}, within`);
    t.match(offlineReasons({ ...facts, ...beyond }), [{ reason }], `${reason}, beyond`);
  }
  t.same(new Set(EDGES.map(([reason]) => reason)), new Set(OFFLINE_REASONS), "all are tried");
});

t.test("metrics say whether, and what stands against it", async (t) => {
  const metrics = createMetrics("edge-node");
  let now = facts;
  showOfflineReadiness(metrics, () => offlineReasons(now));
  const shows = async (line: string) => (await metrics.render()).text.includes(`perigee_edge_node_offline_${line}`);
  t.ok(await shows("ready 1"));
  now = { ...facts, clockOffsetMs: 60_000, isUnpersisted: true };
  t.ok(await shows("ready 0"));
  for (const reason of OFFLINE_REASONS) {
    const holds = reason === "ClockUnsynchronised" || reason === "RevisionUnpersisted";
    t.ok(await shows(`unready_reason{reason="${reason}"} ${holds ? 1 : 0}`), reason);
  }
  const [missing] = offlineReasons({ ...facts, incompleteSites: ["shop"], waitingFor: "edge near-2" });
  t.equal(missing?.message, "1 assigned sites are incomplete: shop; waits for edge near-2");
});
