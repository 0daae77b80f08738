import fc from "fast-check";
import t from "tap";
import { CAPACITY_PARTS, type NodeCapacity, type NodeWithRoom, orderNodes, type WantedRoom } from "./node-choice.ts";

const part = fc
  .record({ total: fc.integer({ min: 1, max: 8 }), used: fc.nat(8) })
  .map(({ total, used }) => ({ total, free: Math.max(0, total - used) }));
const capacity = fc.record(
  {
    slots: part,
    gpuShareRatio: part,
    encoderSessions: part,
    memoryBytes: part,
    egressBitsPerSecond: part,
  },
  { requiredKeys: ["slots"] },
);
const nodes = fc.uniqueArray(fc.record({ node: fc.nat(99).map((number) => `gpu-${number}`), capacity }), {
  selector: ({ node }) => node,
  maxLength: 12,
  size: "max",
});
const wanted = fc.record({
  scene: fc.string(),
  needs: fc.record(
    { gpuShareRatio: fc.nat(3), encoderSessions: fc.nat(3), memoryBytes: fc.nat(3) },
    { requiredKeys: [] },
  ),
});

function fits({ capacity }: NodeWithRoom, { needs }: WantedRoom): boolean {
  return CAPACITY_PARTS.every((part) => {
    const free = capacity[part]?.free;
    return free === undefined || free >= (part === "slots" ? 1 : (needs[part] ?? 0));
  });
}

t.test("exactly the nodes with room in each part that they say are named, each once", async (t) => {
  fc.assert(
    fc.property(nodes, wanted, (all, wanted) => {
      const fitting = all.filter((node) => fits(node, wanted)).map(({ node }) => node);
      return orderNodes(all, wanted).toSorted().join() === fitting.toSorted().join();
    }),
  );
  t.pass("held");
});

t.test("who is above its share of the load comes after all who are not, the best fit first", async (t) => {
  let over = 0;
  fc.assert(
    fc.property(nodes, wanted, (all, wanted) => {
      const slotsTotal = all.reduce((sum, { capacity: { slots } }) => sum + slots.total, 0);
      const used = all.reduce((sum, { capacity: { slots } }) => sum + slots.total - slots.free, 0);
      const ordered = orderNodes(all, wanted).map((name) => {
        const capacity = all.find(({ node }) => node === name)?.capacity ?? { slots: { total: 0, free: 0 } };
        const { total, free } = capacity.slots;
        const isOver = total - free + 1 > Math.ceil((1.25 * (used + 1) * total) / slotsTotal);
        return { isOver, left: leftOf(capacity, wanted) };
      });
      over += ordered.filter(({ isOver }) => isOver).length;
      return ordered.every(({ isOver, left }, at) => {
        const after = ordered.slice(at + 1);
        return !isOver || after.every((later) => later.isOver && later.left >= left);
      });
    }),
    { numRuns: 2_000 },
  );
  t.ok(over > 50, `above their share: ${over}`);
});

function leftOf(capacity: NodeCapacity, { needs }: WantedRoom): number {
  const left = CAPACITY_PARTS.flatMap((part) => {
    const said = capacity[part];
    return said === undefined ? [] : [(said.free - (part === "slots" ? 1 : (needs[part] ?? 0))) / said.total];
  });
  return left.reduce((sum, ratio) => sum + ratio ** 2, 0);
}

t.test("of idle nodes, one that leaves moves only what it had, and one that comes takes only for itself", async (t) => {
  const names = fc.uniqueArray(fc.nat(99), { minLength: 2, maxLength: 10 });
  fc.assert(
    fc.property(names, fc.nat(), fc.string(), (numbers, which, scene) => {
      const all = numbers.map((number) => ({ node: `gpu-${number}`, capacity: { slots: { total: 4, free: 4 } } }));
      const gone = all[which % all.length];
      const rest = all.filter((node) => node !== gone);
      const before = orderNodes(all, { scene, needs: {} }).filter((name) => name !== gone?.node);
      return before.join() === orderNodes(rest, { scene, needs: {} }).join();
    }),
  );
  t.pass("held");
});

t.test("scenes come to idle nodes by their slots", async (t) => {
  const all = [2, 4, 8].map((total) => ({ node: `gpu-${total}`, capacity: { slots: { total, free: total } } }));
  const first = new Map<string | undefined, number>();
  for (let scene = 0; scene < 7_000; scene += 1) {
    const [name] = orderNodes(all, { scene: `scene-${scene}`, needs: {} });
    first.set(name, (first.get(name) ?? 0) + 1);
  }
  for (const total of [2, 4, 8]) {
    const share = (first.get(`gpu-${total}`) ?? 0) / 500;
    t.ok(Math.abs(share - total) < 0.4, `${total} slots of 14: ${share}`);
  }
});
