/** The door's gRPC side: who is let in, who is thrown out, and what an agent gets. */
import { create } from "@bufbuild/protobuf";
import t, { type Test } from "tap";
import { fromWatermark } from "#contracts/codec/pool-batch.ts";
import { WatermarkSchema } from "#contracts/generated/perigee/v1/common_pb.js";
import { SiteControl } from "#contracts/generated/perigee/v1/site_pb.js";
import { systemClock } from "#platform/clock.ts";
import { createGrpcClient } from "#platform/grpc/client.ts";
import { PING_MS } from "#platform/grpc/peer-link.ts";
import { createAuthority } from "#platform/identity/authority.ts";
import { type PeerIdentity, serverNameOf } from "#platform/identity/peer.ts";
import { systemRandom } from "#platform/random.ts";
import { until } from "../../test/simulation/until.ts";
import { EDGE, FakeAgent, World } from "./door-world.test.ts";

async function endOf(agent: FakeAgent): Promise<unknown> {
  await agent.done;
  return agent.end;
}

t.test("only enrolled agents of this pool are let in; each refusal is counted", async (t) => {
  const world = await World.open(t);
  const stranger = await createAuthority("stranger", { clock: systemClock, random: systemRandom });
  const agent = (changes: Partial<PeerIdentity>): PeerIdentity => ({
    role: "agent",
    pool: "near",
    name: "gpu-1",
    ...changes,
  });
  const cases: readonly [string, string, Parameters<typeof FakeAgent.dial>[3]][] = [
    ["an edge", "certificate-untrusted", { identity: { ...EDGE, name: "near-2" } }],
    ["a scheduler", "certificate-untrusted", { identity: { role: "scheduler", pool: "-", name: "gpu-1" } }],
    ["another pool", "certificate-untrusted", { identity: agent({ pool: "far" }) }],
    ["another authority", "certificate-untrusted", { authority: stranger }],
    ["not enrolled", "permission-denied", { isEnrolled: false, identity: agent({ name: "gpu-9" }) }],
    ["enrolled in another role", "permission-denied", { identity: agent({ name: "near-2" }) }],
  ];
  for (const [what, code, choices] of cases) {
    const before = await world.counted("site_calls_refused_total", `code="${code}"`);
    t.match(await endOf(await FakeAgent.dial(t, world, "gpu-1", choices)), { code }, what);
    t.equal(await world.counted("site_calls_refused_total", `code="${code}"`), before + 1, what);
  }
  t.same(world.door.agentStatuses(), []);
});

t.test("a revoked agent, and one taken out of the pool, is cut off at once", async (t) => {
  const world = await World.open(t);
  const first = await FakeAgent.start(t, world, "gpu-1");
  const second = await FakeAgent.start(t, world, "gpu-2");
  const subject = { kind: "node", name: "gpu-1" };
  world.setResource("Revocation/r1", { subject, reason: "stolen", subjectExpiresAtMs: 9e12 });
  t.match(await endOf(first), { code: "permission-denied" });
  t.match(await endOf(await FakeAgent.dial(t, world, "gpu-1")), { code: "permission-denied" });
  t.notOk(second.hasEnded);
  world.setResource("Node/gpu-2", undefined);
  t.match(await endOf(second), { code: "permission-denied" });
});

t.test("an agent that is silent is dropped within ten seconds, whatever its connection says", async (t) => {
  const world = await World.open(t);
  const alive = await FakeAgent.start(t, world, "gpu-1");
  const silent = await FakeAgent.start(t, world, "gpu-2");
  silent.answersPings = false;
  for (let second = 1; second <= 10; second += 1) {
    await world.clock.advance(1_000);
    await until(() => alive.pings > Math.floor((second * 1000) / PING_MS), "pings are answered");
  }
  t.match(await endOf(silent), { code: "unavailable", message: /silent/ });
  t.match(world.door.agentStatuses(), [{ agent: "gpu-1" }]);
  t.ok(world.changes > 0, "the origin is told");
  t.notOk(alive.hasEnded);
});

t.test("of two processes with one identity the newer stands, with an alarm, and the older stays out", async (t) => {
  const world = await World.open(t);
  const older = await FakeAgent.start(t, world, "gpu-1", { incarnation: "one" });
  const newer = await FakeAgent.start(t, world, "gpu-1", { incarnation: "two" });
  t.match(await endOf(older), { code: "unavailable" });
  t.equal(await world.counted("agent_identity_twice_total", ""), 0);
  const alarms = async () => Number((await world.metrics.render()).text.match(/agent_identity_twice_total (\d+)/)?.[1]);
  t.equal(await alarms(), 1);
  t.match(await endOf(await FakeAgent.dial(t, world, "gpu-1", { incarnation: "one" })), { code: "permission-denied" });
  t.equal(await alarms(), 2);
  t.notOk(newer.hasEnded);
  const again = await FakeAgent.dial(t, world, "gpu-1", { incarnation: "two" });
  t.match(await endOf(newer), { code: "unavailable" }, "a stream made anew replaces the old one");
  await until(() => world.door.agentStatuses().length === 1, "it is there again");
  t.equal(await alarms(), 2, "which is no alarm");
  t.notOk(again.hasEnded);
});

t.test("an agent gets what it lacks of the set, each change once, and the whole when it asks", async (t) => {
  const world = await World.open(t);
  const agent = await FakeAgent.start(t, world, "gpu-1");
  t.equal(agent.batches.length, 1);
  world.setResource("Node/gpu-5", { role: "agent", pool: "near", cordoned: false, draining: false });
  await until(() => agent.batches.length === 2, "the change");
  agent.send({ message: { case: "snapshotRequest", value: { reason: "digest-mismatch" } } });
  await until(() => agent.batches.length === 3, "the whole");
  agent.send({ message: { case: "snapshotRequest", value: { reason: "digest-mismatch" } } });
  await world.clock.advance(PING_MS);
  await until(() => agent.pings === 2, "it is still served");
  t.equal(agent.batches.length, 3, "not again at once");
  const { epoch = 0, revision = 0, setDigest = "" } = world.set.watermark ?? {};
  const ahead = create(WatermarkSchema, {
    ...{ epoch: BigInt(epoch), revision: BigInt(revision + 5), setDigest: Buffer.from(setDigest, "hex") },
  });
  t.equal(fromWatermark(ahead).revision, revision + 5);
  const other = await FakeAgent.start(t, world, "gpu-5", { watermark: ahead });
  t.same(other.batches, [], "who is ahead takes nothing older");
});

t.test("a peer that breaks the protocol is told so and ends; others go on", async (t) => {
  const world = await World.open(t);
  const good = await FakeAgent.start(t, world, "gpu-1");
  const broken = async (name: string, send: (agent: FakeAgent) => void) => {
    const agent = await FakeAgent.start(t, world, name);
    send(agent);
    return endOf(agent);
  };
  const status = { incarnation: "gpu-2-1", ready: true, reasons: [], sessions: [] };
  const slot = { renderClass: "small", total: 1, free: 2, frameMsP95: 1 };
  t.match(
    await broken("gpu-2", (agent) =>
      agent.send({ message: { case: "hello", value: { incarnation: "again", softwareVersion: "1" } } }),
    ),
    { code: "argument-invalid" },
  );
  t.match(
    await broken("gpu-2", (agent) =>
      agent.send({ message: { case: "status", value: { ...status, agent: "gpu-1", slots: [] } } }),
    ),
    { code: "argument-invalid", message: /another process/ },
  );
  t.match(
    await broken("gpu-2", (agent) =>
      agent.send({ message: { case: "status", value: { ...status, agent: "gpu-2", slots: [slot] } } }),
    ),
    { code: "argument-invalid", message: /cannot be/ },
  );
  for (const frameMsP95 of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
    const slots = [{ ...slot, free: 1, frameMsP95 }];
    const said = await broken("gpu-2", (agent) =>
      agent.send({ message: { case: "status", value: { ...status, agent: "gpu-2", slots } } }),
    );
    t.match(said, { code: "argument-invalid", message: /times that are none/ }, `${frameMsP95} ms`);
  }
  t.notOk(good.hasEnded);
});

async function blobClient(t: Test, world: World, identity: PeerIdentity) {
  const own = await world.pair(identity);
  const tls = { authoritiesPem: world.authoritiesPem, own, serverName: serverNameOf(EDGE) };
  const client = createGrpcClient(SiteControl, { address: world.door.addresses.site, tls });
  t.teardown(() => client[Symbol.dispose]());
  return async (digest: string, offset = 0n) => {
    const chunks: Uint8Array[] = [];
    let totalBytes = 0n;
    const signal = AbortSignal.timeout(10_000);
    for await (const chunk of client.fetchBlob({ digest, offset }, { signal })) {
      chunks.push(chunk.data);
      totalBytes = chunk.totalBytes;
    }
    return [Buffer.concat(chunks).toString(), totalBytes] as const;
  };
}

t.test("objects of served releases go to agents and sibling edges, from any offset", async (t) => {
  const world = await World.open(t);
  await FakeAgent.start(t, world, "gpu-1");
  const fetchBlob = await blobClient(t, world, { role: "agent", pool: "near", name: "gpu-1" });
  const scene = "a".repeat(64);
  t.same(await fetchBlob(scene), ["a scene of some bytes", 21n]);
  t.same(await fetchBlob(scene, 8n), ["of some bytes", 21n]);
  t.same(await fetchBlob(scene, 21n), ["", 21n]);
  await t.rejects(fetchBlob("b".repeat(64)), { code: "not-found" });
  await t.rejects(fetchBlob("../../etc/passwd"), { code: "argument-invalid" });
  const sibling = await blobClient(t, world, { ...EDGE, name: "near-2" });
  t.same(await sibling(scene), ["a scene of some bytes", 21n]);
  const stranger = await blobClient(t, world, { role: "agent", pool: "far", name: "gpu-1" });
  await t.rejects(stranger(scene), { code: "certificate-untrusted" });
});
