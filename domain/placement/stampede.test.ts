import fc from "fast-check";
import t from "tap";
import { type Fit, shareFits } from "./stampede.ts";

const fit = (pool: string, slotsFree: number, renderClass = "small"): Fit => ({ pool, renderClass, slotsFree });

t.test("who has a choice leaves the only pool of another, whoever comes first", async (t) => {
  const [flexible, bound] = [[fit("a", 1), fit("b", 1)], [fit("a", 1)]];
  t.same(
    shareFits([flexible, bound]).map((given) => given?.pool),
    ["b", "a"],
  );
  t.same(
    shareFits([bound, flexible]).map((given) => given?.pool),
    ["a", "b"],
  );
  t.same(shareFits([flexible])[0]?.pool, "a", "alone it has the best");
});

t.test("a slot given to one class is none of another's, and one that has gone since counts no more", async (t) => {
  const given = shareFits([[fit("a", 2)], [fit("a", 1, "large"), fit("b", 1, "large")], [fit("a", 2)], []]);
  t.same(
    given.map((one) => one && `${one.pool} ${one.renderClass}`),
    ["a small", "b large", undefined, undefined],
  );
  t.same(shareFits([[fit("a", 2)], [fit("a", 1)]]).filter((one) => one !== undefined).length, 1);
  t.same(shareFits([]), []);
});

t.test(
  "nobody gets what does not fit it, no place is given too often, and none is left that somebody waits for",
  async (t) => {
    const free = [1, 2, 3];
    const sessions = fc.array(fc.subarray([0, 1, 2]), { maxLength: 12 });
    const holds = fc.property(sessions, (reach) => {
      const fits = reach.map((pools) => pools.map((pool) => fit(`p${pool}`, free[pool] ?? 0)));
      const given = shareFits(fits);
      const counts = new Map<string, number>();
      for (const one of given) if (one !== undefined) counts.set(one.pool, (counts.get(one.pool) ?? 0) + 1);
      const isFull = ({ pool, slotsFree }: Fit) => (counts.get(pool) ?? 0) >= slotsFree;
      return given.every((one, at) => {
        const own = fits[at] ?? [];
        return one === undefined
          ? own.every(isFull)
          : own.includes(one) && (counts.get(one.pool) ?? 0) <= one.slotsFree;
      });
    });
    t.doesNotThrow(() => fc.assert(holds, { numRuns: 300 }));
  },
);
