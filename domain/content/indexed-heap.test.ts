import fc from "fast-check";
import t from "tap";
import { IndexedHeap } from "./indexed-heap.ts";

const COUNT = 12;

t.test("a heap gives its items by key, as a sorted list would, whatever is set and deleted", async (t) => {
  const change = fc.record({ item: fc.nat(COUNT - 1), key: fc.option(fc.integer({ min: -5, max: 5 })) });
  const holds = fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
    const heap = new IndexedHeap(COUNT);
    const expected = new Map<number, number>();
    for (const { item, key } of changes) {
      if (key === null) {
        heap.delete(item);
        expected.delete(item);
      } else {
        heap.set(item, key);
        expected.set(item, key);
      }
      const sorted = [...expected].sort(([a, keyA], [b, keyB]) => keyB - keyA || a - b).map(([item]) => item);
      if (heap.top() !== sorted[0] || heap.size !== sorted.length) return false;
      if ([...heap.descending()].join() !== sorted.join()) return false;
    }
    return [...expected].every(([item, key]) => heap.has(item) && heap.keyOf(item) === key);
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 300 }));
});
