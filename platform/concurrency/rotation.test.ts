/** Turns over a list that changes: each once in a round, new ones in the next round at the latest, in an order of its own. */
import fc from "fast-check";
import t from "tap";
import { seededRandom } from "../random.ts";
import { Rotation } from "./rotation.ts";

const take = (rotation: Rotation, count: number): readonly string[] =>
  Array.from({ length: count }, () => rotation.next());

t.test("each comes once in a round, and the rounds are alike", async (t) => {
  const items = ["a", "b", "c", "d"];
  const rotation = new Rotation(() => items, seededRandom(1));
  const first = take(rotation, 4);
  t.same([...first].sort(), items);
  t.same(take(rotation, 4), first);
});

t.test("a thousand nodes do not all begin with the same one, nor go on to the same one", async (t) => {
  const items = ["a", "b", "c"];
  const pairs = Array.from({ length: 1_000 }, (_, seed) =>
    take(new Rotation(() => items, seededRandom(seed)), 2).join(""),
  );
  for (const pair of ["ab", "ac", "ba", "bc", "ca", "cb"]) {
    const count = pairs.filter((other) => other === pair).length;
    t.ok(count > 100 && count < 240, `${pair}: ${count} of 1,000`);
  }
});

t.test("whatever comes and goes, what stays is given once in each round of it", async (t) => {
  const name = fc.constantFrom("a", "b", "c", "d", "e", "f");
  const lists = fc.array(fc.array(name, { minLength: 1 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(lists, fc.integer(), (changes, seed) => {
      let list: readonly string[] = ["kept"];
      const rotation = new Rotation(() => list, seededRandom(seed));
      let since = 0;
      for (const change of changes) {
        list = [...change, "kept"];
        const given = rotation.next();
        since = given === "kept" ? 0 : since + 1;
        // Seven names in all: more turns without it would be a round that has left it out.
        if (!list.includes(given) || since > 7) return false;
      }
      return true;
    }),
  );
  t.pass("no list was found that starves one");
});

t.test("a round begins with the last that was given, and goes on as the turns will", async (t) => {
  let items = ["a", "b", "c", "d"];
  const rotation = new Rotation(() => items, seededRandom(5));
  const before = rotation.round();
  t.same([...before].sort(), items);
  const first = rotation.next();
  t.same(rotation.round(), before, "nothing was given before");
  t.equal(first, before[0]);
  const second = rotation.next();
  t.same(rotation.round(), [second, ...before.slice(2), first]);
  items = items.filter((item) => item !== second);
  t.same(rotation.round(), [...before.slice(2), first], "the last is gone");
});

t.test("what is gone is given no more, what is new is", async (t) => {
  let items = ["a", "b"];
  const rotation = new Rotation(() => items, seededRandom(3));
  take(rotation, 3);
  items = ["b", "c"];
  t.same([...take(rotation, 2)].sort(), ["b", "c"]);
  items = ["c"];
  t.same(take(rotation, 3), ["c", "c", "c"]);
});
