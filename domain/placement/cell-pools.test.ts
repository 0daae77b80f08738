import fc from "fast-check";
import t from "tap";
import type { PoolCandidate } from "./candidate.ts";
import { loadCandidates } from "./candidate-loading.ts";
import { decideForCell, planCellPools, poolsOf, SHORTLIST_POOLS_MAX } from "./cell-pools.ts";
import { decidePlacement } from "./decision.ts";
import { DecisionFrame, NOWHERE } from "./decision-frame.ts";
import { recordOf } from "./decision-record.ts";
import { pool, rules } from "./decision-world.test.ts";
import { PoolIds } from "./pool-ids.ts";
import { makePoolTable, type PoolTable, tableRules, withExpected, withPrices, withStates } from "./pool-table.ts";

const ask = { budgetMs: 30, decodeMs: 3, jitterMs: 1, serialisationMs: 0 };

function tableOf(pools: readonly PoolCandidate[], ids: PoolIds, regionOf = (_: PoolCandidate) => "one"): PoolTable {
  const coordinates = { latitude: 0, longitude: 0 };
  const tabled = pools.map((pool) => {
    return { ...pool, coordinates, region: regionOf(pool), renderEncodeMsP95: pool.parts.renderEncodeMsP95 };
  });
  const byName = new Map(pools.map((pool) => [pool.pool, pool]));
  const table = makePoolTable(tabled, ids);
  const columnOf = (of: (pool: PoolCandidate | undefined) => number | undefined) =>
    Float64Array.from(table.names, (name) => of(byName.get(name)) ?? 0);
  const priced = withPrices(
    table,
    columnOf((pool) => pool?.priceMs),
    7,
  );
  return withExpected(
    priced,
    columnOf((pool) => pool?.expectedSessions),
  );
}

function cellOf(table: PoolTable, pools: readonly PoolCandidate[]) {
  const byName = new Map(pools.map((pool) => [pool.pool, pool]));
  const of = (index: number) => byName.get(table.names[index] ?? "");
  return planCellPools(table, {
    rttMsOf: (index) => of(index)?.rttMs ?? 0,
    sourceOf: (index) => of(index)?.rttSource ?? "history",
    geographyMsOf: (index) => of(index)?.geographyRttMs ?? Number.NaN,
  });
}

const numbered = (number: number) => `p${String(number).padStart(3, "0")}`;

t.test("a shortlist is of the nearest pools and of the nearest of each of the next regions", async (t) => {
  const pools = Array.from({ length: 100 }, (_, index) => pool(numbered(index), 1 + index));
  const regionOf = ({ rttMs }: PoolCandidate) => (rttMs <= 60 ? "metro" : `region-${Math.floor((rttMs - 61) / 4)}`);
  const table = tableOf(pools, new PoolIds(), regionOf);
  const cell = poolsOf(cellOf(table, pools));
  const expected = [...Array(24).keys(), ...Array.from({ length: 8 }, (_, region) => 60 + 4 * region)];
  t.same(cell.slice(0, SHORTLIST_POOLS_MAX), expected);
  t.same(
    cell.slice(SHORTLIST_POOLS_MAX, 2 * SHORTLIST_POOLS_MAX),
    Array.from({ length: 32 }, (_, index) => 24 + index),
    "then all others by distance",
  );
  t.same(new Set(cell).size, 100);
  const one = tableOf(pools, new PoolIds());
  t.same(poolsOf(cellOf(one, pools)).slice(0, SHORTLIST_POOLS_MAX), [...Array(32).keys()], "there is no other region");
});

const anyPools = fc
  .array(
    fc.record({
      rttMs: fc.oneof(fc.nat(40), fc.float({ min: 0, max: 40, noNaN: true })),
      changes: fc.record({
        reachable: fc.constantFrom(true, true, false),
        cordoned: fc.constantFrom(false, false, true),
        rttSource: fc.constantFrom("history", "geography"),
        geographyRttMs: fc.option(fc.nat(40), { nil: undefined }),
        labels: fc.record({ region: fc.constantFrom("eu", "us") }),
        slotsFree: fc.nat(3),
        priceMs: fc.nat(5),
        expectedSessions: fc.oneof(fc.constant(0), fc.nat(9)),
      }),
    }),
    { maxLength: 100, size: "max" },
  )
  .map((all) => all.map(({ rttMs, changes }, index) => pool(numbered(index), rttMs, changes)));
const policy = {
  ...rules,
  constraints: [{ label: "region", operator: "In", values: ["eu"] }],
  preferences: [{ label: "region", operator: "Exists", bonusMs: 1.5 }],
} as const;

t.test("a shortlist decides as its pools given one by one, to the same record", async (t) => {
  const current = fc.option(fc.nat(99), { nil: NOWHERE });
  fc.assert(
    fc.property(anyPools, current, fc.constantFrom("degrade", "queue", "reject"), (pools, currentPool, onNoFit) => {
      const ids = new PoolIds();
      const some = pools.slice(0, SHORTLIST_POOLS_MAX);
      const table = tableOf(some, ids);
      const frame = new DecisionFrame();
      const wanted = { ...policy, onNoFit };
      const view = { table, rules: tableRules(table, wanted, 3) };
      // A session was decided in it before.
      frame.bundleMs.fill(5);
      decideForCell(frame, view, cellOf(table, some), { ...ask, currentPool });
      const byCell = recordOf(frame);
      const versions = { priceVersion: 7, policyRevision: 3, currentPool: numbered(currentPool) };
      loadCandidates(frame, { candidates: some, rules: wanted, ...versions }, ids);
      if (some.length === 0) Object.assign(frame, ask);
      decidePlacement(frame);
      return recordOf(frame).join() === byCell.join();
    }),
    { numRuns: 500 },
  );
  t.pass("held");
});

t.test("a session is placed exactly where any pool at all is within its limit", async (t) => {
  const frame = new DecisionFrame();
  const blocks = new Set<number>();
  const full = fc.constantFrom(0, SHORTLIST_POOLS_MAX, 64, 64, 64, 70);
  const current = fc.option(fc.nat(99), { nil: NOWHERE });
  fc.assert(
    fc.property(anyPools, full, current, fc.constantFrom("degrade", "queue"), (pools, full, currentPool, onNoFit) => {
      const byRtt = pools.toSorted((a, b) => a.rttMs - b.rttMs);
      const near = new Set(byRtt.slice(0, full).map(({ pool }) => pool));
      const filled = pools.map((one) => (near.has(one.pool) ? { ...one, slotsFree: 0 } : one));
      const ids = new PoolIds();
      const table = tableOf(filled, ids);
      const cell = cellOf(table, filled);
      const wanted = { ...policy, onNoFit };
      decideForCell(frame, { table, rules: tableRules(table, wanted, 0) }, cell, { ...ask, currentPool });
      const { state, chosenAt, count, currentAt } = frame;
      const considered = Array.from(frame.pools.subarray(0, count), (id) => ids.nameOf(id));
      const chosen = considered[chosenAt];
      if (chosen !== undefined) blocks.add(Math.floor(poolsOf(cell).indexOf(table.indexOf.get(chosen) ?? -1) / 32));
      if (currentAt !== considered.indexOf(numbered(currentPool))) return false;
      loadCandidates(frame, { candidates: filled, rules: wanted, currentPool: numbered(currentPool) }, ids);
      decidePlacement(frame);
      if (state !== "placed") return frame.state !== "placed" && count <= SHORTLIST_POOLS_MAX;
      return frame.state === "placed" && frame.codes[filled.findIndex(({ pool }) => pool === chosen)] === 0;
    }),
    { numRuns: 2_000 },
  );
  t.ok(
    [0, 1, 2].every((block) => blocks.has(block)),
    `blocks that were chosen from: ${[...blocks]}`,
  );
});

t.test("a table is replaced where facts change, and what does not change is shared", async (t) => {
  const table = tableOf([pool("b", 4), pool("a", 4)], new PoolIds());
  const full = { reachable: true, cordoned: false, draining: true, slotsTotal: 10, slotsFree: 0, renderEncodeMsP95: 9 };
  const changed = withStates(
    table,
    new Map([
      ["b", full],
      ["gone", full],
    ]),
  );
  t.same([...table.slotsFree, ...table.flags], [10, 10, 1, 1], "the old one is as it was");
  t.same([...changed.slotsFree, ...changed.flags, ...changed.renderEncodeMs], [10, 0, 1, 5, 8, 9]);
  t.equal(changed.ids, table.ids);
  t.equal(changed.priceMs, table.priceMs);
  const priced = withPrices(changed, Float64Array.of(1, 2), 8);
  t.same([...priced.priceMs, priced.priceVersion], [1, 2, 8]);
  t.equal(priced.slotsFree, changed.slotsFree);
  const expecting = withExpected(priced, Float64Array.of(3, 0.5));
  t.same([...expecting.expectedSessions, ...priced.expectedSessions], [3, 0.5, 0, 0]);
  t.equal(expecting.priceMs, priced.priceMs);
  t.throws(() => withExpected(table, Float64Array.of(1)), { message: "of each pool something is expected, or 0" });
  t.throws(() => withPrices(table, Float64Array.of(1), 9), { message: "each pool has a price" });
});
