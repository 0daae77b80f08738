/** A session's frames over several real connections at one port: asked for by what frames need, each a loss that costs no session. */
import t, { type Test } from "tap";
import type { ControlMessage } from "#contracts/media/control.ts";
import { systemClock } from "#platform/clock.ts";
import { startUdpLink } from "#platform/links/udp-link.ts";
import { systemRandom } from "#platform/random.ts";
import { freeUdpPort } from "#test/render-agent/free-udp-port.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { offerReceiver } from "./receiver.ts";
import { acceptOffer } from "./webrtc.ts";

const FRAME_MS = 20;

/** Frames of so many bytes, each with its number in its first, sent for as long as the test goes on. */
async function connect(t: Test, { connectionsMax = 8, frameBytes = 12_000 } = {}) {
  const whole: number[] = [];
  const told: ControlMessage[] = [];
  const heard: ControlMessage[] = [];
  const seen = { invalid: 0, closed: [] as string[] };
  const receiver = await offerReceiver({
    clock: systemClock,
    connectionsMax,
    onFrame: ({ frameNumber, bytes }) => whole.push(bytes[0] === (frameNumber & 255) ? frameNumber : -1),
    onControl: (message) => void told.push(message),
  });
  const port = await freeUdpPort();
  const entry = await startUdpLink({
    ...{ clock: systemClock, random: systemRandom, rttMs: 1 },
    ...{ listen: { host: "127.0.0.1", port: 0 }, target: { host: "127.0.0.1", port } },
  });
  const { port: entryPort } = entry.address;
  const { answerSdp, transport } = await acceptOffer(
    receiver.offerSdp,
    { bindAddress: "127.0.0.1", port, advertise: { address: "127.0.0.1", portOffset: entryPort - port } },
    {
      onPose: () => undefined,
      onControl: (message) => void heard.push(message),
      onClosed: (reason) => void seen.closed.push(reason),
      onInvalid() {
        seen.invalid += 1;
      },
    },
    { clock: systemClock, random: systemRandom },
  );
  receiver.answer(answerSdp);
  let [frameNumber, bytes] = [0, frameBytes];
  const sending = systemClock.every(FRAME_MS, () => {
    if (!transport.takesFrame()) return;
    frameNumber += 1;
    transport.sendFrame(frameNumber, new Uint8Array(bytes).fill(frameNumber));
  });
  t.teardown(async () => {
    sending[Symbol.dispose]();
    transport.close();
    await receiver[Symbol.asyncDispose]();
    await entry[Symbol.asyncDispose]();
  });
  const resize = (to: number): void => {
    bytes = to;
  };
  return { receiver, transport, whole, told, heard, seen, link: entry, answerSdp, resize };
}

t.test("frames of a dozen fragments come by several connections of one port, small ones by the first", async (t) => {
  const { receiver, whole, told, heard, seen, link, answerSdp, resize } = await connect(t, { frameBytes: 3_000 });
  await patiently(() => whole.length >= 20, "frames");
  t.equal(receiver.fragments().length, 1, "small frames need one");
  resize(12_000);
  await patiently(
    () => receiver.fragments().length >= 3 && receiver.fragments().every((count) => count > 10),
    "stripes",
  );
  const { port } = link.address;
  t.match(answerSdp, new RegExp(` ${port} typ host`));
  const answers = told.filter((message) => message.type === "stripe-answer");
  t.equal(answers.length, receiver.fragments().length - 1);
  for (const { stripe, sdp } of answers) t.match(sdp, new RegExp(` ${port} typ host`), `stripe ${stripe}`);
  t.notOk(whole.includes(-1), "each frame is what was sent");
  await patiently(() => heard.some(({ type }) => type === "loss-report"), "what was lost is told");
  t.same(seen, { invalid: 0, closed: [] });
});

t.test("a connection that is lost is a narrower stripe, the first one's loss the session's", async (t) => {
  const { receiver, whole, seen } = await connect(t);
  await patiently(
    () => receiver.fragments().length >= 3 && receiver.fragments().every((count) => count > 0),
    "stripes",
  );
  await receiver.closeStripe(1);
  const before = whole.length;
  await patiently(() => whole.length > before + 30, "frames go on");
  t.same(seen, { invalid: 0, closed: [] });
  await receiver[Symbol.asyncDispose]();
  await patiently(() => seen.closed.length > 0, "the loss of the first");
  t.equal(seen.closed.length, 1);
});

t.test("a client that offers no further connection gets its frames by the first", async (t) => {
  const { receiver, whole, told } = await connect(t, { connectionsMax: 1 });
  await patiently(() => told.some(({ type }) => type === "stripe-request"), "more are asked for");
  const before = whole.length;
  await patiently(() => whole.length > before + 10, "frames go on");
  t.equal(receiver.fragments().length, 1);
});

t.test("offers that nobody asked for, or twice, or that are none, are refused and open nothing", async (t) => {
  const { receiver, whole, told, seen } = await connect(t, { connectionsMax: 1 });
  const sdp = "v=0\r\n";
  await patiently(() => whole.length > 0, "frames");
  receiver.say({ type: "stripe-offer", stripe: 7, sdp });
  await patiently(() => seen.invalid === 1, "one that was not asked for");
  await patiently(() => told.some(({ type }) => type === "stripe-request"), "more are asked for");
  receiver.say({ type: "stripe-offer", stripe: 1, sdp });
  await patiently(() => seen.invalid === 2, "one that is none");
  receiver.say({ type: "stripe-offer", stripe: 1, sdp: receiver.offerSdp });
  await patiently(() => seen.invalid === 3, "one for the same again");
  t.notOk(told.some(({ type }) => type === "stripe-answer"));
  t.same(seen.closed, []);
});

t.test("nothing is taken while bytes of frames before wait: none queues behind them", async (t) => {
  const { transport, whole, link } = await connect(t, { connectionsMax: 1 });
  await patiently(() => whole.length > 0, "frames");
  link.cut();
  let taken = 0;
  while (taken < 100 && transport.sendFrame(1_000_000 + taken, new Uint8Array(12_000))) taken += 1;
  t.ok(taken > 0 && taken <= 4, `${taken} frames of 16 KB were taken for a buffer of 32 KiB`);
  t.notOk(transport.takesFrame());
  link.restore();
  await patiently(() => transport.takesFrame(), "it has left");
});

t.test("what is said to a client that cannot hear it waits in part, and no more", async (t) => {
  const { transport, whole, told, link } = await connect(t, { connectionsMax: 1 });
  await patiently(() => whole.length > 0, "frames");
  link.cut();
  const said = 20_000;
  for (let count = 0; count < said; count += 1)
    transport.sendControl({ type: "audio-state", isThere: false, because: "x".repeat(200) });
  link.restore();
  await patiently(() => {
    transport.sendControl({ type: "session-end", reason: "the last" });
    return told.some(({ type }) => type === "session-end");
  }, "what is said when it hears again");
  const heard = told.filter(({ type }) => type === "audio-state").length;
  t.ok(heard > 0 && heard < said / 10, `${heard} of ${said}`);
});
