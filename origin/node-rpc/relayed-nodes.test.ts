import { create, type MessageInitShape } from "@bufbuild/protobuf";
import t, { type Test } from "tap";
import { type NodeMessage, NodeMessageSchema } from "#contracts/generated/perigee/v1/node_pb.js";
import { BoundedQueue } from "#platform/concurrency/bounded-queue.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { Members } from "../enrolment/members.ts";
import { PeerAddresses } from "../enrolment/peer-addresses.ts";
import { writeResource } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { ObservedNodes } from "../observed/observed-nodes.ts";
import { openRecords } from "../records/records.ts";
import { Distribution } from "./distribution.ts";
import { serveNodes } from "./node-sync.ts";

const RELAY = { role: "edge", pool: "near", name: "near-1", serial: "01" } as const;

type Said = NonNullable<MessageInitShape<typeof NodeMessageSchema>["message"]>;

const hello = (incarnation = "one"): Said => ({ case: "hello", value: { incarnation, softwareVersion: "1" } });
const reports: Said = {
  case: "reports",
  value: { sequence: 7n, reports: [{ id: "r", kind: "session-ended", atMs: 1n, json: Buffer.from("{}") }] },
};

/** An origin, the stream of one relay to it, and what the origin says of and to those that it relays for. */
function world(t: Test) {
  const [clock, log, records] = [new VirtualClock(), openSqliteLog(":memory:"), openRecords(":memory:")];
  const enrol = (name: string, pool: string) => {
    const spec = { role: "edge", pool, cordoned: false, draining: false } as const;
    writeResource(log, { kind: "Node", metadata: { name, labels: {} }, spec }, 1);
  };
  for (const name of ["near-1", "near-2", "near-3"]) enrol(name, "near");
  enrol("far-1", "far");
  const [told, answers]: [string[], string[]] = [[], []];
  const observed = new ObservedNodes();
  const events = {
    linkUp: ({ name }: { name: string }) => void told.push(`up ${name}`),
    linkDown: ({ name }: { name: string }) => void told.push(`down ${name}`),
    identityTwice: ({ name }: { name: string }) => void told.push(`twice ${name}`),
    logBehind: () => undefined,
    linkPutOff: () => undefined,
  };
  const connect = serveNodes({
    ...{ clock, records, observed, events },
    members: new Members(log),
    distribution: new Distribution(log, generateSigningKey()),
    peerAddresses: new PeerAddresses(log, clock),
  });
  /** Opens a stream; gives what it says by it, and ends it. */
  const link = (peer: {
    readonly role: "edge";
    readonly pool: string;
    readonly name: string;
    readonly serial: string;
  }) => {
    const queue = new BoundedQueue<NodeMessage>(64);
    const ending = new AbortController();
    t.teardown(() => ending.abort());
    const said = async function* () {
      for (;;) yield await queue.take(ending.signal);
    };
    const listen = async () => {
      for await (const { message } of connect(said(), { signal: ending.signal, peer })) {
        if (message?.case !== "relayed") continue;
        const { node = "", message: inner } = message.value;
        const what = inner?.message;
        const code = what?.case === "refusal" ? what.value.code : what?.case;
        answers.push(`${node} ${code}`);
      }
    };
    listen().catch(() => undefined);
    const say = (message: Said) => queue.push(create(NodeMessageSchema, { message }));
    const sayFor = (node: string, message: Said | "gone", stream = 1n) =>
      say({
        case: "relayed",
        value: {
          ...{ node, stream, certificateSerial: "02" },
          said: message === "gone" ? { case: "gone", value: {} } : { case: "message", value: { message: message } },
        },
      });
    return { say, sayFor, end: () => ending.abort() };
  };
  const isUp = (name: string) => observed.find(name)?.linkUp;
  const relayOf = (name: string) => observed.find(name)?.relayedBy;
  return { clock, log, records, told, answers, observed, link, isUp, relayOf };
}

t.test("who is unknown, of another pool, or unheard of is refused by name, and nothing else ends", async (t) => {
  const { clock, link, answers, isUp, records } = world(t);
  const relay = link(RELAY);
  relay.sayFor("near-2", hello());
  relay.sayFor("far-1", hello());
  relay.sayFor("nobody", hello());
  relay.sayFor("near-3", reports);
  await clock.advance(100);
  t.same(answers, ["far-1 permission-denied", "nobody permission-denied", "near-3 argument-invalid"]);
  t.same([isUp("near-1"), isUp("near-2"), isUp("far-1"), isUp("nobody")], [true, true, undefined, undefined]);
  t.equal(records.count(), 0);
  relay.sayFor("near-2", reports);
  await clock.advance(100);
  t.equal(answers.at(-1), "near-2 reportAck");
  t.equal(records.count(), 1);
});

t.test("a node is down when its relay says so, or has gone itself", async (t) => {
  const { clock, link, told, isUp, relayOf } = world(t);
  const relay = link(RELAY);
  relay.sayFor("near-2", hello());
  relay.sayFor("near-3", hello());
  await clock.advance(100);
  relay.sayFor("near-2", "gone");
  await clock.advance(100);
  t.same([isUp("near-2"), isUp("near-3")], [false, true]);
  t.same([relayOf("near-2"), relayOf("near-3")], [undefined, "near-1"]);
  relay.end();
  await clock.advance(100);
  t.same([isUp("near-1"), isUp("near-3")], [false, false]);
  t.same(told.slice(0, 4), ["up near-1", "up near-2", "up near-3", "down near-2"]);
  t.same(told.slice(4).toSorted(), ["down near-1", "down near-3"]);
});

t.test("of two links of a node the newest counts, and only another process is told of as such", async (t) => {
  const { clock, link, told, answers, isUp, relayOf } = world(t);
  const relay = link(RELAY);
  relay.sayFor("near-2", hello("one"));
  await clock.advance(100);
  t.same([relayOf("near-2"), relayOf("near-1")], ["near-1", undefined]);
  const direct = link({ ...RELAY, name: "near-2", serial: "02" });
  direct.say(hello("one"));
  await clock.advance(100);
  t.same(answers, ["near-2 unavailable"], "the relay lets it go");
  t.equal(relayOf("near-2"), undefined);
  relay.sayFor("near-2", "gone");
  await clock.advance(100);
  t.equal(isUp("near-2"), true, "what was given up says nothing of what came after");
  relay.sayFor("near-2", hello("one"), 2n);
  await clock.advance(100);
  direct.end();
  await clock.advance(100);
  t.equal(isUp("near-2"), true, "and the other way round");
  t.equal(relayOf("near-2"), "near-1");
  t.notOk(told.includes("twice near-2"));
  t.notOk(told.includes("down near-2"));
  relay.sayFor("near-2", hello("two"), 3n);
  await clock.advance(100);
  t.ok(told.includes("twice near-2"));
  t.equal(isUp("near-2"), true);
});
