import t from "tap";
import { type Arrived, judge, type Told } from "./verdict.ts";

const told: Told = { acknowledged: ["a", "b", "c", "d", "e"], unanswered: new Set(["u"]) };
const slack = { atOnce: 1, handedOut: 1 };
const quality = (...sessions: string[]): Arrived[] =>
  sessions.map((session) => ({ kind: "session-quality", value: { session } }));
const dropped = (value: Record<string, number>): Arrived => ({ kind: "reports-dropped", value });
const faultless = { lostUnsaid: 0, twice: 0, strangers: 0, overcounted: 0, againstPolicy: 0 };

t.test("each fault is told from what is as it should be", async (t) => {
  t.match(judge(told, quality("a", "b", "c", "d", "e", "u"), slack), { ...faultless, arrived: 6, dropped: 0 });
  t.match(judge(told, [...quality("b", "c", "d", "e"), dropped({ "session-quality": 2 })], slack), {
    ...faultless,
    dropped: 2,
  });
  t.match(judge(told, quality("b", "c", "d", "e"), slack), { ...faultless, lostUnsaid: 1 });
  t.match(judge(told, quality("a", "a", "b", "c", "d", "e"), slack), { ...faultless, twice: 1 });
  t.match(judge(told, quality("a", "b", "c", "d", "e", "x"), slack), { ...faultless, strangers: 1 });
  const all = quality("a", "b", "c", "d", "e");
  t.match(judge(told, [...all, dropped({ "session-quality": 2 })], slack), { ...faultless, overcounted: 1 });
  t.match(judge(told, [...all, dropped({ "link-up": 1 })], slack), { ...faultless, againstPolicy: 1 });
  const newest = [...quality("a", "b", "c", "d"), dropped({ "session-quality": 1 })];
  t.match(judge(told, newest, slack), { ...faultless, againstPolicy: 1 });
  const behind = [...quality("a", "b", "d", "e"), dropped({ "session-quality": 1 })];
  t.match(judge(told, behind, slack), faultless, "behind what was handed out");
  const more = ["f", "g", "h", "i"];
  const longer = { ...told, acknowledged: [...told.acknowledged, ...more] };
  const rest = [...quality("a", "h", "i"), dropped({ "session-quality": 6 })];
  t.match(judge(longer, rest, slack), faultless, "as many as come while it is not acknowledged");
});
