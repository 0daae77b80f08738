import fc from "fast-check";
import t from "tap";
import { type Random, seededRandom, systemRandom } from "#platform/random.ts";

const UUID4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

t.test("every source keeps its ranges", async (t) => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 2 ** 32 }), (seed, bound) => {
      for (const random of [seededRandom(seed), systemRandom] satisfies Random[]) {
        const ratio = random.ratio();
        const whole = random.integer(bound);
        if (!(ratio >= 0 && ratio < 1)) return false;
        if (!(Number.isInteger(whole) && whole >= 0 && whole < bound)) return false;
        if (!UUID4.test(random.uuid()) || random.bytes(5).length !== 5) return false;
      }
      return true;
    }),
  );
  t.throws(() => systemRandom.integer(0));
  t.throws(() => seededRandom(1).integer(1.5));
});

t.test("the same seed gives the same sequence, another seed another", async (t) => {
  const draw = (random: Random): unknown[] => [
    random.ratio(),
    random.integer(1_000_000),
    random.bytes(8),
    random.uuid(),
  ];
  t.strictSame(draw(seededRandom(7)), draw(seededRandom(7)));
  t.notSame(draw(seededRandom(7)), draw(seededRandom(8)));
});

t.test("seeded ratios are spread evenly over ten bins", async (t) => {
  const random = seededRandom(42);
  const bins = new Array<number>(10).fill(0);
  for (let draw = 0; draw < 10_000; draw += 1) {
    const bin = Math.floor(random.ratio() * 10);
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  for (const [bin, count] of bins.entries()) t.ok(count > 850 && count < 1_150, `bin ${bin} has ${count}`);
});
