/** What a client's connection should not carry: messages on the wrong channel, long ones, channels nobody named, and a client that reads nothing. */
import { once } from "node:events";
import t, { type Test } from "tap";
import WebSocket from "ws";
import { CHANNELS, CONTROL_BYTES_MAX } from "#contracts/media/control.ts";
import { encodePose } from "#contracts/media/pose.ts";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { offerPeer } from "#render-agent/transport/offered-peer.ts";
import { patiently } from "#test/render-agent/patience.ts";
import type { Transport, TransportEvents } from "./transport.ts";
import { acceptOffer } from "./webrtc.ts";
import { acceptUpgrade } from "./websocket.ts";
import { openWebSocketDoor } from "./websocket-door.ts";

const FRAME_BYTES = 100_000;
/** One after the other: what is refused once may be taken when the system has taken the frame before. */
const REFUSALS = 20;
const tools = { clock: systemClock, random: systemRandom };
const eye = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
const [position, orientation] = [
  { x: 0, y: 0, z: 0 },
  { x: 0, y: 0, z: 0, w: 1 },
];
const poseOf = (poseId: number) => encodePose({ poseId, sampledAtMs: 1, position, orientation, eyes: [eye, eye] });

function listen() {
  const seen = { poses: [] as number[], control: 0, invalid: 0, closed: [] as string[] };
  const events: TransportEvents = {
    onPose: ({ poseId }) => void seen.poses.push(poseId),
    onControl() {
      seen.control += 1;
    },
    onClosed: (reason) => void seen.closed.push(reason),
    onInvalid() {
      seen.invalid += 1;
    },
  };
  return { seen, events };
}

async function connectBySocket(t: Test) {
  const door = await openWebSocketDoor({
    ...{ listen: { host: "127.0.0.1", port: 0 }, publicUrl: undefined, ...tools },
    events: { upgradeRefused: () => t.fail("refused") },
  });
  t.teardown(() => door[Symbol.dispose]());
  const { seen, events } = listen();
  const opened = Promise.withResolvers<Transport>();
  const url = door.issue((socket, upgrade) => {
    acceptUpgrade(socket, upgrade, events, tools).then(opened.resolve, opened.reject);
  });
  const client = new WebSocket(url);
  t.teardown(() => client.terminate());
  await once(client, "open");
  return { seen, client, transport: await opened.promise };
}

async function connect(t: Test, further: readonly string[] = []) {
  const { seen, events } = listen();
  const peer = await offerPeer(
    [...Object.values(CHANNELS), ...further].map((label) => ({ label, isReliable: label !== CHANNELS.poses })),
  );
  const media = { bindAddress: "127.0.0.1", port: 0 };
  const { answerSdp, transport } = await acceptOffer(peer.offerSdp, media, events, tools);
  t.teardown(async () => {
    transport.close();
    await peer.close();
  });
  const channel = (label: string) => {
    const found = peer.channels.get(label);
    if (found === undefined) throw new Error(`there is no channel ${label}`);
    return found;
  };
  // Whoever answers says how long messages may be; this client does not keep to it.
  peer.answer(answerSdp.replace(/a=max-message-size:\d+/, "a=max-message-size:1000000"));
  await patiently(() => Object.values(CHANNELS).every((label) => channel(label).isOpen()), "the channels");
  let poseId = 0;
  /** A pose is taken, all the same. */
  const goesOn = async (what: string): Promise<void> => {
    poseId += 1;
    const wanted = poseId;
    await patiently(() => {
      channel(CHANNELS.poses).sendMessageBinary(poseOf(wanted));
      return seen.poses.includes(wanted);
    }, what);
  };
  return { seen, channel, goesOn, peer };
}

t.test("channels that nobody named are closed, however many, and the others go on", async (t) => {
  const further = Array.from({ length: 200 }, (_, index) => `further-${index}`);
  const { seen, goesOn, peer } = await connect(t, further);
  await patiently(() => further.every((label) => peer.closedLabels.has(label)), "all of them closed");
  await goesOn("poses go on");
  t.match(seen, { invalid: 0, closed: [] });
});

t.test("messages on the wrong channel, or of the wrong kind, are counted and nothing else", async (t) => {
  const { seen, channel, goesOn } = await connect(t);
  channel(CHANNELS.control).sendMessageBinary(poseOf(1));
  channel(CHANNELS.frames).sendMessageBinary(poseOf(2));
  channel(CHANNELS.frames).sendMessage('{"type":"session-end","reason":"by the wrong way"}');
  channel(CHANNELS.control).sendMessage('{"type":"statistics"}');
  channel(CHANNELS.control).sendMessage("[".repeat(CONTROL_BYTES_MAX - 10));
  channel(CHANNELS.control).sendMessage('{"type":"session-end","reason":{"toString":1}}');
  await patiently(() => seen.invalid === 6, "six of them");
  await goesOn("poses go on");
  t.match(seen, { control: 0, closed: [] });
});

t.test("messages longer than there may be are none, and cost no more than their length", async (t) => {
  const { seen, channel, goesOn } = await connect(t);
  const long = `{"type":"heartbeat","padding":"${"a".repeat(200_000)}"}`;
  for (let count = 0; count < 5; count += 1) channel(CHANNELS.control).sendMessage(long);
  await patiently(() => seen.invalid === 5, "each is refused");
  await goesOn("poses go on");
  t.match(seen, { control: 0, closed: [] });
});

t.test("a client that reads nothing gets what the system's buffers hold, and from then on no frame", async (t) => {
  const { seen, client, transport } = await connectBySocket(t);
  client.pause();
  let [sent, refused] = [0, 0];
  await patiently(() => {
    if (transport.sendFrame(sent + 1, new Uint8Array(FRAME_BYTES))) [sent, refused] = [sent + 1, 0];
    else refused += 1;
    return refused > REFUSALS;
  }, "it is full");
  t.ok(sent < 200, `${sent} frames of 100 kB were taken`);
  client.send(poseOf(7));
  await patiently(() => seen.poses.includes(7), "its poses are taken all the same");
  t.notOk(transport.takesFrame());
  t.same(seen.closed, []);
  client.resume();
  await patiently(() => transport.takesFrame(), "it reads again");
});

t.test("a client that asks and asks, and reads no answer, fills nobody's memory with them", async (t) => {
  const { client, transport } = await connectBySocket(t);
  const heard: string[] = [];
  client.on("message", (content) => heard.push(String(content)));
  client.pause();
  const answer = { type: "audio-state", isThere: false, because: "x".repeat(200) } as const;
  const asked = 100_000;
  for (let count = 0; count < asked; count += 1) transport.sendControl(answer);
  client.resume();
  await patiently(() => transport.takesFrame(), "it has read what there was");
  transport.sendControl({ type: "session-end", reason: "the last" });
  await patiently(() => heard.at(-1)?.includes("the last") === true, "and hears what comes then");
  t.ok(heard.length < asked / 2, `${heard.length} of ${asked} answers`);
});
