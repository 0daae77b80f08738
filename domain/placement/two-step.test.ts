/** The rule by itself beside the decision that sessions get: where policies want nothing more they choose alike. */
import fc from "fast-check";
import t from "tap";
import { decide, pool } from "./decision-world.test.ts";
import { chooseTwoStep, NO_ENTRY } from "./two-step.ts";

/** Of the pools that `decision-world` makes. */
const LIMIT_MS = 18;

function choose(rttMs: number[], free: number[], priceMs?: number[]): number {
  const pools = rttMs.map((_, index) => index);
  const capacity = rttMs.map(() => 100);
  return chooseTwoStep({ pools, rttMs, from: 0, to: pools.length }, LIMIT_MS, { free, capacity, priceMs });
}

t.test("within the limit the lowest with its price, beyond it where more than 5 % are free", async (t) => {
  t.equal(choose([4, 8], [1, 1]), 0);
  t.equal(choose([4, 8], [0, 1]), 1);
  t.equal(choose([4, 8], [1, 1], [5, 0]), 1);
  t.equal(choose([4, 8, 30], [0, 0, 6]), 2);
  t.equal(choose([4, 8, 30], [0, 0, 5]), NO_ENTRY, "contested");
  t.equal(choose([30, 40], [50, 50], [4, 0]), 1, "three times the price");
  t.equal(choose([30, 40], [50, 50], [3, 0]), 0);
  t.equal(choose([4, 30], [1, 50], [200, 0]), 0, "nobody goes beyond the limit for a price");
  t.equal(choose([], []), NO_ENTRY);
});

t.test("a decision chooses alike where pools are as full and policies want nothing", async (t) => {
  const state = fc.record({
    rtt: fc.integer({ min: 1, max: 60 }),
    price: fc.integer({ min: 0, max: 40 }),
    isFull: fc.boolean(),
  });
  const holds = fc.property(fc.array(state, { minLength: 1, maxLength: 9 }), (states) => {
    const free = states.map(({ isFull }) => (isFull ? 0 : 60));
    const candidates = states.map(({ rtt, price }, index) =>
      pool(`p${index}`, rtt, { slotsTotal: 100, slotsFree: free[index] ?? 0, priceMs: price }),
    );
    const rtts = states.map(({ rtt }) => rtt);
    const chosen = choose(
      rtts,
      free,
      states.map(({ price }) => price),
    );
    const { outcome } = decide(candidates);
    return outcome["pool"] === (chosen === NO_ENTRY ? undefined : `p${chosen}`);
  });
  t.doesNotThrow(() => fc.assert(holds));
});
