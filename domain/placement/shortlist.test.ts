import t from "tap";
import { RttMap } from "../latency/rtt-map.ts";
import { planShortlist } from "./shortlist.ts";

/** One degree of longitude farther east each. */
const pools = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((longitude) => ({
  pool: `p${longitude}`,
  coordinates: { latitude: 0, longitude },
}));
const origin = { latitude: 0, longitude: 0 };

t.test("pools near by history come first, then those near by geography, six in all", async (t) => {
  const map = new RttMap({ groupsMax: 10, ageMsMax: 1000 });
  for (const [pool, rttMs] of [
    ["p8", 2],
    ["p0", 50],
    ["gone", 1],
  ] as const) {
    for (let sample = 0; sample < 3; sample += 1) map.record(["g"], { pool, rttMs, atMs: 0, source: "probe" });
  }
  const list = planShortlist({ groups: ["g"], coordinates: origin }, pools, { map, nowMs: 0 });
  t.same(
    list.map(({ pool, source }) => `${pool} ${source}`),
    ["p8 history", "p0 history", "p1 geography", "p2 geography", "p3 geography", "p4 geography"],
  );
});

t.test("a client of whom nothing is known still gets pools to probe", async (t) => {
  const map = new RttMap({ groupsMax: 10, ageMsMax: 1000 });
  const list = planShortlist({ groups: [], coordinates: undefined }, pools, { map, nowMs: 0 });
  t.equal(list.length, 6);
  t.same(list[0], { pool: "p0", rttMs: undefined, source: "geography" });
});
