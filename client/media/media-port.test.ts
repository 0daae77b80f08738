/** Links on a virtual clock: the first picture opens one, silence or a word of the agent loses it, a promotion takes over. */
import t from "tap";
import type { ControlMessage } from "#contracts/media/control.ts";
import { encodeFrame } from "#contracts/media/frame.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { createMediaLinks, type MediaLoss } from "./media-port.ts";
import type { DecoderEvents } from "./receiver.ts";
import { SILENCE_MS_MAX } from "./silence.ts";
import type { TransportEvents } from "./transport.ts";

const CONNECTED = {
  session: "s",
  attempt: 1,
  agent: "a",
  fence: { incarnation: "i", counter: 1 },
  renderClass: { name: "c", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 },
  resume: "ticket",
  reportEverySeconds: 5,
};
const pose = new Uint8Array(100);

function linking() {
  const clock = new VirtualClock();
  const transports: { events: TransportEvents; poses: number; control: ControlMessage[]; isOpen: boolean }[] = [];
  const shown: number[] = [];
  const closed: number[] = [];
  const offers = { made: 0, closed: 0 };
  const links = createMediaLinks<{ close(): void }>({
    clock,
    kinds: ["webrtc"],
    offer: async () => ({
      offerSdp: `offer ${++offers.made}`,
      async open(_answer, events) {
        const transport = { events, poses: 0, control: [] as ControlMessage[], isOpen: true };
        transports.push(transport);
        return {
          sendPose() {
            transport.poses += 1;
            return true;
          },
          sendControl: (message) => void transport.control.push(message),
          close() {
            transport.isOpen = false;
          },
        };
      },
      close() {
        offers.closed += 1;
      },
    }),
    openDecoder: (events: DecoderEvents<{ close(): void }>) => ({
      queue: 0,
      decode: ({ header: { frameNumber } }) =>
        events.onPicture({ close: () => void closed.push(frameNumber) }, frameNumber),
      close: () => undefined,
    }),
    onPicture: ({ header }) => void shown.push(header.frameNumber),
  });
  const frame = (at: number, frameNumber: number): void => {
    const times = { poseReceivedAtMs: 1, renderStartedAtMs: 1, renderedAtMs: 1, encodedAtMs: 1, sentAtMs: 1 };
    const picture = { codec: "h264", key: true, eyeWidthPixels: 96, eyeHeightPixels: 96 } as const;
    const header = { frameNumber, poseId: 1, poseSampledAtMs: clock.nowMs(), ...picture, ...times };
    transports[at]?.events.onFrame(encodeFrame({ header, accessUnit: new Uint8Array(4) }), 0);
  };
  const open = async (at: number) => {
    const pending = await links.prepare("webrtc");
    const opening = pending.open(CONNECTED, clock.deadline(1000));
    await clock.advance(0);
    frame(at, 1);
    return opening;
  };
  return { clock, links, transports, shown, closed, offers, frame, open };
}

t.test(
  "a link is open with its first picture, shown when it is told so, and closed with a word to the agent",
  async (t) => {
    const { open, frame, shown, closed, transports } = linking();
    const link = await open(0);
    t.same(shown, [], "nothing is shown before it is wanted");
    t.same(closed, [1]);
    link.show();
    frame(0, 2);
    t.same(shown, [2]);
    t.match(link.statistics(), { latency: { samples: 2 }, counts: { framesDecoded: 2 } });
    link.close("over");
    t.match(transports[0], { control: [{ type: "session-end", reason: "over" }], isOpen: false });
  },
);

t.test("no picture before the deadline: it does not open, and its transport is closed", async (t) => {
  const { clock, links, transports } = linking();
  const opening = (await links.prepare("webrtc")).open(CONNECTED, clock.deadline(1000));
  await Promise.all([t.rejects(opening, { code: "deadline-exceeded" }), clock.advance(1000)]);
  t.equal(transports[0]?.isOpen, false);
  t.equal(clock.pendingTimers, 0);
});

t.test("silence while poses leave is a loss; a head at rest, which sends none, is not", async (t) => {
  const { clock, links, open, transports } = linking();
  const link = await open(0);
  let loss: MediaLoss | undefined;
  void link.lost.then((found) => {
    loss = found;
  });
  await clock.advance(5000);
  t.equal(loss, undefined, "without poses nothing is expected");
  t.ok((transports[0]?.control.filter(({ type }) => type === "heartbeat").length ?? 0) >= 8);
  for (let sent = 0; sent < 60 && loss === undefined; sent += 1) {
    links.sendPose(pose);
    await clock.advance(16);
  }
  t.same(loss, { because: "silent" });
  t.ok((transports[0]?.poses ?? 0) * 16 > SILENCE_MS_MAX);
  link.close("over");
  t.equal(clock.pendingTimers, 0);
});

t.test("the agent's goodbye and a broken transport are losses with their reason", async (t) => {
  const ended = linking();
  const first = await ended.open(0);
  ended.transports[0]?.events.onControl({ type: "session-end", reason: "draining" });
  t.same(await first.lost, { because: "ended", reason: "draining" });
  const broken = linking();
  const second = await broken.open(0);
  broken.transports[0]?.events.onClosed("the frames channel was closed");
  t.same(await second.lost, { because: "closed", reason: "the frames channel was closed" });
});

t.test("what the agent wants echoed goes back at once, whatever else waits", async (t) => {
  const { open, transports } = linking();
  const link = await open(0);
  transports[0]?.events.onControl({ type: "echo-request", content: "AbCd" });
  t.same(transports[0]?.control, [{ type: "echo", content: "AbCd" }]);
  link.close("over");
});

t.test("while a second link comes up both get poses, and pictures come from the one that is shown", async (t) => {
  const { links, open, frame, shown, transports } = linking();
  const first = await open(0);
  first.show();
  const second = await open(1);
  links.sendPose(pose);
  t.same(
    transports.map(({ poses }) => poses),
    [1, 1],
  );
  frame(0, 2);
  second.show();
  frame(1, 7);
  frame(0, 3);
  t.same(shown, [2, 7]);
  first.close("promoted");
  links.sendPose(pose);
  t.same(
    transports.map(({ poses }) => poses),
    [1, 2],
  );
});

t.test("an offer that was refused is made to the next edge, and closed when none comes", async (t) => {
  const { clock, links, offers } = linking();
  const refused = await links.prepare("webrtc");
  refused.release();
  const again = await links.prepare("webrtc");
  t.equal(again.offerSdp, refused.offerSdp);
  again.release();
  await clock.advance(10_000);
  t.same(offers, { made: 1, closed: 1 });
  t.not((await links.prepare("webrtc")).offerSdp, refused.offerSdp);
});
