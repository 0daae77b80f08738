import { createRequire } from "node:module";
import fc from "fast-check";
import t from "tap";
import { PRICE_MS_MAX, type PriceProblem, solvePrices } from "./prices.ts";

const POOLS = 4;

interface Cell {
  readonly demand: number;
  readonly rttMs: readonly number[];
}

const cells = fc.array(
  fc.record({
    demand: fc.integer({ min: 1, max: 40 }),
    rttMs: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: POOLS, maxLength: POOLS }),
  }),
  { minLength: 1, maxLength: 8 },
);
const capacities = fc.array(fc.integer({ min: 10, max: 60 }), { minLength: POOLS, maxLength: POOLS });
const LIMIT_MS = 30;

function problemOf(list: readonly Cell[], capacity: readonly number[]): PriceProblem {
  const pairs = list.map(({ rttMs }) => rttMs.flatMap((rtt, pool) => (rtt <= LIMIT_MS ? [{ rtt, pool }] : [])));
  let sum = 0;
  return {
    firstOf: Uint32Array.from([0, ...pairs.map((row) => (sum += row.length))]),
    pools: Uint16Array.from(pairs.flat(), ({ pool }) => pool),
    rttMs: Float32Array.from(pairs.flat(), ({ rtt }) => rtt),
    demand: Float64Array.from(list, ({ demand }) => demand),
    capacity: Float64Array.from(capacity),
  };
}

/** Sessions within their limit if each cell spreads as the prices say and a pool takes no more than it holds. */
function heldBy({ load }: { load: Float64Array }, capacity: readonly number[]): number {
  return load.reduce((sum, sessions, pool) => sum + Math.min(sessions, capacity[pool] ?? 0), 0);
}

t.test("where no pool is contended there is no price", (t) => {
  const problem = problemOf(
    [
      { demand: 5, rttMs: [3, 9, 50, 50] },
      { demand: 5, rttMs: [20, 4, 8, 50] },
    ],
    [50, 50, 50, 50],
  );
  const { priceMs } = solvePrices(problem);
  t.same([...priceMs], [0, 0, 0, 0]);
  t.end();
});

t.test("who can go elsewhere is priced out of what others cannot do without", (t) => {
  const problem = problemOf(
    [
      { demand: 20, rttMs: [5, 50, 50, 50] },
      { demand: 20, rttMs: [4, 16, 50, 50] },
    ],
    [20, 40, 1, 1],
  );
  const { priceMs, load } = solvePrices(problem);
  t.ok((priceMs[0] ?? 0) > 12, `pool 0 costs more than the way to pool 1, got ${priceMs[0]}`);
  t.equal(priceMs[1], 0);
  t.ok((load[1] ?? 0) > 19, `the flexible cell goes to pool 1, got ${load[1]}`);
  t.end();
});

t.test(
  "prices hold as many sessions within their limit as the exact programme, less the room they leave",
  async (t) => {
    const highs = await createRequire(import.meta.url)("highs")();
    fc.assert(
      fc.property(cells, capacities, (list, capacity) => {
        const problem = problemOf(list, capacity);
        const exact = exactly(highs, problem);
        const priced = heldBy(solvePrices(problem), capacity);
        return priced >= 0.9 * exact - 1 && priced <= exact + 1e-6;
      }),
      { numRuns: 60, seed: 1 },
    );
    t.pass("every generated case held");
    t.end();
  },
);

t.test("prices are within their bounds, and from the last ones hold as many sessions as from nothing", (t) => {
  fc.assert(
    fc.property(cells, capacities, (list, capacity) => {
      const problem = problemOf(list, capacity);
      const cold = solvePrices(problem);
      const warm = solvePrices(problem, cold.priceMs);
      const areBounded = cold.priceMs.every((price) => price >= 0 && price <= PRICE_MS_MAX);
      return areBounded && heldBy(warm, capacity) >= 0.95 * heldBy(cold, capacity) - 1;
    }),
    { seed: 2 },
  );
  t.pass("every generated case held");
  t.end();
});

t.test("prices of other pools are no start", (t) => {
  const problem = problemOf([{ demand: 5, rttMs: [3, 9, 50, 50] }], [50, 50, 50, 50]);
  t.same(solvePrices(problem, new Float64Array([100])), solvePrices(problem));
  t.end();
});

interface Highs {
  solve(model: string): { readonly ObjectiveValue: number };
}

function exactly(highs: Highs, { firstOf, pools, demand, capacity }: PriceProblem): number {
  const pairs = [...pools.keys()];
  if (pairs.length === 0) return 0;
  const rows = [
    ...[...demand].flatMap((sessions, cell) => {
      const row = pairs.slice(firstOf[cell], firstOf[cell + 1]);
      return row.length === 0 ? [] : [`${row.map((pair) => `x${pair}`).join(" + ")} <= ${sessions}`];
    }),
    ...[...capacity].flatMap((slots, pool) => {
      const row = pairs.filter((pair) => pools[pair] === pool);
      return row.length === 0 ? [] : [`${row.map((pair) => `x${pair}`).join(" + ")} <= ${slots}`];
    }),
  ];
  const objective = pairs.map((pair) => `x${pair}`).join(" + ");
  return highs.solve(`Maximize\n held: ${objective}\nSubject To\n ${rows.join("\n ")}\nEnd`).ObjectiveValue;
}
