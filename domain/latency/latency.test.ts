import fc from "fast-check";
import t from "tap";
import { deriveRttLimitMs, fixedMs } from "./budget.ts";
import { RttMap } from "./rtt-map.ts";

const GROUPS = ["prefix:192.0.2.0/24", "cell:47,8", "country:CH"];

t.test("at the RTT limit the remote path takes the whole budget", async (t) => {
  const parts = { budgetMs: 30, renderEncodeMsP95: 9, decodeMs: 4, jitterMs: 2, serialisationMs: 1 };
  t.equal(deriveRttLimitMs(parts), 14);
  t.equal(14 + fixedMs(parts, parts.renderEncodeMsP95), 30);
  t.equal(deriveRttLimitMs({ ...parts, renderEncodeMsP95: 40 }), -17, "no distance is near enough");
});

t.test("a farther pool is estimated slower", async (t) => {
  const bern = { latitude: 46.9, longitude: 7.4 };
  const paris = { latitude: 48.9, longitude: 2.4 };
  const map = new RttMap({ groupsMax: 100, ageMsMax: 1000 });
  const estimate = (groups: readonly string[], pool = paris) => map.estimateByDistance(groups, { client: bern, pool });
  t.equal(estimate(GROUPS, bern).rttMs, 3);
  t.ok(estimate(GROUPS).rttMs > 8 && estimate(GROUPS).rttMs < 12);
  const sample = { pool: "paris", rttMs: 14, atMs: 0, source: "probe", ends: { client: bern, pool: paris } } as const;
  for (let count = 0; count < 500; count += 1) map.record(GROUPS, sample);
  t.ok(estimate(["prefix:other", "country:CH"]).rttMs > 13.5, "as others of the country measured");
  t.ok(estimate(["prefix:other", "country:CH"]).rttMs < 14);
  t.ok(estimate(GROUPS).errorMs < 0.2 * 14, `${estimate(GROUPS).errorMs}`);
  t.equal(map.find(["prefix:other"], "paris", 0), undefined, "an estimate is nothing that was measured");
});

t.test("a group without samples falls back on its cell, then its country", async (t) => {
  const map = new RttMap({ groupsMax: 100, ageMsMax: 1000 });
  for (const rttMs of [10, 12, 14]) map.record(GROUPS, { pool: "near", rttMs, atMs: 5, source: "probe" });
  t.equal(map.find(GROUPS, "near", 6)?.group, "prefix:192.0.2.0/24");
  t.equal(map.find(["prefix:other", "cell:47,8", "country:CH"], "near", 6)?.group, "cell:47,8");
  t.equal(map.find(["prefix:other", "cell:0,0", "country:CH"], "near", 6)?.group, "country:CH");
  t.equal(map.find(GROUPS, "far", 6), undefined);
  t.match(map.find(GROUPS, "near", 6), { sampleCount: 3, rttMsP95: 14, ageMs: 1 });
});

t.test("too few samples and old ones are not believed", async (t) => {
  const map = new RttMap({ groupsMax: 100, ageMsMax: 1000 });
  map.record(GROUPS, { pool: "near", rttMs: 10, atMs: 0, source: "probe" });
  map.record(GROUPS, { pool: "near", rttMs: 10, atMs: 0, source: "probe" });
  t.equal(map.find(GROUPS, "near", 0), undefined);
  map.record(GROUPS, { pool: "near", rttMs: 10, atMs: 0, source: "probe" });
  t.ok(map.find(GROUPS, "near", 1000));
  t.equal(map.find(GROUPS, "near", 1001), undefined);
});

t.test("the nearest by history come first, whatever the order of the samples, and the map stays bounded", async (t) => {
  const samples = fc.array(fc.record({ group: fc.nat(20), pool: fc.nat(9), rttMs: fc.nat(300) }), { maxLength: 200 });
  const isOrderedAndBounded = fc.property(samples, (list) => {
    const map = new RttMap({ groupsMax: 5, ageMsMax: 1000 });
    for (const { group, pool, rttMs } of list) {
      map.record([`g${group}`, "all"], { pool: `p${pool}`, rttMs, atMs: 0, source: "probe" });
    }
    const rtts = map.listNearest(["all"], 0, 3).map((summary) => summary.rttMsP50);
    return map.groupCount <= 5 && rtts.length <= 3 && rtts.every((rtt, index) => rtt >= (rtts[index - 1] ?? 0));
  });
  t.doesNotThrow(() => fc.assert(isOrderedAndBounded));
});

t.test("sessions outweigh probes, and a client that is not believed outweighs nobody", async (t) => {
  const map = new RttMap({ groupsMax: 100, ageMsMax: 1000 });
  for (let sample = 0; sample < 7; sample += 1) map.record(["g"], { pool: "p", rttMs: 1, atMs: 0, source: "probe" });
  for (const rttMs of [50, 51]) map.record(["g"], { pool: "p", rttMs, atMs: 0, source: "session" });
  t.equal(map.find(["g"], "p", 0)?.rttMsP50, 50, "two of sessions against seven probes");
  const distrusted = { pool: "q", rttMs: 1, atMs: 0, source: "probe", trustRatio: 0.1 } as const;
  for (let sample = 0; sample < 29; sample += 1) map.record(["g"], distrusted);
  t.equal(map.find(["g"], "q", 0), undefined, "29 tenths of a probe are no evidence");
  map.record(["g"], distrusted);
  map.record(["g"], distrusted);
  t.equal(map.find(["g"], "q", 0)?.rttMsP50, 1);
});

t.test("the smoothed round trip begins as the mean and begins anew after a long silence", async (t) => {
  const map = new RttMap({ groupsMax: 100, ageMsMax: Number.POSITIVE_INFINITY });
  const smoothed = () => map.find(["g"], "p", 0)?.smoothedRttMs ?? Number.NaN;
  for (const rttMs of [10, 20, 60]) map.record(["g"], { pool: "p", rttMs, atMs: 0, source: "probe" });
  t.equal(smoothed(), 30);
  for (let sample = 0; sample < 100; sample += 1) map.record(["g"], { pool: "p", rttMs: 30, atMs: 0, source: "probe" });
  map.record(["g"], { pool: "p", rttMs: 38, atMs: 0, source: "probe" });
  t.ok(Math.abs(smoothed() - 31) < 1e-6, "an eighth of the way");
  map.record(["g"], { pool: "p", rttMs: 131, atMs: 300 * 3_600_000, source: "probe" });
  t.ok(smoothed() > 130.99, "days later what was is forgotten");
});
