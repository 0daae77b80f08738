import fc from "fast-check";
import t from "tap";
import { MoveBudget } from "./move-budget.ts";

t.test("gains use half of a bucket, breaks all of it, and it fills again", async (t) => {
  const budget = new MoveBudget({ movesPerSecond: 1, movesMax: 4 });
  const take = (because: "break" | "sustained-gain", nowMs: number) => budget.take("p", because, nowMs);
  t.same([take("sustained-gain", 0), take("sustained-gain", 0), take("sustained-gain", 0)], [true, true, false]);
  t.same([take("break", 0), take("break", 0), take("break", 0)], [true, true, false]);
  t.same([take("break", 999), take("break", 1000), take("break", 1000)], [false, true, false]);
  t.equal(budget.take("q", "break", 0), true, "another pool has its own");
});

t.test("no destination takes more than its bucket and its rate, whatever the order of times", async (t) => {
  const moves = fc.array(fc.tuple(fc.nat(10_000), fc.boolean()), { maxLength: 200 });
  const isBounded = fc.property(moves, (list) => {
    const budget = new MoveBudget({ movesPerSecond: 2, movesMax: 5 });
    const granted = list.filter(([atMs, isBreak]) => budget.take("p", isBreak ? "break" : "sustained-gain", atMs));
    return granted.length <= 5 + 2 * 10;
  });
  t.doesNotThrow(() => fc.assert(isBounded));
});
