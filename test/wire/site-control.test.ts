/** What an edge and an agent say to each other of leases means to one what it meant to the other. */
import { isDeepStrictEqual } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import t from "tap";
import { type AgentMessage, AgentMessageSchema, LeaseRequestSchema } from "#contracts/generated/perigee/v1/site_pb.js";
import { FAILURE_CODES, Failure } from "#domain/failure.ts";
import { leaseOutcomeOf, leaseRequestMessage } from "#edge-node/sessions/lease.ts";
import {
  type AgentMessageInit,
  grantedAnswer,
  leaseRequestOf,
  refusedAnswer,
} from "#render-agent/control/site-messages.ts";

const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,12}[a-z0-9])?$/);
const filled = fc.string({ minLength: 1, maxLength: 50 });
const side = fc.integer({ min: 32, max: 2_048 }).map((half) => half * 2);
const rate = fc.integer({ min: 1, max: 144 });
const number = fc.nat(0xff_ff_ff_ff);
const request = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const placed = { session: filled, attempt: number, renderClass: name };
const transport = fc.oneof(
  fc.record({ transport: fc.constant("webrtc" as const), offerSdp: filled }),
  fc.record({ transport: fc.constant("websocket" as const), offerSdp: fc.constant("") }),
);
const sent = fc
  .tuple(fc.record({ ...placed, grant: filled, thumbprint: fc.stringMatching(/^[A-Za-z0-9_-]{43}$/) }), transport)
  .map(([asked, media]) => ({ ...asked, ...media }));
const media = fc.oneof(
  fc.record({ answerSdp: filled, websocketUrl: fc.constant("") }),
  fc.record({ answerSdp: fc.constant(""), websocketUrl: name.map((host) => `wss://${host}.example/media`) }),
);
const granted = fc
  .tuple(
    fc.record({
      session: filled,
      attempt: number,
      fence: fc.record({ incarnation: filled, counter: fc.nat(Number.MAX_SAFE_INTEGER) }),
      renderClass: fc.record({ name, eyeWidthPixels: side, eyeHeightPixels: side, frameRateHz: rate }),
    }),
    media,
  )
  .map(([lease, way]) => ({ ...lease, ...way }));

/** Generated records have no prototype; what is decoded has one. */
const same = (decoded: unknown, value: unknown) => isDeepStrictEqual(structuredClone(decoded), structuredClone(value));

function answerOf(init: AgentMessageInit) {
  const bytes = toBinary(AgentMessageSchema, create(AgentMessageSchema, init));
  const { message }: AgentMessage = fromBinary(AgentMessageSchema, bytes);
  if (message.case === "leaseAnswer") return message.value;
  throw new TypeError(`an answer is a leaseAnswer, got ${message.case}`);
}

t.test("a lease request is to the agent what the edge asked for", async (t) => {
  const property = fc.property(request, sent, (number, asked) => {
    const bytes = toBinary(LeaseRequestSchema, leaseRequestMessage(number, asked));
    const message = fromBinary(LeaseRequestSchema, bytes);
    const { grant: token, thumbprint, offerSdp } = asked;
    const media = asked.transport === "webrtc" ? { kind: asked.transport, offerSdp } : { kind: asked.transport };
    return (
      message.request === number &&
      same(leaseRequestOf(message, "near-1"), { edge: "near-1", token, thumbprint, media })
    );
  });
  fc.assert(property, { numRuns: 200 });
  t.pass("every generated case held");
});

t.test("a granted lease is to the edge what the agent gave", async (t) => {
  const property = fc.property(request, granted, (number, lease) => {
    const { session, attempt, fence, renderClass, answerSdp, websocketUrl } = lease;
    const answer = answerOf(grantedAnswer(number, lease));
    const way = answerSdp === "" ? "websocket" : "webrtc";
    const outcome = leaseOutcomeOf(answer, { session, attempt, transport: way });
    const media = way === "webrtc" ? { answerSdp, websocketUrl: undefined } : { answerSdp: undefined, websocketUrl };
    const expected = { kind: "granted", lease: { attempt, fence, ...media, renderClass } };
    return answer.request === number && same(outcome, expected);
  });
  fc.assert(property, { numRuns: 200 });
  t.pass("every generated case held");
});

t.test("a class that none can be is another agent's turn", async (t) => {
  const lease = {
    session: "s-1",
    attempt: 1,
    fence: { incarnation: "i", counter: 1 },
    answerSdp: "v=0",
    websocketUrl: "",
  };
  const right = { name: "tiny", eyeWidthPixels: 480, eyeHeightPixels: 540, frameRateHz: 60 };
  const outcomeOf = (change: Partial<typeof right>) => {
    const answer = answerOf(grantedAnswer(1n, { ...lease, renderClass: { ...right, ...change } }));
    return leaseOutcomeOf(answer, { session: "s-1", attempt: 1, transport: "webrtc" }).kind;
  };
  t.equal(outcomeOf({}), "granted");
  for (const change of [{ eyeWidthPixels: 0 }, { eyeHeightPixels: 2 ** 32 - 1 }, { frameRateHz: 4_000_000 }])
    t.equal(outcomeOf(change), "passed-on", JSON.stringify(change));
});

t.test("a refusal is to the edge the failure that the agent had", async (t) => {
  const property = fc.property(request, fc.constantFrom(...FAILURE_CODES), filled, (number, code, message) => {
    const answer = answerOf(refusedAnswer(number, new Failure(code, message)));
    const outcome = leaseOutcomeOf(answer, { session: "s", attempt: 1, transport: "webrtc" });
    if (answer.request !== number || outcome.kind === "granted") return false;
    return outcome.failure.code === code && outcome.failure.message === message;
  });
  fc.assert(property, { numRuns: 200 });
  t.pass("every generated case held");
});
