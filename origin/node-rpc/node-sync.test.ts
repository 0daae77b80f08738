import t from "tap";
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

const peer = { role: "edge", pool: "near", name: "near-1", serial: "01" } as const;

/** Says nothing, and does not end. */
async function* silence() {
  await new Promise(() => undefined);
}

function origin() {
  const [clock, log, records] = [new VirtualClock(), openSqliteLog(":memory:"), openRecords(":memory:")];
  const spec = { role: "edge", pool: "near", cordoned: false, draining: false } as const;
  writeResource(log, { kind: "Node", metadata: { name: peer.name, labels: {} }, spec }, 1);
  const told: string[] = [];
  const observed = new ObservedNodes();
  const events = {
    linkUp: () => void told.push("up"),
    linkDown: () => void told.push("down"),
    identityTwice: () => void told.push("twice"),
    logBehind: () => void told.push("behind"),
    linkPutOff: () => void told.push("put off"),
  };
  const connect = serveNodes({
    ...{ clock, records, observed, events },
    members: new Members(log),
    distribution: new Distribution(log, generateSigningKey()),
    peerAddresses: new PeerAddresses(log, clock),
  });
  const call = () => connect(silence(), { signal: new AbortController().signal, peer });
  const isUp = () => observed.find(peer.name)?.linkUp;
  return { clock, told, isUp, call };
}

t.test("a silent edge is down at once, also while the transport takes no more of what is sent to it", async (t) => {
  const { clock, told, isUp, call } = origin();
  const first = call().next();
  await clock.advance(4000);
  t.match(await first, { value: { message: { case: "ping" } } });
  t.equal(isUp(), true);
  await clock.advance(6000);
  t.equal(isUp(), false);
  t.same(told, ["up", "down"]);
});

t.test("an edge that connects again before its old link was given up is never down", async (t) => {
  const { clock, told, isUp, call } = origin();
  const old = call();
  const pinged = old.next();
  await clock.advance(4000);
  await pinged;
  const newer = call().next();
  await clock.advance(4000);
  await newer;
  await t.rejects(old.next(), { code: "unavailable" });
  t.equal(isUp(), true);
  t.same(told, ["up", "twice", "up"]);
});
