import fc from "fast-check";
import t from "tap";
import { seededRandom } from "#platform/random.ts";
import { budgetedMs, Copies, type Demand, type ServingCosts } from "./copies.ts";
import type { PlannedObject } from "./plan-state.ts";
import { ContentPlanner } from "./planner.ts";

const RATIO = 0.1;

interface Instance {
  readonly costs: ServingCosts;
  readonly bytesMax: Float64Array;
  readonly objects: readonly PlannedObject[];
}

function demandOf(rates: readonly number[]): Demand {
  return { groups: Int32Array.from(rates.keys()), rates: Float64Array.from(rates) };
}

function instances(sizes: fc.Arbitrary<number>): fc.Arbitrary<Instance> {
  const list = (item: fc.Arbitrary<number>, length: number) => fc.array(item, { minLength: length, maxLength: length });
  return fc
    .record({
      pools: fc.integer({ min: 1, max: 3 }),
      groups: fc.integer({ min: 1, max: 3 }),
      count: fc.integer({ min: 1, max: 4 }),
    })
    .chain(({ pools, groups, count }) => {
      const ms = fc.integer({ min: 1, max: 200 });
      return fc
        .record({
          poolMs: list(ms, pools * groups),
          originMs: list(ms, groups),
          bytesMax: list(fc.integer({ min: 0, max: 4 }), pools),
          rates: fc.array(list(fc.integer({ min: 0, max: 9 }), groups), { minLength: count, maxLength: count }),
          sizes: list(sizes, count),
        })
        .map(({ poolMs, originMs, bytesMax, rates, sizes }) => ({
          costs: { pools, groups, poolMs: Float64Array.from(poolMs), originMs: Float64Array.from(originMs) },
          bytesMax: Float64Array.from(bytesMax),
          objects: rates.map((row, at) => ({ sizeBytes: sizes[at] ?? 1, demand: demandOf(row) })),
        }));
    });
}

const unit = instances(fc.constant(1));
const sized = instances(fc.integer({ min: 1, max: 3 }));

function plan({ costs, bytesMax, objects }: Instance): ContentPlanner {
  const planner = new ContentPlanner(costs, bytesMax, objects.length);
  for (const [index, object] of objects.entries()) planner.setObject(index, object);
  planner.plan({ exchangeRatioMin: RATIO });
  return planner;
}

/** What all demand costs by this assignment, worked out in another way. */
function costOf({ costs, objects }: Instance, poolsOf: (index: number) => readonly number[]): number {
  let sum = 0;
  for (const [index, { demand }] of objects.entries()) {
    for (const [group, rate] of demand.rates.entries()) {
      const pools = poolsOf(index).map((pool) => costs.poolMs[pool * costs.groups + group] ?? 0);
      sum += rate * Math.min(costs.originMs[group] ?? 0, ...pools);
    }
  }
  return sum;
}

/** Every pool's every choice that fits. */
function bestSaving(instance: Instance): number {
  const { costs, bytesMax, objects } = instance;
  const choices = Array.from({ length: 2 ** objects.length }, (_, bits) => bits);
  const sizeOf = (bits: number) =>
    objects.reduce((sum, { sizeBytes }, at) => sum + (bits & (1 << at) ? sizeBytes : 0), 0);
  const extend = (chosen: readonly number[]): number => {
    if (chosen.length === costs.pools) {
      return costOf(instance, (index) => chosen.flatMap((bits, pool) => (bits & (1 << index) ? [pool] : [])));
    }
    const fitting = choices.filter((bits) => sizeOf(bits) <= (bytesMax[chosen.length] ?? 0));
    return Math.min(...fitting.map((bits) => extend([...chosen, bits])));
  };
  return costOf(instance, () => []) - extend([]);
}

function savingOf(instance: Instance, planner: ContentPlanner): number {
  return costOf(instance, () => []) - costOf(instance, (index) => planner.poolsOf(index));
}

function fits({ bytesMax, objects, costs }: Instance, planner: ContentPlanner): boolean {
  return Array.from({ length: costs.pools }, (_, pool) => pool).every((pool) => {
    const used = objects.reduce(
      (sum, { sizeBytes }, at) => sum + (planner.poolsOf(at).includes(pool) ? sizeBytes : 0),
      0,
    );
    return used === planner.usedBytes(pool) && used <= (bytesMax[pool] ?? 0);
  });
}

t.test("no pool holds more than it may, and what is said to be saved is", async (t) => {
  const holds = fc.property(sized, (instance) => {
    const planner = plan(instance);
    const cost = costOf(instance, (index) => planner.poolsOf(index));
    return fits(instance, planner) && Math.abs(planner.totalMs() - cost) < 1e-6;
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 500 }));
});

t.test("with objects of one size a plan saves at least 1 / (2 + ratio) of what the best does", async (t) => {
  const holds = fc.property(
    unit,
    (instance) => savingOf(instance, plan(instance)) * (2 + RATIO) >= bestSaving(instance),
  );
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 300 }));
});

t.test(
  "of 400 small instances by seed it saves more than 1 - 1/e of the best in each, and 99 % on the whole",
  async (t) => {
    const { worst, mean } = ratiosOf(fc.sample(unit, { seed: 7, numRuns: 400 }));
    t.ok(worst > 1 - 1 / Math.E, `at worst ${worst}`);
    t.ok(mean > 0.99, `mean ${mean}`);
  },
);

t.test("of 400 small instances with objects of several sizes it saves 95 % of the best on the whole", async (t) => {
  const { mean } = ratiosOf(fc.sample(sized, { seed: 7, numRuns: 400 }));
  t.ok(mean > 0.95, `mean ${mean}`);
});

/** Whether no object more in a pool would save more, by the ratio, than the least of those there costs. */
function isLocallyBest(instance: Instance, planner: ContentPlanner): boolean {
  const { costs, bytesMax, objects } = instance;
  const cost = (changed: number, pools: readonly number[]) =>
    costOf(instance, (index) => (index === changed ? pools : planner.poolsOf(index)));
  const now = costOf(instance, (index) => planner.poolsOf(index));
  return Array.from({ length: costs.pools }, (_, pool) => pool).every((pool) => {
    const indexes = [...objects.keys()];
    const held = indexes.filter((index) => planner.poolsOf(index).includes(pool));
    const absent = indexes.filter((index) => !held.includes(index));
    const losses = held.map(
      (index) =>
        cost(
          index,
          planner.poolsOf(index).filter((other) => other !== pool),
        ) - now,
    );
    const most = Math.max(0, ...absent.map((index) => now - cost(index, [...planner.poolsOf(index), pool])));
    if (planner.usedBytes(pool) < (bytesMax[pool] ?? 0)) return most === 0;
    return held.length === 0 || most <= Math.min(...losses) * (1 + RATIO) + 1e-9;
  });
}

t.test(
  "with objects of one size no exchange is worth it in the end, nor a copy more where there is room",
  async (t) => {
    const changes = fc.array(fc.array(fc.nat(9), { minLength: 12, maxLength: 12 }), { maxLength: 3 });
    const holds = fc.property(unit, changes, (instance, later) => {
      const planner = plan(instance);
      const { groups } = instance.costs;
      return (
        isLocallyBest(instance, planner) &&
        later.every((rates) => {
          const demands = instance.objects.map((_, at) => demandOf(rates.slice(at * groups, (at + 1) * groups)));
          const objects = demands.map((demand) => ({ sizeBytes: 1, demand }));
          for (const [index, object] of objects.entries()) planner.setObject(index, object);
          planner.plan({ exchangeRatioMin: RATIO });
          return isLocallyBest({ ...instance, objects }, planner);
        })
      );
    });
    t.doesNotThrow(() => fc.assert(holds, { numRuns: 500 }));
  },
);

function ratiosOf(sample: readonly Instance[]) {
  const ratios = sample.flatMap((instance) => {
    const best = bestSaving(instance);
    return best > 0 ? [savingOf(instance, plan(instance)) / best] : [];
  });
  return { worst: Math.min(...ratios), mean: ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length };
}

t.test("a plan that is changed is as good within its bound as one from scratch, and fits", async (t) => {
  const changed = fc.tuple(unit, fc.array(fc.nat(9), { minLength: 12, maxLength: 12 }));
  const holds = fc.property(changed, ([instance, rates]) => {
    const planner = plan(instance);
    const { groups } = instance.costs;
    const objects = instance.objects.map((object, at) => ({
      ...object,
      demand: demandOf(rates.slice(at * groups, (at + 1) * groups)),
    }));
    for (const [index, object] of objects.entries()) planner.setObject(index, object);
    planner.plan({ exchangeRatioMin: RATIO });
    const after = { ...instance, objects };
    return fits(after, planner) && savingOf(after, planner) * (2 + RATIO) >= savingOf(after, plan(after));
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 300 }));
});

function randomInstance(seed: number, parts: Partial<PlannedObject> = {}): Instance {
  const [pools, groups, count] = [12, 30, 200];
  const random = seededRandom(seed);
  const numbers = (length: number, of: () => number) => Float64Array.from({ length }, of);
  return {
    costs: {
      ...{ pools, groups },
      poolMs: numbers(pools * groups, () => 5 + 100 * random.ratio()),
      originMs: numbers(groups, () => 80 + 100 * random.ratio()),
    },
    bytesMax: new Float64Array(pools).fill(10),
    objects: Array.from({ length: count }, (_, rank) => ({
      ...{ sizeBytes: 1, ...parts },
      demand: demandOf([...numbers(groups, () => random.ratio() / (rank + 1))]),
    })),
  };
}

t.test("a demand that changes a little touches little", async (t) => {
  const instance = randomInstance(1);
  const { costs, bytesMax, objects } = instance;
  const planner = new ContentPlanner(costs, bytesMax, objects.length);
  for (const [index, object] of objects.entries()) planner.setObject(index, object);
  const all = planner.plan({ exchangeRatioMin: RATIO });
  t.equal(planner.plan({ exchangeRatioMin: RATIO }), 0, "nothing changed");
  const before = objects.map((_, index) => [...planner.poolsOf(index)]);
  const object = objects[3];
  if (object === undefined) throw new Error("there are 200 objects");
  const demand = { ...object.demand, rates: object.demand.rates.map((rate) => rate * 1.05) };
  planner.setObject(3, { ...object, demand });
  const again = planner.plan({ exchangeRatioMin: RATIO });
  t.ok(again < all / 20, `${again} of ${all}`);
  t.same(
    objects.map((_, index) => [...planner.poolsOf(index)]),
    before,
    "no exchange is worth it",
  );
});

t.test("the same calls give the same plan", async (t) => {
  const plans = [1, 1].map((seed) => {
    const instance = randomInstance(seed);
    const planner = plan(instance);
    return instance.objects.map((_, index) => [...planner.poolsOf(index)]);
  });
  t.same(plans[0], plans[1]);
});

t.test("an object is in no more pools than it may be, and in none that it may not", async (t) => {
  const instance = randomInstance(2, { copiesMax: 2, mayBeIn: (pool) => pool % 2 === 0 });
  const planner = plan(instance);
  const pools = instance.objects.map((_, index) => planner.poolsOf(index));
  t.ok(pools.every((held) => held.length <= 2 && held.every((pool) => pool % 2 === 0)));
  t.equal(pools[0]?.length, 2, "what is asked for most has both copies");
});

t.test("a copy goes after the demand, though the object may be in no more pools", async (t) => {
  // Each group is near to the pool of its own number.
  const poolMs = Float64Array.from({ length: 9 }, (_, at) => (Math.floor(at / 3) === at % 3 ? 5 : 50));
  const costs = { pools: 3, groups: 3, poolMs, originMs: new Float64Array(3).fill(100) };
  const planner = new ContentPlanner(costs, new Float64Array(3).fill(10), 1);
  const ask = (...rates: number[]) => {
    planner.setObject(0, { sizeBytes: 1, demand: demandOf(rates), copiesMax: 1 });
    planner.plan({ exchangeRatioMin: RATIO });
    return planner.poolsOf(0);
  };
  t.same(ask(9, 1, 1), [0]);
  t.same(ask(9, 9.5, 1), [0], "for so little nothing moves");
  t.same(ask(1, 1, 9), [2]);
});

t.test("a plan begins with what is held, as far as there is room for it", async (t) => {
  const costs = { pools: 1, groups: 1, poolMs: Float64Array.of(5), originMs: Float64Array.of(50) };
  const planner = new ContentPlanner(costs, Float64Array.of(1), 2);
  planner.setObject(0, { sizeBytes: 1, demand: demandOf([5]) }, [0]);
  planner.setObject(1, { sizeBytes: 1, demand: demandOf([4]) }, [0]);
  planner.plan({ exchangeRatioMin: RATIO });
  t.same([planner.poolsOf(0), planner.poolsOf(1)], [[0], []]);
});

t.test("copies are worth what is saved by them", async (t) => {
  const costs = { pools: 2, groups: 2, poolMs: Float64Array.of(10, 40, 30, 20), originMs: Float64Array.of(100, 60) };
  const copies = new Copies(costs, demandOf([1, 2]));
  t.equal(copies.gainMs(0), 90 + 2 * 20);
  copies.add(0);
  t.equal(copies.gainMs(1), 2 * 20);
  copies.add(1);
  t.equal(copies.lossMs(0), 20);
  t.equal(copies.lossMs(1), 2 * 20);
  t.equal(copies.totalMs, 10 + 2 * 20);
  copies.remove(0);
  t.same([copies.pools, copies.totalMs], [[1], 30 + 2 * 20]);
});

t.test("a request over the limit counts more", async (t) => {
  t.equal(budgetedMs(30, { limitMs: 30, overLimitMs: 75 }), 30);
  t.equal(budgetedMs(31, { limitMs: 30, overLimitMs: 75 }), 106);
});
