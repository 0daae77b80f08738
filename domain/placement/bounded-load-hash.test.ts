import fc from "fast-check";
import t from "tap";
import { loadMaxOf, rankMembers, withinBounds } from "./bounded-load-hash.ts";

const BOUNDS = { loadRatioMax: 1.25, loadMin: 1 };
const members = (count: number) => Array.from({ length: count }, (_, index) => `edge-${index}`);
const keys = (count: number, prefix = "http://shop.example/item/") =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);
const homeOf = (key: string, names: readonly string[]) => rankMembers(key, names)[0];

t.test("removing a member moves its own keys and no other, at most 1 of N of all", async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 24 }), fc.nat(), fc.string(), (count, at, prefix) => {
      const names = members(count);
      const gone = names[at % count];
      const left = names.filter((name) => name !== gone);
      const asked = keys(400, prefix);
      const moved = asked.filter((key) => homeOf(key, names) !== homeOf(key, left));
      const own = asked.filter((key) => homeOf(key, names) === gone);
      // Exactly the keys of the one that is gone; how many they are is binomial: six deviations over the mean.
      const mean = asked.length / count;
      return (
        moved.length === own.length && moved.every((key) => own.includes(key)) && own.length <= mean + 6 * mean ** 0.5
      );
    }),
    { numRuns: 200 },
  );
  t.pass("every generated case held");
});

t.test("keys are spread evenly over any number of members", async (t) => {
  for (const count of [2, 3, 5, 16, 64]) {
    const homes = new Map(members(count).map((name) => [name, 0]));
    for (const key of keys(20_000)) {
      const home = homeOf(key, members(count)) ?? "";
      homes.set(home, (homes.get(home) ?? 0) + 1);
    }
    const mean = 20_000 / count;
    const widest = Math.max(...[...homes.values()].map((found) => Math.abs(found - mean)));
    t.ok(widest < 5 * mean ** 0.5, `${count} members: ${widest} from ${mean}`);
  }
});

t.test("the order of two members is the same whoever else is there", async (t) => {
  const names = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 2, maxLength: 12 });
  fc.assert(
    fc.property(fc.string(), names, fc.nat(), (key, all, mask) => {
      const some = all.filter((_, index) => (mask >> index) % 2 === 0);
      const ranked = rankMembers(key, all).filter((name) => some.includes(name));
      return ranked.join("\n") === rankMembers(key, [...some].reverse()).join("\n");
    }),
  );
  t.pass("every generated case held");
});

t.test("with bounded loads no member has more than its share and a quarter, however skewed the keys", async (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.array(fc.constantFrom("hot", "warm", "x", "y"), { maxLength: 200 }),
      (count, asked) => {
        const loads = new Map(members(count).map((name) => [name, 0]));
        const loadOf = (name: string) => loads.get(name) ?? 0;
        for (const key of asked) {
          const [home] = withinBounds(rankMembers(key, members(count)), loadOf, BOUNDS);
          if (home === undefined) return false;
          loads.set(home, loadOf(home) + 1);
        }
        return Math.max(...loads.values()) <= Math.ceil((1.25 * asked.length) / count);
      },
    ),
  );
  t.pass("every generated case held");
});

t.test("a few requests at once bound nobody", async (t) => {
  const ranked = rankMembers("hot", members(4));
  const loadOf = (name: string) => (name === ranked[0] ? 63 : 0);
  t.equal(withinBounds(ranked, loadOf, { loadRatioMax: 1.25, loadMin: 64 })[0], ranked[0]);
  t.equal(withinBounds(ranked, loadOf, BOUNDS)[0], ranked[1]);
  t.equal(loadMaxOf([], BOUNDS), 2);
});
