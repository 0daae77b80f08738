/** The streams to edges over real gRPC and TLS: hello, status, leases, ends, and an edge that goes and comes back. */
import t, { type Test } from "tap";
import { Failure, isFailure } from "#domain/failure.ts";
import type { AgentStatus } from "#domain/fleet/node.ts";
import { parseAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { formatPemChain } from "#platform/identity/certificates.ts";
import { type PeerIdentity, serverNameOf } from "#platform/identity/peer.ts";
import { exportPrivateKey } from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { digestOf, FakeEdge, PoolWorld } from "#test/render-agent/pool-world.ts";
import type { EndedLease, LeaseRequest } from "../session/session-host.ts";
import { EdgeLink } from "./edge-link.ts";
import { EdgeLinks } from "./edge-links.ts";
import type { BatchOutcome } from "./pool-set.ts";

const CLASS = { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 };
const status: AgentStatus = { agent: "gpu-1", incarnation: "i-1", ready: true, reasons: [], slots: [], sessions: [] };
const agent: PeerIdentity = { role: "agent", pool: "near", name: "gpu-1" };

async function linkTo(t: Test, world: PoolWorld, edges: readonly FakeEdge[]) {
  const seen = {
    batches: 0,
    refused: [] as string[],
    asked: [] as LeaseRequest[],
    endings: [] as object[],
    outcome: (): BatchOutcome => "applied",
    grant: async () => ({
      ...{ session: "session-1", attempt: 1, fence: { incarnation: "i-1", counter: 1 }, renderClass: CLASS },
      ...{ answerSdp: "", websocketUrl: "ws://127.0.0.1:1/x" },
    }),
  };
  const { key, chain = [] } = await world.signer(agent);
  const own = { keyPem: exportPrivateKey(key), chainPem: formatPemChain(chain) };
  const authoritiesPem = formatPemChain([world.authority.certificate]);
  const open = (onUp: () => void) =>
    edges.map(
      ({ name, configured }) =>
        new EdgeLink({
          edge: name,
          address: parseAddress(configured.control),
          tls: () => ({ authoritiesPem, own, serverName: serverNameOf({ role: "edge", name }) }),
          incarnation: "i-1",
          softwareVersion: "0.1.0",
          clock: systemClock,
          random: systemRandom,
          watermark: () => undefined,
          needsSnapshot: () => false,
          status: () => status,
          applyBatch: () => {
            seen.batches += 1;
            return seen.outcome();
          },
          lease: (request) => {
            seen.asked.push(request);
            return seen.grant();
          },
          endSession: ({ session, attempt, reason }) => void seen.endings.push({ session, attempt, reason }),
          onUp,
          onDown() {},
          events: {
            batchRefused: ({ code }) => void seen.refused.push(code),
            leaseGranted() {},
            leaseRefused() {},
          },
        }),
    );
  const links = new EdgeLinks(open, systemRandom);
  t.teardown(() => links[Symbol.asyncDispose]());
  return { links, seen };
}

const endOf = (session: string, edge: string): EndedLease => ({
  lease: {
    ...{ session, attempt: 1, app: "hall", renderClass: "tiny", thumbprint: "k" },
    ...{ phase: "ended", slot: 0, startedAtMs: 0, edge },
  },
  reason: "client-ended",
  wasAnswered: true,
});

t.test("a stream begins with the agent's word and takes batches, lease requests and ends", async (t) => {
  const world = await PoolWorld.open();
  await using edge = await FakeEdge.start("near-1", world);
  const { links, seen } = await linkTo(t, world, [edge]);
  await patiently(() => edge.status !== undefined && seen.batches === 1, "status and batch");
  t.match(edge.hellos, [{ message: { case: "hello", value: { incarnation: "i-1" } } }]);
  t.same(edge.status, status);
  t.equal(links.upCount, 1);
  t.match(await edge.ask({ grant: "g", transport: "webrtc", offerSdp: "o" }), { granted: true, renderClass: "tiny" });
  t.match(seen.asked, [{ edge: "near-1", token: "g", media: { kind: "webrtc", offerSdp: "o" } }]);
  edge.send({ message: { case: "endSession", value: { session: "s", attempt: 2, reason: "moved" } } });
  await patiently(() => seen.endings.length === 1, "the end");
  t.same(seen.endings, [{ session: "s", attempt: 2, reason: "moved" }]);
});

t.test("a request that breaks the contract, and a refusal, are answered by name", async (t) => {
  const world = await PoolWorld.open();
  await using edge = await FakeEdge.start("near-1", world);
  const { seen } = await linkTo(t, world, [edge]);
  await patiently(() => edge.status !== undefined, "status");
  const wrong = [
    { grant: "" },
    { grant: "x".repeat(20_000) },
    { grant: "g", keyThumbprint: "short" },
    { grant: "g", transport: "webrtc" },
    { grant: "g", transport: "pigeon" },
  ] as const;
  for (const wish of wrong) {
    const { transport, ...others } = { transport: "websocket", ...wish };
    const answer = await edge.askRaw({ ...others, transport });
    t.match(answer, { granted: false, code: "argument-invalid" }, JSON.stringify(wish).slice(0, 60));
  }
  seen.grant = async () => {
    throw new Failure("token-expired", "too late");
  };
  t.match(await edge.ask({ grant: "g" }), { granted: false, code: "token-expired", message: "too late" });
});

t.test("a batch that is refused is counted, and the whole is asked for", async (t) => {
  const world = await PoolWorld.open();
  await using edge = await FakeEdge.start("near-1", world);
  const { seen } = await linkTo(t, world, [edge]);
  await patiently(() => seen.batches === 1, "a batch");
  seen.outcome = () => {
    throw new Failure("digest-mismatch", "another set");
  };
  edge.sendSet();
  await patiently(() => edge.snapshotsAsked === 1, "a snapshot is asked for");
  t.same(seen.refused, ["digest-mismatch"]);
});

t.test("an edge that was gone is dialled again; what ended meanwhile is told to one that is there, once", async (t) => {
  const world = await PoolWorld.open();
  const first = await FakeEdge.start("near-1", world);
  const { control } = first.configured;
  const { links } = await linkTo(t, world, [first]);
  await patiently(() => links.upCount === 1, "up");
  await first[Symbol.asyncDispose]();
  await patiently(() => links.upCount === 0, "down");
  links.tellEnded(endOf("while-alone", "near-1"));
  await using again = await FakeEdge.start("near-1", world, { control: parseAddress(control) });
  await patiently(() => again.ended.length > 0, "told");
  t.match(again.ended, [{ session: "while-alone", attempt: 1, reason: "client-ended" }]);
});

t.test("an end goes to the edge that had asked, or to another where that is gone", async (t) => {
  const world = await PoolWorld.open();
  await using one = await FakeEdge.start("near-1", world);
  const two = await FakeEdge.start("near-2", world);
  const { links } = await linkTo(t, world, [one, two]);
  await patiently(() => links.upCount === 2, "both up");
  links.tellEnded(endOf("of-two", "near-2"));
  await patiently(() => two.ended.length === 1, "told");
  await two[Symbol.asyncDispose]();
  await patiently(() => links.upCount === 1, "one gone");
  links.tellEnded(endOf("of-two-too", "near-2"));
  await patiently(() => one.ended.length === 1, "told to the other");
  t.match(one.ended, [{ session: "of-two-too" }]);
});

t.test("a blob comes from any edge that has it, within its bound", async (t) => {
  const world = await PoolWorld.open();
  await using one = await FakeEdge.start("near-1", world);
  await using two = await FakeEdge.start("near-2", world);
  const { links } = await linkTo(t, world, [one, two]);
  const codeOf = (digest: string, bytesMax: number) =>
    links.fetchBlob(digest, bytesMax).then(
      () => "fetched",
      (error: unknown) => (isFailure(error) ? error.code : String(error)),
    );
  t.equal(await codeOf("0".repeat(64), 10), "unavailable", "no edge is there yet");
  await patiently(() => links.upCount === 2, "both up");
  const bytes = Buffer.from("a scene");
  world.blobs.set(digestOf(bytes), bytes);
  t.equal(Buffer.from(await links.fetchBlob(digestOf(bytes), 7)).toString(), "a scene");
  t.equal(await codeOf(digestOf(bytes), 6), "argument-invalid");
  t.equal(await codeOf("0".repeat(64), 10), "not-found");
});
