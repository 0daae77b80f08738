import t from "tap";
import { decideRestart, RESTARTS_IN_A_ROW_MAX } from "./restart.ts";

t.test("a program that ends at once is started ever later, and given up in the end", async (t) => {
  const waits: number[] = [];
  let inARow = 0;
  for (;;) {
    const decision = decideRestart({ livedMs: 100, inARow });
    if (decision.kind === "give-up") break;
    waits.push(decision.afterMs);
    inARow = decision.inARow;
  }
  t.strictSame(waits, [500, 1000, 2000, 4000, 8000, 15_000]);
  t.equal(inARow, RESTARTS_IN_A_ROW_MAX);
});

t.test("one that lived long begins anew", async (t) => {
  const decision = decideRestart({ livedMs: 3_600_000, inARow: RESTARTS_IN_A_ROW_MAX });
  t.strictSame(decision, { kind: "restart", afterMs: 500, inARow: 1 });
});
