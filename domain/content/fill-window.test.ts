import fc from "fast-check";
import t from "tap";
import { FillWindow, nextHolders } from "./fill-window.ts";

const BUDGET = { bytesPerSecond: 100, burstBytes: 1000 };

t.test("a pool is given no more in any time than its link carries, its burst and one fill beside", async (t) => {
  const fill = fc.record({ afterMs: fc.nat(20_000), sizeBytes: fc.integer({ min: 1, max: 3000 }) });
  const holds = fc.property(fc.array(fill, { maxLength: 40 }), (fills) => {
    const window = new FillWindow(BUDGET);
    let nowMs = 0;
    let given = 0;
    for (const { afterMs, sizeBytes } of fills) {
      nowMs += afterMs;
      if (window.admit("a", sizeBytes, nowMs)) given += sizeBytes;
    }
    return given <= BUDGET.burstBytes + (nowMs * BUDGET.bytesPerSecond) / 1000 + 3000;
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 300 }));
});

t.test(
  "a large fill goes once there is credit, and the next waits until it is paid; each pool for itself",
  async (t) => {
    const window = new FillWindow(BUDGET);
    t.equal(window.admit("a", 5000, 0), true);
    t.equal(window.admit("a", 1, 40_000), false, "4,000 bytes are owed");
    t.equal(window.admit("b", 1, 40_000), true);
    t.equal(window.admit("a", 1, 40_001), true);
    window.admit("a", 5000, 50_000);
    window.retain(new Set(["b"]));
    t.equal(window.admit("a", 1, 50_000), true, "a pool that went and came back begins anew");
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
