/** Ways to a session that its own addresses are none of: what a STUN server saw, what a TURN server relays, and neither in time. */
import { join } from "node:path";
import t, { type Test } from "tap";
import type { IceServer } from "#domain/session/ice-server.ts";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { offerPeer } from "#render-agent/transport/offered-peer.ts";
import { startStunResponder } from "#test/ice/stun-responder.ts";
import { startTurnServer, turnIsMissing } from "#test/ice/turn-server.ts";
import { freeUdpPort } from "#test/render-agent/free-udp-port.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { offerViewer } from "#test/render-agent/viewer.ts";
import { testFolder } from "#test/test-folder.ts";
import { findVulkan, prepareVulkan } from "../renderer/software-vulkan.ts";
import type { MediaPlace } from "../session/messages.ts";
import { startSessionProcess } from "../session/session-process.ts";
import { libraryIceServers } from "./ice-servers.ts";
import { acceptOffer, type WebRtcTools } from "./webrtc.ts";

const HOST = "127.0.0.1";
const SECRET = "shared-with-the-relay";
const SEEN = { address: "203.0.113.7", port: 40_123 };
const missing = turnIsMissing();

/** Nobody is there; a relay lets in who has the address of a candidate, whatever the port (RFC 8656 section 9). */
const NOBODY = `a=candidate:1 1 UDP 1 ${HOST} 9 typ host\r\n`;
/** An answer whose every candidate but the relayed ones is left out. */
const relayedOnly = (sdp: string): string => sdp.replace(/^a=candidate:(?!.* typ relay).*\r\n/gm, "");

async function answerOf(
  t: Test,
  media: Partial<MediaPlace>,
  clock: WebRtcTools["clock"] = systemClock,
): Promise<string> {
  const client = await offerPeer([{ label: "frames", isReliable: false }]);
  t.teardown(() => client.close());
  const unheard = { onPose: () => undefined, onControl: () => undefined, onClosed: () => undefined };
  const { answerSdp, transport } = await acceptOffer(
    client.offerSdp,
    { bindAddress: HOST, port: 0, ...media },
    { ...unheard, onInvalid: () => undefined },
    { clock, random: systemRandom },
  );
  t.teardown(() => transport.close());
  return answerSdp;
}

t.test("where a STUN server saw the agent is a candidate beside its own, from a fixed port too", async (t) => {
  await using server = await startStunResponder(SEEN);
  const iceServers = [{ urls: [server.url] }];
  for (const port of [0, await freeUdpPort()]) {
    const sdp = await answerOf(t, { port, iceServers });
    t.match(sdp, new RegExp(` ${HOST} ${port === 0 ? "\\d+" : port} typ host`), `port ${port}`);
    t.match(sdp, new RegExp(` ${SEEN.address} ${SEEN.port} typ srflx`), `port ${port}`);
  }
  t.ok(server.requests() >= 2);
  t.notMatch(await answerOf(t, {}), /srflx/, "without a server there is none");
});

t.test("a server that says nothing holds the answer back until a time is over", async (t) => {
  await using server = await startStunResponder(undefined);
  const limit = Promise.withResolvers<() => void>();
  const clock = {
    monotonicMs: () => 0,
    timer(_ms: number, run: () => void) {
      limit.resolve(run);
      return { [Symbol.dispose]: () => undefined };
    },
  };
  const answering = answerOf(t, { iceServers: [{ urls: [server.url] }] }, clock);
  const isOver = await limit.promise;
  await patiently(() => server.requests() >= 1, "the server is asked");
  isOver();
  const sdp = await answering;
  t.match(sdp, / 127\.0\.0\.1 \d+ typ host/);
  t.notMatch(sdp, /srflx/);
});

t.test("what libjuice cannot do is left out", async (t) => {
  const credentials = { username: "1:s", credential: "c" };
  const servers: readonly IceServer[] = [
    { urls: ["stun:a.example", "stuns:a.example", "stun:[::1]:7"] },
    { urls: ["turn:b.example", "turn:b.example?transport=tcp", "turns:b.example"], ...credentials },
    { urls: ["turn:c.example"] },
  ];
  const relay = { hostname: "b.example", port: 3478, username: "1:s", password: "c", relayType: "TurnUdp" };
  t.same(libraryIceServers(servers), ["stun:a.example:3478", "stun:[::1]:7", relay]);
});

t.test(
  "a client that knows nothing of an agent but its relay gets its frames",
  { skip: missing ?? false },
  async (t) => {
    await using relay = await startTurnServer(testFolder(t), SECRET);
    const servers = relay.iceServers(SECRET);
    t.notMatch(await answerOf(t, { iceServers: relay.iceServers("another") }), /relay/, "not with another secret");
    const [vulkan = { kind: "device" as const }] = await findVulkan();
    const environment = await prepareVulkan(vulkan, join(import.meta.dirname, "../../.cache/vulkan"));
    const session = await startSessionProcess({ clock: systemClock, environment });
    t.teardown(async () => {
      session.stop("the test is over");
      await session.ended;
    });
    await session.setUp({
      renderClass: { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 },
      detail: 0.3,
      sceneFile: join(import.meta.dirname, "../../deploy/one-machine/sample/scene/hall.json"),
      media: { bindAddress: HOST, port: 0, iceServers: servers },
    });
    await using viewer = await offerViewer();
    const answer = relayedOnly(await session.accept(viewer.offerSdp + NOBODY));
    t.equal(answer.match(/^a=candidate:/gm)?.length, 1, "the relay's is the only way that it is told");
    viewer.answer(answer);
    await patiently(() => viewer.received.frames.length >= 3, "frames");
  },
);
