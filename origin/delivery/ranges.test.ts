/** Byte ranges of RFC 9110 section 14. */
import fc from "fast-check";
import t from "tap";
import { decideRange } from "./ranges.ts";

t.test("ranges are read as RFC 9110 says", (t) => {
  const cases: [string | undefined, object][] = [
    [undefined, { kind: "whole" }],
    ["bytes=0-0", { kind: "part", start: 0, end: 0 }],
    ["bytes=2-", { kind: "part", start: 2, end: 9 }],
    ["bytes=-3", { kind: "part", start: 7, end: 9 }],
    ["bytes=-30", { kind: "part", start: 0, end: 9 }],
    ["bytes=5-99", { kind: "part", start: 5, end: 9 }],
    ["bytes=10-", { kind: "unsatisfiable" }],
    ["bytes=-0", { kind: "unsatisfiable" }],
    ["bytes=3-2", { kind: "whole" }],
    ["bytes=0-1,3-4", { kind: "whole" }],
    ["lines=0-1", { kind: "whole" }],
  ];
  for (const [field, decision] of cases) t.same(decideRange(field, 10), decision, String(field));
  t.end();
});

t.test("a part always lies within the blob", (t) => {
  fc.assert(
    fc.property(fc.string(), fc.nat(), fc.nat(), fc.nat(1000), (junk, a, b, size) => {
      for (const field of [junk, `bytes=${a}-${b}`, `bytes=${a}-`, `bytes=-${b}`]) {
        const decision = decideRange(field, size);
        if (decision.kind !== "part") continue;
        t.ok(decision.start >= 0 && decision.start <= decision.end && decision.end < size, field);
      }
    }),
    { numRuns: 50 },
  );
  t.end();
});
