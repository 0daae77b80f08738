import t from "tap";
import { countSlots } from "#domain/placement/wanted-slots.ts";
import type { SlotQuery } from "../ledger/ledger.ts";
import type { PoolFacts } from "../placement/pool-facts.ts";
import { readPoolSlots } from "./pool-slots.ts";

const open = { isOpen: true, slotsTotal: 4, slotsFree: 2, frameMsP95: 5 };

t.test("a pool holds as many as fit of the classes that are wanted", async (t) => {
  t.same(countSlots([{ capacity: open, weight: 7 }]), { slots: 4, slotsUsed: 2, frameMs: 5 });
  const large = { ...open, slotsTotal: 2, slotsFree: 1, frameMsP95: 15 };
  const mixed = countSlots([
    { capacity: open, weight: 1 },
    { capacity: large, weight: 1 },
  ]);
  t.equal(mixed?.slots.toFixed(3), (8 / 3).toFixed(3), "one of each takes three quarters of it");
  t.equal(mixed?.slotsUsed.toFixed(3), (4 / 3).toFixed(3), "half of it is used");
  t.equal(mixed?.frameMs, 10);
  const not = { ...open, slotsTotal: 0, frameMsP95: undefined };
  t.same(
    countSlots([
      { capacity: open, weight: 1 },
      { capacity: not, weight: 9 },
    ]),
    { slots: 4, slotsUsed: 2, frameMs: 5 },
    "of what it holds not nothing follows",
  );
  t.equal(countSlots([{ capacity: { ...open, isOpen: false }, weight: 1 }]), undefined, "silent");
  t.equal(countSlots([]), undefined);
});

t.test("pools that take nothing are no pools", async (t) => {
  const poolOf = (pool: string, changes: { cordoned?: boolean; state?: "dead" } = {}): PoolFacts => {
    const edge = { node: pool, contentUrl: "", state: "connected" as const, cordoned: false, draining: false };
    const edges = [{ ...edge, ...changes }];
    return { pool, labels: {}, coordinates: { latitude: 0, longitude: 0 }, edges, excludedAgents: new Set() };
  };
  const asked: SlotQuery[] = [];
  const ledger = {
    async capacities(queries: readonly SlotQuery[]) {
      asked.push(...queries);
      return queries.map(() => open);
    },
  };
  const pools = [poolOf("a", { cordoned: true }), poolOf("b"), poolOf("c", { state: "dead" }), poolOf("d")];
  const wanted = new Map(Array.from({ length: 20 }, (_, index) => [`class-${index}`, index]));
  const slots = await readPoolSlots(ledger, pools, wanted);
  t.same(
    slots.map(({ pool }) => pool.pool),
    ["b", "d"],
  );
  t.equal(asked.length, 16, "of the eight classes that most want");
  t.ok(asked.some(({ renderClass }) => renderClass === "class-19"));
  t.same(await readPoolSlots(ledger, pools, new Map()), []);
});
