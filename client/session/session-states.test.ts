/** The table of a session's life is sound: everything is reached, everything can be left. */
import t from "tap";
import { NOTHING_KNOWN } from "./session-ports.ts";
import { PHASES, type Phase, SESSION_EVENTS, TRANSITIONS } from "./session-states.ts";
import { describeSession } from "./words.ts";

function reachableFrom(phase: Phase): ReadonlySet<Phase> {
  const reached = new Set<Phase>([phase]);
  for (const at of reached) {
    for (const event of SESSION_EVENTS) {
      const next = TRANSITIONS[at][event];
      if (next !== null) reached.add(next);
    }
  }
  return reached;
}

t.test(
  "SPEC 1: every phase is reached from the first, and from every phase but the last the session can run",
  async (t) => {
    t.same([...reachableFrom("creating")].toSorted(), [...PHASES].toSorted());
    for (const phase of PHASES) {
      if (phase !== "ended") t.ok(reachableFrom(phase).has("running"), phase);
    }
  },
);

t.test("every phase but the last ends when the client leaves; the last never does", async (t) => {
  for (const phase of PHASES) t.equal(TRANSITIONS[phase].left, phase === "ended" ? null : "ended", phase);
});

t.test("SPEC 8: pictures that return are the session's wherever it looks for others or waits for them", async (t) => {
  const withSilentLink = new Set<Phase>(["resuming"]);
  for (const at of withSilentLink) {
    for (const event of SESSION_EVENTS) {
      const next = TRANSITIONS[at][event];
      // It runs, or the silent link is given up.
      if (next !== null && !["running", "creating", "failed", "ended"].includes(next)) withSilentLink.add(next);
    }
  }
  t.ok(withSilentLink.has("waiting"));
  for (const phase of PHASES) {
    t.equal(TRANSITIONS[phase]["media-returned"], withSilentLink.has(phase) ? "running" : null, phase);
  }
});

t.test("each phase is said in words, with its problem and what to do", async (t) => {
  const titles = PHASES.map((phase) => describeSession({ phase, facts: NOTHING_KNOWN }, 0).title);
  t.equal(new Set(titles).size, PHASES.length - 1, "queued and requeued are the same to a person");
  const problem = { code: "token-expired", message: "the app token has expired" };
  const facts = { ...NOTHING_KNOWN, problem };
  const failed = describeSession({ phase: "failed", facts }, 0);
  t.ok(failed.canRetry);
  t.match(failed.detail, /the app token has expired\. The page was published/);
  const waiting = describeSession({ phase: "waiting", facts: { ...facts, retryAtMs: 2500 } }, 1000);
  t.match(waiting.detail, /Asking again in 2 s/);
});
