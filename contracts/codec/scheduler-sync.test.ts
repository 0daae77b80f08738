import { isDeepStrictEqual } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import t from "tap";
import {
  DecisionResultSchema,
  DecisionSchema,
  NodeLiveness,
  NodeStatesSchema,
  ObservedNodeSchema,
} from "../generated/perigee/v1/scheduler_pb.js";
import { type Decision, fromDecision, fromDecisionResult, toDecision, toDecisionResult } from "./decisions.ts";
import { fromNodeStates, fromObserved, type ObservedFact, type StateFact, toNodeStates, toObserved } from "./facts.ts";

const text = fc.string({ maxLength: 20 });
const whole = fc.nat(Number.MAX_SAFE_INTEGER);
const status = fc.record({
  ...{ incarnation: text, softwareVersion: text, contentUrl: text, hostname: text },
  ...{ epoch: whole, appliedRevision: whole, storeBytesUsed: whole, storeBytesMax: whole },
  certificateExpiresAtMs: whole,
  conditions: fc.constant([]),
  sites: fc.array(
    fc.record(
      {
        site: text,
        activeGeneration: whole,
        desiredGeneration: whole,
        objectsMissing: fc.nat(1e6),
        releaseBytes: fc.integer({ min: 1 }),
      },
      { requiredKeys: ["site", "activeGeneration", "desiredGeneration", "objectsMissing"] },
    ),
    { maxLength: 3 },
  ),
  agents: fc.constant([]),
});
const observed: fc.Arbitrary<ObservedFact> = fc.record({
  node: text,
  pool: text,
  linkUp: fc.boolean(),
  linkSinceMs: whole,
  status: fc.option(status, { nil: undefined }),
});
const states: fc.Arbitrary<StateFact[]> = fc.array(
  fc.record({ node: text, state: fc.constantFrom("connected", "cut-off", "dead"), sinceMs: whole }),
  { maxLength: 5 },
);
const decision: fc.Arbitrary<Decision> = fc.record({
  request: whole,
  resource: fc.json().map((json): unknown => JSON.parse(json)),
  expectedResourceVersion: whole,
});
const result = fc.record({
  ...{ request: whole, accepted: fc.boolean(), resourceVersion: whole },
  ...{ code: text, message: text },
});

/** Generated records have no prototype; what is decoded has one. */
const same = (decoded: unknown, value: unknown) => isDeepStrictEqual(decoded, structuredClone(value));
const holds = <T>(values: fc.Arbitrary<T>, passOn: (value: T) => unknown): void =>
  fc.assert(
    fc.property(values, (value) => same(passOn(value), value)),
    { numRuns: 200 },
  );

t.test("facts come back from the wire as they were", async (t) => {
  holds(observed, (fact) =>
    fromObserved(fromBinary(ObservedNodeSchema, toBinary(ObservedNodeSchema, toObserved(fact)))),
  );
  holds(states, (facts) =>
    fromNodeStates(fromBinary(NodeStatesSchema, toBinary(NodeStatesSchema, toNodeStates(facts)))),
  );
  t.pass("every generated case held");
});

t.test("decisions and their results come back from the wire as they were", async (t) => {
  holds(decision, (value) => fromDecision(fromBinary(DecisionSchema, toBinary(DecisionSchema, toDecision(value)))));
  holds(result, (value) =>
    fromDecisionResult(fromBinary(DecisionResultSchema, toBinary(DecisionResultSchema, toDecisionResult(value)))),
  );
  t.pass("every generated case held");
});

t.test("what cannot be read is refused by name, and a state of a later version is left out", async (t) => {
  const unread = {
    ...toDecision({ request: 1, resource: {}, expectedResourceVersion: 0 }),
    resource: Buffer.from("{"),
  };
  t.throws(() => fromDecision(unread), { code: "resource-invalid" });
  t.throws(() => fromDecision({ ...unread, request: 2n ** 60n }), { code: "argument-invalid" });
  const later = create(NodeStatesSchema, { states: [{ node: "a", liveness: NodeLiveness.UNSPECIFIED, sinceMs: 1n }] });
  t.same(fromNodeStates(later), []);
});
