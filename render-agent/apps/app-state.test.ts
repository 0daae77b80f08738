/** Three buffers: whatever the order of writing and reading, what is read is whole, the newest, and stays as it is. */
import fc from "fast-check";
import t from "tap";
import { createStateMemory, StateReader, StateWriter } from "./app-state.ts";

const FLOATS = 4;

/** A state is one number in all floats; `write` fills half, as a thread does that is held up. */
const steps = fc.array(fc.constantFrom("write-half", "write-rest", "publish", "read"), { maxLength: 60, size: "max" });

t.test("what is read is the last state that was published whole, until the next is read", async (t) => {
  const counts = { fresh: 0, again: 0 };
  fc.assert(
    fc.property(steps, (order) => {
      const memory = createStateMemory(new Float32Array(FLOATS));
      const [writer, reader] = [new StateWriter(memory), new StateReader(memory)];
      let [next, published, seen] = [1, 0, 0];
      let held = reader.latest();
      for (const step of order) {
        if (step === "write-half") writer.values.fill(next, 0, FLOATS / 2);
        if (step === "write-rest") writer.values.fill(-next, FLOATS / 2);
        if (step === "publish") {
          writer.values.fill(next);
          writer.publish();
          published = next;
          next += 1;
        }
        if (step === "read") {
          held = reader.latest();
          counts[published > seen ? "fresh" : "again"] += 1;
          seen = published;
        }
        t.same([...held], Array(FLOATS).fill(seen), `${step} of ${order.join(" ")}`);
      }
    }),
  );
  t.comment(JSON.stringify(counts));
  t.ok(counts.fresh > 20 && counts.again > 20, JSON.stringify(counts));
});

t.test("ticks and refused states are counted for the reader", async (t) => {
  const memory = createStateMemory(new Float32Array([1, 2]));
  const [writer, reader] = [new StateWriter(memory), new StateReader(memory)];
  t.same([...reader.latest()], [1, 2], "at first what it was made with");
  t.same([...writer.values], [1, 2]);
  writer.countTick();
  t.equal(writer.countRefused(), 1);
  t.equal(writer.countRefused(), 2);
  t.match(reader, { ticks: 1, refused: 2 });
  t.same([...reader.latest()], [1, 2]);
});
