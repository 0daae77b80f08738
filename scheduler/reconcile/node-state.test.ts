import fc from "fast-check";
import t from "tap";
import type { NodeState } from "#domain/fleet/node.ts";
import {
  decideNodeState,
  FAILING_OBSERVERS_MIN,
  type NodeEvidence,
  SIGNALS,
  SILENCE_MS_MAX,
  signalOf,
  TRANSITIONS,
} from "./node-state.ts";

const STATES = ["connected", "cut-off", "dead"] as const;
const NOW = 1_000_000;

function evidence(changes: Partial<NodeEvidence> = {}): NodeEvidence {
  const nothing = { isLinkKnown: true, isLinkUp: false, linkLastUpMs: undefined, lastAnsweredMs: undefined };
  return { ...nothing, failingObservers: 0, ...changes };
}

const atMs = fc.option(fc.integer({ min: NOW - 3 * SILENCE_MS_MAX, max: NOW }), { nil: undefined });
const anyEvidence = fc.record({
  isLinkKnown: fc.boolean(),
  isLinkUp: fc.boolean(),
  linkLastUpMs: atMs,
  lastAnsweredMs: atMs,
  failingObservers: fc.nat(4),
});
const anyState = fc.constantFrom<NodeState>(...STATES);
const isRecent = (ms: number | undefined) => ms !== undefined && NOW - ms <= SILENCE_MS_MAX;

t.test("the signal says what link and probes say together", async (t) => {
  const recent = NOW - SILENCE_MS_MAX;
  const old = recent - 1;
  const cases = [
    [{ isLinkUp: true, failingObservers: 5 }, "linked"],
    [{ linkLastUpMs: recent }, "unlinked"],
    [{ linkLastUpMs: old, lastAnsweredMs: recent }, "cut"],
    [{ linkLastUpMs: old, lastAnsweredMs: recent, isLinkKnown: false }, "unlinked"],
    [{ linkLastUpMs: old, lastAnsweredMs: old }, "silent"],
    [{ failingObservers: 1 }, "silent"],
    [{ failingObservers: 2 }, "failing"],
    [{ failingObservers: 2, lastAnsweredMs: recent }, "cut"],
  ] as const;
  for (const [changes, signal] of cases) t.equal(signalOf(evidence(changes), NOW), signal, JSON.stringify(changes));
});

t.test("every state has an answer to every signal", async (t) => {
  for (const state of STATES) t.same(Object.keys(TRANSITIONS[state]), [...SIGNALS], state);
});

t.test("a link that is up decides", async (t) => {
  const holds = fc.property(anyState, anyEvidence, (state, given) => {
    return decideNodeState(state, { ...given, isLinkUp: true }, NOW) === "connected";
  });
  t.doesNotThrow(() => fc.assert(holds));
});

t.test("silence is cut off, never dead", async (t) => {
  const holds = fc.property(fc.constantFrom("connected", "cut-off"), anyEvidence, (state, given) => {
    return decideNodeState(state, { ...given, failingObservers: FAILING_OBSERVERS_MIN - 1 }, NOW) !== "dead";
  });
  t.doesNotThrow(() => fc.assert(holds));
  t.equal(decideNodeState("connected", evidence(), NOW), "cut-off");
});

t.test("death needs two observers", async (t) => {
  const holds = fc.property(fc.constantFrom("connected", "cut-off"), anyEvidence, (state, given) => {
    if (decideNodeState(state, given, NOW) !== "dead") return true;
    const hasLife = given.isLinkUp || isRecent(given.linkLastUpMs) || isRecent(given.lastAnsweredMs);
    return given.failingObservers >= FAILING_OBSERVERS_MIN && !hasLife;
  });
  t.doesNotThrow(() => fc.assert(holds));
});

t.test("a dead node lives again", async (t) => {
  const holds = fc.property(anyEvidence, (given) => {
    const hasLife = given.isLinkUp || isRecent(given.linkLastUpMs) || isRecent(given.lastAnsweredMs);
    return (decideNodeState("dead", given, NOW) === "dead") === !hasLife;
  });
  t.doesNotThrow(() => fc.assert(holds));
});

t.test("without the origin those that answer stay as they are", async (t) => {
  for (const state of ["connected", "cut-off"] as const) {
    const answering = evidence({ isLinkKnown: false, lastAnsweredMs: NOW });
    t.equal(decideNodeState(state, answering, NOW), state);
  }
});
