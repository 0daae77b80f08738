import fc from "fast-check";
import t from "tap";
import { CDN_HOPS_MAX, CDN_LOOP, decideLoop, withOwnId } from "./cdn-loop.ts";
import { fieldsOf } from "./fields.ts";

const OWN = "near-1.edge.example";

t.test("a request that was here before is a loop, however its list is written", async (t) => {
  const cases = [
    [[OWN], "loop"],
    [["other.example", `foo123.foocdn.example;a="x, ${OWN}", NEAR-1.edge.example ; b=1`], "loop"],
    [[`"a, b";c, ${OWN};abc=123;def="456"`], "loop"],
    [["near-1.edge.example:8080"], "pass"],
    [[`x;id="${OWN}"`], "pass"],
    [[`x;id="a, ${OWN}"`], "pass"],
    [[", ,"], "pass"],
    [[], "pass"],
  ] as const;
  for (const [lines, kind] of cases) {
    const fields = fieldsOf(lines.flatMap((line) => ["CDN-Loop", line]));
    t.equal(decideLoop(fields, OWN).kind, kind, JSON.stringify(lines));
  }
});

t.test("a request over too many hops is a loop through others", async (t) => {
  const hops = (count: number) =>
    fieldsOf(["cdn-loop", Array.from({ length: count }, (_, index) => `c${index}`).join()]);
  t.same(decideLoop(hops(CDN_HOPS_MAX - 1), OWN), { kind: "pass" });
  t.same(decideLoop(hops(CDN_HOPS_MAX), OWN), { kind: "loop", because: "too-many-hops" });
});

t.test("whatever stood there, the next time it is seen as a loop", async (t) => {
  const text = fc.stringMatching(/^[\t -~]*$/);
  fc.assert(
    fc.property(fc.array(text, { maxLength: 4 }), (lines) => {
      const before = fieldsOf(lines.flatMap((line) => [CDN_LOOP, line]));
      return decideLoop(new Map([[CDN_LOOP, withOwnId(before, OWN)]]), OWN).kind === "loop";
    }),
  );
  t.pass("every generated case held");
});
