import t from "tap";
import { type OfflineFacts, offlineReasons } from "./offline-ready.ts";

const facts: OfflineFacts = {
  isSetWhole: true,
  hasConnected: true,
  incompleteSites: [],
  certificateExpiresAtMs: 100_000,
  outageBudgetMs: 50_000,
  diskFreeBytes: 1e12,
  nowMs: 1000,
};

t.test("each thing that an outage would need has its reason", async (t) => {
  t.same(offlineReasons(facts), []);
  const cases: [Partial<OfflineFacts>, string][] = [
    [{ isSetWhole: false }, "SetDamaged"],
    [{ hasConnected: false }, "NeverConnected"],
    [{ incompleteSites: ["shop"] }, "ObjectsMissing"],
    [{ nowMs: 60_000 }, "CertificateShort"],
    [{ diskFreeBytes: 0 }, "DiskLow"],
  ];
  for (const [change, reason] of cases) {
    t.match(offlineReasons({ ...facts, ...change }), [{ reason }], reason);
  }
});
