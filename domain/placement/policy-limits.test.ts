import fc from "fast-check";
import t from "tap";
import { crowdedPlaces, neighbourRefusal, neighboursOf, type PlacedPool } from "./policy-limits.ts";

const pool = (name: string, longitude: number, changes: Partial<PlacedPool> = {}): PlacedPool => ({
  pool: name,
  labels: {},
  coordinates: { latitude: 0, longitude },
  ...changes,
});
const capacity = (slotsTotal: number, slotsFree: number, isOpen = true) => ({
  ...{ isOpen, slotsTotal, slotsFree },
});

t.test("neighbours are within the distance, permitted, and take sessions", async (t) => {
  const own = pool("own", 0);
  const pools = [
    own,
    pool("near", 0.5),
    pool("far", 2),
    pool("cordoned", 0.1),
    pool("forbidden", 0.1, { labels: { owner: "else" } }),
  ];
  const constraints = [{ label: "owner", operator: "DoesNotExist" }] as const;
  const takesSessions = ({ pool }: PlacedPool) => pool !== "cordoned";
  const names = neighboursOf(own, pools, { withinKm: 100, constraints, takesSessions }).map(({ pool }) => pool);
  t.same(names, ["near"]);
});

t.test("a metro keeps as many slots free as its largest pool has", async (t) => {
  t.equal(neighbourRefusal(capacity(10, 6), [capacity(10, 5)]), undefined, "11 free, 10 after it");
  t.match(neighbourRefusal(capacity(10, 5), [capacity(10, 5)]), /1 neighbours 10 slots are free.*the largest has, 10/);
  t.match(neighbourRefusal(capacity(4, 4), [capacity(10, 6)]), /10/, "also where a neighbour is the largest");
  t.equal(neighbourRefusal(capacity(10, 1), []), undefined, "alone there is nothing to keep it for");
  t.equal(neighbourRefusal(capacity(10, 1), [capacity(10, 9, false)]), undefined, "who is not heard is none");
  t.equal(neighbourRefusal(capacity(10, 0), [capacity(10, 0)]), undefined, "it is full anyway");
});

t.test("as long as the reserve is kept, any one pool may fail and the others hold all of its sessions", async (t) => {
  const totals = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 2, maxLength: 5 });
  const holds = fc.property(totals, fc.array(fc.nat(4), { maxLength: 60 }), (totals, wishes) => {
    const used = totals.map(() => 0);
    const at = (index: number) => capacity(totals[index] ?? 0, (totals[index] ?? 0) - (used[index] ?? 0));
    for (const wish of wishes) {
      const index = wish % totals.length;
      const others = totals.flatMap((_, other) => (other === index ? [] : [at(other)]));
      const own = at(index);
      if (own.slotsFree > 0 && neighbourRefusal(own, others) === undefined) used[index] = (used[index] ?? 0) + 1;
    }
    return totals.every((_, failed) => {
      const free = totals.reduce((sum, _total, index) => sum + (index === failed ? 0 : at(index).slotsFree), 0);
      return (used[failed] ?? 0) <= free;
    });
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 300 }));
});

t.test("no place goes beyond its share, and with places enough one of them always takes the next", async (t) => {
  const holds = fc.property(fc.integer({ min: 2, max: 6 }), fc.integer({ min: 1, max: 80 }), (places, sessions) => {
    const counts = Array.from({ length: places }, () => 0);
    const pools = counts.map((_, index) =>
      pool(`p${index}`, 0, { labels: { "perigee.dev/region": `r${index}` }, countSessions: () => counts[index] ?? 0 }),
    );
    const shareMax = 1 / places;
    for (let session = 0; session < sessions; session += 1) {
      const crowdedBy = crowdedPlaces({ over: "region", shareMax }, "hall", pools);
      const index = pools.findIndex((candidate) => crowdedBy(candidate) === undefined);
      if (index < 0) return false;
      counts[index] = (counts[index] ?? 0) + 1;
    }
    return Math.max(...counts) <= Math.ceil(shareMax * sessions - 1e-9);
  });
  t.doesNotThrow(() => fc.assert(holds));
  const two = [pool("a", 0, { countSessions: () => 3 }), pool("b", 0, { countSessions: () => 1 })];
  const crowdedBy = crowdedPlaces({ over: "pool", shareMax: 0.6 }, "hall", two);
  t.equal(crowdedBy(two[0] ?? pool("", 0)), "pool a has 3 of 4 sessions of hall, at most 60 % are to be in one pool");
  t.equal(crowdedBy(two[1] ?? pool("", 0)), undefined);
});
