import t from "tap";
import { PoolIds } from "./pool-ids.ts";

t.test("a name keeps its id, and the id says the name", async (t) => {
  const ids = new PoolIds();
  t.same(
    ["near", "far", "near"].map((name) => ids.idOf(name)),
    [0, 1, 0],
  );
  t.same(
    [0, 1].map((id) => ids.nameOf(id)),
    ["near", "far"],
  );
});

t.test("once all are given, the one not asked for for longest is given anew", async (t) => {
  const ids = new PoolIds(2);
  for (const name of ["near", "far", "near"]) ids.idOf(name);
  t.equal(ids.idOf("third"), 1);
  t.same([ids.nameOf(0), ids.nameOf(1), ids.idOf("near")], ["near", "third", 0]);
});
