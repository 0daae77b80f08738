import t from "tap";
import { type Arrived, judge, type Told } from "./verdict.ts";

const acknowledged = ["a", "b", "c", "d", "e"].map((session, index) => ({ session, life: Math.floor(index / 2) }));
const told: Told = { acknowledged, unanswered: new Set(["u"]) };
const quality = (...sessions: string[]): Arrived[] =>
  sessions.map((session) => ({ kind: "session-quality", value: { session } }));
const dropped = (value: Record<string, number>): Arrived => ({ kind: "reports-dropped", value });
const faultless = { lostUnsaid: 0, twice: 0, strangers: 0, overcounted: 0, againstPolicy: 0 };

t.test("each fault is told from what is as it should be", async (t) => {
  t.match(judge(told, quality("a", "b", "c", "d", "e", "u")), { ...faultless, arrived: 6, dropped: 0 });
  t.match(judge(told, [...quality("b", "c", "d", "e"), dropped({ "session-quality": 2 })]), {
    ...faultless,
    dropped: 2,
  });
  t.match(judge(told, quality("b", "c", "d", "e")), { ...faultless, lostUnsaid: 1 });
  t.match(judge(told, quality("a", "a", "b", "c", "d", "e")), { ...faultless, twice: 1 });
  t.match(judge(told, quality("a", "b", "c", "d", "e", "x")), { ...faultless, strangers: 1 });
  const all = quality("a", "b", "c", "d", "e");
  t.match(judge(told, [...all, dropped({ "session-quality": 2 })]), { ...faultless, overcounted: 1 });
  t.match(judge(told, [...all, dropped({ "link-up": 1 })]), { ...faultless, againstPolicy: 1 });
  const newest = [...quality("a", "b", "c", "d"), dropped({ "session-quality": 1 })];
  t.match(judge(told, newest), { ...faultless, againstPolicy: 1 });
});
