import fc from "fast-check";
import t from "tap";
import {
  EvictionPolicy,
  FREQUENCY_MAX,
  HISTORY_ENTRIES_MAX,
  HISTORY_ENTRIES_MIN,
  hashOf,
  historyEntriesFor,
} from "./eviction-policy.ts";
import { EvictionQueue } from "./eviction-queue.ts";

const historyEntries = 64;

t.test("of two objects used alike the larger leaves, of two alike in size the less used", async (t) => {
  const queue = new EvictionQueue(new EvictionPolicy({ historyEntries }));
  const [large, used, small] = [queue.add(1, 3000), queue.add(2, 3000), queue.add(3, 100)];
  queue.touch(used);
  t.strictSame([queue.evict(), queue.evict(), queue.evict(), queue.evict()], [large, used, small, undefined]);
});

t.test("what is not used any more is overtaken by what comes, however popular it was", async (t) => {
  const queue = new EvictionQueue(new EvictionPolicy({ historyEntries }));
  const popular = queue.add(0, 1000);
  for (let use = 0; use < 1000; use += 1) queue.touch(popular);
  let left = 0;
  for (let hash = 1; hash < 1000; hash += 1) {
    queue.add(hash * 0x0100_0193, 1000);
    left += 1;
    if (queue.evict() === popular) break;
  }
  t.ok(left > 50 && left < 200, `after ${left} that were used once`);
});

t.test("what comes back is worth what it was, until a table's length of others has left", async (t) => {
  const policy = new EvictionPolicy({ historyEntries });
  policy.evicted(hashOf("/a"), 9, 0.5);
  t.equal(policy.firstFrequency(hashOf("/a")), 10);
  t.equal(policy.firstFrequency(hashOf("/b")), 1);
  t.equal(policy.priorityOf(1, 2), 0.5 + 0.5, "and the clock is where it left");
  for (let index = 0; index < 2 * historyEntries; index += 1) policy.evicted(1, 1, 0.1);
  t.equal(policy.firstFrequency(hashOf("/a")), 3, "halved twice");
  policy.evicted(hashOf("/a"), FREQUENCY_MAX, 0.6);
  t.equal(policy.firstFrequency(hashOf("/a")), FREQUENCY_MAX, "and it is bounded");
});

t.test("a history is a power of two within its bounds", async (t) => {
  for (const bytes of [0, 1, 1e6, 1e9, 3e9, 1e15]) {
    const entries = historyEntriesFor(bytes);
    t.ok(Number.isInteger(Math.log2(entries)), `${entries}`);
    t.ok(entries >= HISTORY_ENTRIES_MIN && entries <= HISTORY_ENTRIES_MAX, `${entries} for ${bytes} bytes`);
  }
});

type Step = readonly ["add" | "touch" | "resize" | "remove" | "evict", number, number];

t.test("the order is that of a plain list, whatever is done", async (t) => {
  const kinds = fc.constantFrom<Step[0]>("add", "add", "add", "touch", "resize", "remove", "evict");
  const steps = fc.array(fc.tuple(kinds, fc.nat(1000), fc.integer({ min: 1, max: 5000 })), {
    maxLength: 1000,
    size: "max",
  });
  fc.assert(
    fc.property(steps, (list: readonly Step[]) => {
      const queue = new EvictionQueue(new EvictionPolicy({ historyEntries }));
      const policy = new EvictionPolicy({ historyEntries });
      const model = new Map<number, { hash: number; bytes: number; frequency: number; priority: number }>();
      for (const [kind, number, bytes] of list) {
        const slots = [...model.keys()];
        const slot = slots[number % Math.max(1, slots.length)] ?? -1;
        const known = model.get(slot);
        if (kind === "add") {
          const frequency = policy.firstFrequency(number);
          const priority = policy.priorityOf(frequency, bytes);
          const added = queue.add(number, bytes);
          if (model.has(added)) throw new Error(`slot ${added} was in use`);
          model.set(added, { hash: number, bytes, frequency, priority });
        } else if (kind === "evict") {
          const least = Math.min(...[...model.values()].map(({ priority }) => priority));
          const gone = queue.evict();
          const left = gone === undefined ? undefined : model.get(gone);
          if (left === undefined) {
            if (model.size > 0) throw new Error("something is left");
            continue;
          }
          if (left.priority !== least) throw new Error(`${left.priority} left, ${least} is the least`);
          policy.evicted(left.hash, left.frequency, left.priority);
          if (gone !== undefined) model.delete(gone);
        } else if (known !== undefined) {
          if (kind === "remove") {
            queue.remove(slot);
            model.delete(slot);
            continue;
          }
          if (kind === "touch") {
            queue.touch(slot);
            known.frequency = Math.min(FREQUENCY_MAX, known.frequency + 1);
          } else {
            queue.resize(slot, bytes);
            known.bytes = bytes;
          }
          known.priority = policy.priorityOf(known.frequency, known.bytes);
        }
        if (queue.size !== model.size) throw new Error(`${queue.size} of ${model.size}`);
      }
    }),
    { numRuns: 100 },
  );
  t.pass();
});
