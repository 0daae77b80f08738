import fc from "fast-check";
import t from "tap";
import { FILL_BURST_SECONDS, FillWindow, nextHolders } from "./fill-window.ts";

const BYTES_PER_SECOND = 100;
const BURST_BYTES = BYTES_PER_SECOND * FILL_BURST_SECONDS;
const fill = (pool: string, sizeBytes: number) => ({ pool, sizeBytes, bytesPerSecond: BYTES_PER_SECOND });

t.test("no more is under way to a pool than a minute of its budget, or one fill that is larger", async (t) => {
  const anyFill = fc.record({ afterMs: fc.nat(20_000), sizeBytes: fc.integer({ min: 1, max: 2 * BURST_BYTES }) });
  const holds = fc.property(fc.array(anyFill, { maxLength: 40 }), (fills) => {
    const window = new FillWindow();
    let nowMs = 0;
    let given = 0;
    let largest = 0;
    return fills.every(({ afterMs, sizeBytes }) => {
      nowMs += afterMs;
      if (window.admit(fill("a", sizeBytes), nowMs)) {
        given += sizeBytes;
        largest = Math.max(largest, sizeBytes);
      }
      const boundBytes = Math.max(BURST_BYTES, largest);
      return window.underWayBytes("a", nowMs) <= boundBytes && given <= boundBytes + (nowMs * BYTES_PER_SECOND) / 1000;
    });
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 300 }));
});

t.test(
  "a large fill goes once nothing is under way, and the next waits until it is through; each pool for itself",
  async (t) => {
    const window = new FillWindow();
    t.ok(window.admit(fill("a", 2 * BURST_BYTES), 0));
    t.notOk(window.admit(fill("a", 1), 60_000), "half of it is under way");
    t.ok(window.admit(fill("b", 1), 60_000));
    t.ok(window.admit(fill("a", 1), 60_010), "there is room beside it");
    t.notOk(window.admit(fill("a", 2 * BURST_BYTES), 60_010));
    t.same([...window.listUnderWay(60_010)], [["a", BURST_BYTES]]);
    t.ok(window.admit(fill("a", 2 * BURST_BYTES), 120_010));
    window.retain(new Set(["b"]));
    t.ok(window.admit(fill("a", BURST_BYTES), 120_020), "a pool that went and came back begins anew");
  },
);

const set = (names: string) => new Set(names.split("").filter((name) => name !== ""));

function next(held: string, wanted: string, { served = "", forbidden = "", admitted = "abcd" } = {}) {
  const isForbidden = (pool: string) => set(forbidden).has(pool);
  const isServed = (pool: string) => set(served).has(pool);
  const move = { held: set(held), wanted: set(wanted), isForbidden, isServed };
  return [...nextHolders(move, (pool) => set(admitted).has(pool))].join("");
}

t.test("a copy goes only when all that take its place serve, except from where it may not be", async (t) => {
  t.equal(next("", "ab"), "ab");
  t.equal(next("a", "b"), "ab", "not before b serves");
  t.equal(next("ab", "b", { served: "a" }), "ab");
  t.equal(next("ab", "b", { served: "ab" }), "b");
  t.equal(next("a", "b", { forbidden: "a" }), "b");
  t.equal(next("a", "bc", { admitted: "c" }), "ac", "b's link is busy");
  t.equal(next("ac", "bc", { served: "ac", admitted: "" }), "ac");
  t.equal(next("ab", "", { served: "ab" }), "", "nobody is to hold it");
});
