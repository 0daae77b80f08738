import t from "tap";
import { reportOf } from "#test/bench/report.ts";
import { type Held, isSameCount, isSameMemory, rowsOf } from "./verdict.ts";

const EARLY: Held = {
  heapMib: 30,
  externalMib: 10,
  residentMib: 90,
  descriptors: 25,
  sockets: 3,
  timers: 2,
  resources: 6,
};

function missedOf(late: Held, wrongAnswers = 0, isMemoryJudged = true): readonly string[] {
  const { rows } = reportOf("soak", rowsOf({ early: EARLY, late, wrongAnswers, isMemoryJudged }));
  return rows.filter(({ met }) => met === false).map(({ row }) => row);
}

t.test("what is held at rest may differ by 2 MiB, and by no descriptor, socket or timer", async (t) => {
  t.same(missedOf(EARLY), []);
  t.same(missedOf({ ...EARLY, heapMib: 32 }), []);
  t.same(missedOf({ ...EARLY, heapMib: 32.1 }), ["memory_difference"]);
  t.same(missedOf({ ...EARLY, externalMib: 7.9 }), ["memory_difference"]);
  t.same(missedOf({ ...EARLY, residentMib: 500 }), [], "the system takes resident pages back as it likes");
  for (const name of ["descriptors", "sockets", "timers", "resources"] as const) {
    t.same(missedOf({ ...EARLY, [name]: EARLY[name] + 1 }), [`${name}_difference`], `one more: ${name}`);
    t.same(missedOf({ ...EARLY, [name]: EARLY[name] - 1 }), [`${name}_difference`], `one less: ${name}`);
    t.notOk(isSameCount(EARLY, { ...EARLY, [name]: 0 }), name);
  }
  t.ok(isSameCount(EARLY, { ...EARLY, heapMib: 1 }));
  t.ok(isSameMemory(EARLY, { ...EARLY, heapMib: 30.06 }));
  t.notOk(isSameMemory(EARLY, { ...EARLY, heapMib: 30.04, externalMib: 10.04 }), "heap and external together");
  t.same(missedOf(EARLY, 1), ["wrong_answers"]);
  t.same(missedOf({ ...EARLY, heapMib: 50 }, 0, false), [], "a short run does not judge memory");
});
