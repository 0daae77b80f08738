/** A whole agent with real session processes, between an edge on real gRPC and clients on real transports. */
import { readFileSync } from "node:fs";
import t, { type Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { loadConfig } from "#platform/config/load.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { startStunResponder } from "#test/ice/stun-responder.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { FakeEdge, PoolWorld } from "#test/render-agent/pool-world.ts";
import { connectViewer, offerViewer } from "#test/render-agent/viewer.ts";
import { testFolder } from "#test/test-folder.ts";
import { startAgent } from "../agent.ts";
import { agentConfigSchema } from "../config.ts";

const hall = readFileSync(new URL("../../deploy/one-machine/sample/scene/hall.json", import.meta.url));
const TINY = { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 10 };
const NEEDS = { gpuShareRatio: 0.5, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 1_000_000 };

function furnish(world: PoolWorld): void {
  world.setResource("Node/gpu-1", { role: "agent", pool: "near", cordoned: false, draining: false });
  world.setResource("RenderApp/hall", {
    bundle: { site: "scenes", path: "/hall.json" },
    needs: NEEDS,
    classes: [TINY],
  });
  world.publish("scenes", 1, { "/hall.json": hall });
}

async function startOne(
  t: Test,
  world: PoolWorld,
  edges: readonly FakeEdge[],
  dataDir = testFolder(t),
  changes: object = {},
) {
  const config = loadConfig(agentConfigSchema, {
    text: JSON.stringify({
      dataDir,
      name: "gpu-1",
      join: world.writeJoinToken(dataDir),
      edges: edges.map(({ configured }) => configured),
      listen: { websocket: "127.0.0.1:0", admin: "127.0.0.1:0" },
      capacity: { slotsMax: 1 },
      ...changes,
    }),
  });
  const logger = createLogger({ program: "render-agent", level: "silent" });
  const signal = systemClock.deadline(60_000);
  const tools = { clock: systemClock, random: systemRandom, logger, softwareVersion: "0.1.0", environment: {}, signal };
  const agent = await startAgent(config, tools);
  t.teardown(() => agent[Symbol.asyncDispose]());
  const admin = `http://127.0.0.1:${agent.addresses.admin.port}`;
  return { agent, admin };
}

t.test(
  "an agent joins, calibrates, grants by placement, and tells edge and client of every end",

  async (t) => {
    const world = await PoolWorld.open();
    furnish(world);
    await using edge = await FakeEdge.start("near-1", world);
    await using stun = await startStunResponder({ address: "203.0.113.7", port: 40_123 });
    const media = { iceServers: [{ urls: [stun.url] }] };
    const { agent, admin } = await startOne(t, world, [edge], testFolder(t), { media });
    await patiently(() => edge.status?.ready === true, "ready");
    t.match(edge.status?.slots, [{ renderClass: "tiny", total: 1 }]);
    const ready = await fetch(`${admin}/readyz`);
    t.same([ready.status, await ready.json()], [200, { ready: true, reasons: [] }]);

    const viewer = await offerViewer();
    const first = await edge.askAgain({
      grant: await world.placement(),
      transport: "webrtc",
      offerSdp: viewer.offerSdp,
    });
    t.match(first, { granted: true, session: "session-1", attempt: 1, renderClass: "tiny", eyeWidthPixels: 96 });
    t.match(first.answerSdp, / 203\.0\.113\.7 40123 typ srflx/, "where its STUN server saw it");
    viewer.answer(first.answerSdp);
    await patiently(() => viewer.received.frames.length > 2, "frames");
    t.match(edge.status, { slots: [{ free: 0 }], sessions: [{ session: "session-1", attempt: 1, app: "hall" }] });

    t.match(await edge.ask({ grant: await world.placement({ session: "session-2" }) }), {
      granted: false,
      code: "placement-refused",
      message: /no slot of class tiny is free here: 1 session runs, as many as this agent has places for/,
    });
    const second = await edge.askAgain({ grant: await world.placement({ attempt: 2 }) });
    t.match(second, { granted: true, attempt: 2 });
    t.ok((second.fence?.counter ?? 0n) > (first.fence?.counter ?? 0n), "a slot's holders are in order");
    t.match(edge.ended[0], { session: "session-1", attempt: 1, reason: "superseded" });
    await patiently(
      () => viewer.received.control.some(({ type }) => type === "session-end"),
      "the first client is told",
    );
    await viewer[Symbol.asyncDispose]();
    t.match(await edge.ask({ grant: await world.placement() }), { granted: false, code: "attempt-superseded" });

    await using next = await connectViewer(second.websocketUrl);
    await patiently(() => next.received.frames.length > 1, "frames over the WebSocket");
    await t.rejects(connectViewer(second.websocketUrl), "an address is good for one connection");
    await agent[Symbol.asyncDispose]();
    t.match(edge.ended.at(-1), { session: "session-1", attempt: 2, reason: "stopping" });
    await patiently(
      () => next.received.control.at(-1)?.type === "session-end",
      "the client is told, and nothing after",
    );
    t.match(next.received.control.at(-1), { reason: "stopping" });
  },
);

t.test("an agent starts without its edge as it was, grants by ticket when one is back, and drains", async (t) => {
  const world = await PoolWorld.open();
  furnish(world);
  const dataDir = testFolder(t);
  const first = await FakeEdge.start("near-1", world);
  const before = await startOne(t, world, [first], dataDir);
  await patiently(() => first.status?.ready === true, "ready");
  const { incarnation = "" } = first.status ?? {};
  await before.agent[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();

  const again = await startOne(t, world, [first], dataDir);
  const readiness = async () => (await fetch(`${again.admin}/readyz`)).text();
  await patiently(
    async () => (await readiness()).includes('"reasons":["no-edge"]'),
    "scenes, calibration and set are from its own disk",
  );

  await using back = await FakeEdge.start("near-1", world, first.at);
  await patiently(() => back.status?.ready === true, "back");
  t.ok((back.status?.incarnation ?? "") > incarnation, "a later incarnation");
  const granted = await back.askAgain({ grant: await world.ticket({ attempt: 4 }) });
  t.match(granted, { granted: true, attempt: 4 });
  await using viewer = await connectViewer(granted.websocketUrl);
  await patiently(() => viewer.received.frames.length > 0, "frames");
  world.setResource("Node/gpu-1", { role: "agent", pool: "near", cordoned: true, draining: true });
  back.sendSet();
  await patiently(() => back.ended.length > 0, "drained");
  t.match(back.ended, [{ session: "session-1", attempt: 4, reason: "draining" }]);
  await patiently(() => back.status?.sessions.length === 0, "its status follows");
  t.match(back.status, { ready: false, reasons: ["draining"] });
  t.match(await back.ask({ grant: await world.placement({ session: "session-9" }) }), {
    granted: false,
    code: "placement-refused",
    message: /draining/,
  });
  const metrics = await (await fetch(`${again.admin}/metrics`)).text();
  t.match(metrics, /perigee_render_agent_sessions_ended_total\{reason="draining"\} 1/);
  t.match(metrics, /perigee_render_agent_leases_refused_total\{code="placement-refused"\} 1/);
  await again.agent[Symbol.asyncDispose]();
});
