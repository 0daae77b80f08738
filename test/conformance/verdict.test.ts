import t from "tap";
import { judge, type TestOutcome } from "./verdict.ts";

const EXPECTED = { required: 2, optimal: 2, allowedToFail: new Set(["wrong"]) };

const passed = (id: string, kind: string): TestOutcome => ({ id, kind });
const failed = (id: string, kind: string): TestOutcome => ({ id, kind, failure: "Assertion: no" });
const GOOD = [passed("a", "required"), passed("b", "required"), passed("c", "optimal"), passed("d", "optimal")];

t.test("a run is good if every required and optimal test passes but those that contradict the RFCs", async (t) => {
  t.same(judge(GOOD, EXPECTED).faults, []);
  const allowed = GOOD.with(3, failed("wrong", "optimal"));
  const verdict = judge([...allowed, failed("e", "check")], EXPECTED);
  t.same(verdict.faults, []);
  t.same(verdict.counts, [
    { kind: "required", passed: 2, total: 2 },
    { kind: "optimal", passed: 1, total: 2 },
    { kind: "check", passed: 0, total: 1 },
  ]);
  t.equal(verdict.failed.length, 2, "all that failed is listed");
});

t.test("a failed test is a fault by name, and so is one that did not run", async (t) => {
  t.same(judge(GOOD.with(0, failed("a", "required")), EXPECTED).faults, ["required test a fails"]);
  t.same(judge(GOOD.with(2, failed("c", "optimal")), EXPECTED).faults, ["optimal test c fails"]);
  t.same(judge(GOOD.slice(1), EXPECTED).faults, ["1 required tests ran, expected 2"]);
  t.same(judge([], EXPECTED).faults, ["0 required tests ran, expected 2", "0 optimal tests ran, expected 2"]);
});
