import fc from "fast-check";
import t from "tap";
import { relaysBefore } from "./relay-order.ts";

const peerOf = (name: string) => ({ name, pool: "near", address: `${name}:7443` });

/** As an edge sees it that knows of some others. */
const viewOf = (self: string, known: readonly string[], isMember = true) => ({
  ...{ self, isMember, parents: [], childPools: new Set<string>() },
  siblings: known.filter((name) => name !== self).map(peerOf),
});

t.test("no two edges ask one another, whatever each of them knows of the pool", async (t) => {
  const names = fc.uniqueArray(fc.stringMatching(/^[a-z0-9]{1,8}$/), { minLength: 2, maxLength: 12 });
  fc.assert(
    fc.property(names, fc.infiniteStream(fc.boolean()), (all, draws) => {
      const some = () => all.filter(() => draws.next().value === true);
      const asks = new Map(
        all.map((self) => [self, new Set(relaysBefore("near", viewOf(self, some())).map(({ name }) => name))]),
      );
      for (const [one, asked] of asks) for (const other of asked) if (asks.get(other)?.has(one) === true) return false;
      return true;
    }),
  );
  t.pass();
});

t.test("one of those that know all asks nobody, and pools do not all have the same first", async (t) => {
  const names = ["a", "b", "c", "d"];
  const firstOf = (pool: string) => names.filter((self) => relaysBefore(pool, viewOf(self, names)).length === 0);
  const firsts = ["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"].map(firstOf);
  t.ok(firsts.every(({ length }) => length === 1));
  t.ok(new Set(firsts.flat()).size > 1);
});

t.test("an edge that others do not reach asks all of them", async (t) => {
  t.equal(relaysBefore("near", viewOf("e", ["a", "b"], false)).length, 2);
  t.same(relaysBefore("near", viewOf("e", [])), []);
});
