/** Links on a virtual clock: the first picture opens one, silence or a word of the agent loses it, a promotion takes over. */
import t from "tap";
import type { ControlMessage } from "#contracts/media/control.ts";
import { encodeFrame } from "#contracts/media/frame.ts";
import type { HeldObject, HoldNumbers } from "#contracts/media/held-object.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { createMediaLinks, type MediaLoss } from "./media-port.ts";
import type { DecoderEvents } from "./receiver.ts";
import {
  SILENCE_MS_MAX,
  SILENCE_MS_MIN,
  SUSPECT_FRAMES,
  SUSPECT_SILENCE_MS_MAX,
  SUSPECT_SILENCE_MS_MIN,
} from "./silence.ts";
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

function linking(undecodable?: string) {
  const clock = new VirtualClock();
  const transports: { events: TransportEvents; poses: number; control: ControlMessage[]; isOpen: boolean }[] = [];
  const shown: number[] = [];
  const held: (readonly HeldObject[])[] = [];
  const closed: number[] = [];
  const offers = { made: 0, closed: 0 };
  const heard: string[] = [];
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
      decode({ header: { frameNumber } }) {
        if (undecodable !== undefined) return;
        events.onPicture({ close: () => void closed.push(frameNumber) }, frameNumber);
      },
      close: () => undefined,
    }),
    explainUndecodable: () => undecodable,
    onPicture(picture) {
      shown.push(picture.header.frameNumber);
      held.push(picture.held ?? []);
    },
    sound: {
      onPacket: (bytes) => void heard.push(`packet ${bytes.join()}`),
      onState: (isThere, because) => void heard.push(isThere ? "there" : because),
      onRestart: () => void heard.push("restart"),
    },
  });
  const frame = (
    at: number,
    frameNumber: number,
    { without, poseSampledAtMs = clock.nowMs() }: { without?: HoldNumbers; poseSampledAtMs?: number } = {},
  ): void => {
    const times = { poseReceivedAtMs: 1, renderStartedAtMs: 1, renderedAtMs: 1, encodedAtMs: 1, sentAtMs: 1 };
    const picture = { codec: "h264", key: true, eyeWidthPixels: 96, eyeHeightPixels: 96 } as const;
    const header = { frameNumber, poseId: 1, poseSampledAtMs, ...picture, ...times, ...(without && { without }) };
    transports[at]?.events.onFrame(encodeFrame({ header, accessUnit: new Uint8Array(4) }), 0);
  };
  const open = async (at: number) => {
    const pending = await links.prepare("webrtc");
    const opening = pending.open(CONNECTED, clock.deadline(1000));
    await clock.advance(0);
    frame(at, 1);
    return opening;
  };
  return { clock, links, transports, shown, held, closed, offers, heard, frame, open };
}

t.test(
  "a link is open with its first picture, shown when it is told so, and closed with a word to the agent",
  async (t) => {
    const { open, frame, shown, closed, transports } = linking();
    const link = await open(0);
    frame(0, 2);
    t.same(shown, [], "nothing is shown before it is wanted");
    t.same(closed, [1]);
    link.show();
    t.same(shown, [2], "the newest picture that there is");
    frame(0, 3);
    t.same(shown, [2, 3]);
    t.match(link.statistics(), { latency: { samples: 3 }, counts: { framesDecoded: 3 }, codec: "h264" });
    link.close("over");
    t.same(closed, [1], "what is shown is closed by who shows it");
    t.match(transports[0], {
      control: [{ type: "held-wish" }, { type: "session-end", reason: "over" }],
      isOpen: false,
    });
  },
);

t.test("a link that fell silent returns with the picture of a pose that was sampled since", async (t) => {
  const { open, clock, links, frame, shown, transports } = linking();
  const link = await open(0);
  link.show();
  const states: string[] = [];
  const note = () => void link.lost.then(({ because }) => void states.push(because));
  const untilLost = async (times: number) => {
    while (states.filter((state) => state === "silent").length < times) {
      links.sendPose(pose);
      await clock.advance(16);
    }
  };
  note();
  void link.returned.then(() => void states.push("returned"));
  const sentAtMs = clock.nowMs();
  await untilLost(1);
  t.match(
    transports[0],
    { isOpen: true, control: [{ type: "held-wish" }] },
    "it stays open and says nothing: it may return",
  );
  frame(0, 2, { poseSampledAtMs: sentAtMs });
  await clock.advance(0);
  t.same(states, ["silent"], "a picture that was on its way is shown, and no sign of life");
  t.match(link, { isLost: true, isOver: false });
  await clock.advance(1);
  frame(0, 3);
  await clock.advance(0);
  t.same(states, ["silent", "returned"]);
  t.match(link, { isLost: false, isOver: false });
  t.same(shown, [1, 2, 3]);
  note();
  await untilLost(2);
  t.same(states, ["silent", "returned", "silent"], "it can be lost again");
  link.close("elsewhere");
  frame(0, 4);
  t.match(link, { isLost: true, isOver: true }, "and does not return once it is closed");
  t.same(transports[0]?.control.at(-1), { type: "session-end", reason: "elsewhere" });
  t.equal(transports[0]?.isOpen, false);
  await clock.advance(1_000);
  t.equal(clock.pendingTimers, 0);
});

t.test("a link whose agent said goodbye, or that broke, is closed at once and does not return", async (t) => {
  for (const end of [
    ({ onControl }: TransportEvents) => onControl({ type: "session-end", reason: "draining" }),
    ({ onClosed }: TransportEvents) => onClosed("the frames channel was closed"),
  ]) {
    const { open, clock, frame, transports } = linking();
    const link = await open(0);
    const events = transports[0]?.events;
    if (events !== undefined) end(events);
    t.match(transports[0], { control: [{ type: "held-wish" }], isOpen: false });
    await clock.advance(1_000);
    frame(0, 2);
    t.equal(link.isLost, true);
    t.equal(clock.pendingTimers, 0);
  }
});

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

async function lostAfter(world: ReturnType<typeof linking>, intervalMs: number): Promise<number> {
  const { clock, links, open, frame } = world;
  const link = await open(0);
  let frameNumber = 1;
  for (let atMs = 0; atMs < 3_000; atMs += intervalMs) {
    frameNumber += 1;
    frame(0, frameNumber);
    links.sendPose(pose);
    await clock.advance(intervalMs);
  }
  const diedAtMs = clock.monotonicMs() - intervalMs;
  let isLost = false;
  void link.lost.then(() => {
    isLost = true;
  });
  while (!isLost && clock.monotonicMs() - diedAtMs < 2_000) {
    links.sendPose(pose);
    await clock.advance(10);
  }
  link.close("over");
  return clock.monotonicMs() - diedAtMs;
}

t.test("frames that came often are missed sooner than those of a slow renderer", async (t) => {
  const [fast, slow] = [await lostAfter(linking(), 16), await lostAfter(linking(), 150)];
  t.ok(fast >= SILENCE_MS_MIN && fast <= SILENCE_MS_MIN + 60, `${fast} ms`);
  t.ok(slow >= SILENCE_MS_MAX && slow <= SILENCE_MS_MAX + 60, `${slow} ms`);
});

t.test(
  "a link that its edge calls lost is lost where no frame sets out any more, and goes on where one does",
  async (t) => {
    const { clock, links, open, frame } = linking();
    const link = await open(0);
    const states: string[] = [];
    void link.lost.then(({ because }) => void states.push(because));
    const hurried = link.suspect("agent a is gone");
    for (let frameNumber = 2; frameNumber < 20; frameNumber += 1) {
      frame(0, frameNumber);
      links.sendPose(pose);
      await clock.advance(33);
    }
    await hurried;
    t.same(states, [], "its edge was cut off from the agent");
    const suspectedAtMs = clock.monotonicMs();
    const confirmed = link.suspect("agent a is gone");
    await clock.advance(20);
    frame(0, 20);
    while (states.length === 0 && clock.monotonicMs() - suspectedAtMs < 1_000) await clock.advance(10);
    t.ok(
      clock.monotonicMs() - suspectedAtMs <= SUSPECT_SILENCE_MS_MAX + 60,
      "a frame that was on its way changes nothing",
    );
    t.same(await link.lost, { because: "ended", reason: "agent a is gone" });
    await clock.advance(1_000);
    await confirmed;
    link.close("over");
    t.equal(clock.pendingTimers, 0);
  },
);

t.test(
  "the word of an edge is confirmed the sooner the more often frames came, and never against a head at rest",
  async (t) => {
    const confirmedAfterMs = async (intervalMs: number): Promise<number> => {
      const { clock, links, open, frame } = linking();
      const link = await open(0);
      for (let frameNumber = 2; frameNumber < 100; frameNumber += 1) {
        frame(0, frameNumber);
        links.sendPose(pose);
        await clock.advance(intervalMs);
      }
      const diedAtMs = clock.monotonicMs() - intervalMs;
      t.equal(link.lastFrameAtMs(), diedAtMs);
      let isLost = false;
      void link.lost.then(() => {
        isLost = true;
      });
      void link.suspect("agent a is gone");
      for (let waited = 0; waited < 1_000 && !isLost; waited += 1) await clock.advance(1);
      return clock.monotonicMs() - diedAtMs;
    };
    for (const [intervalMs, silenceMs] of [
      [11, SUSPECT_SILENCE_MS_MIN],
      [33, SUSPECT_FRAMES * 33],
      [80, SUSPECT_SILENCE_MS_MAX],
    ] as const) {
      const tookMs = await confirmedAfterMs(intervalMs);
      t.ok(Math.abs(tookMs - silenceMs) <= 2, `frames every ${intervalMs} ms: ${tookMs} ms, expected ${silenceMs}`);
    }
    const { clock, open } = linking();
    const resting = await open(0);
    let isLost = false;
    void resting.lost.then(() => {
      isLost = true;
    });
    await clock.advance(5_000);
    void resting.suspect("agent a is gone");
    await clock.advance(SUSPECT_SILENCE_MS_MAX - 1);
    t.equal(isLost, false, "no frame was asked for: one that comes yet undoes it");
    resting.close("over");
  },
);

t.test("a link that opens is told at once where the head is, if that was known a moment ago", async (t) => {
  const { clock, links, open, transports } = linking();
  links.sendPose(pose);
  await clock.advance(16);
  await open(0);
  t.equal(transports[0]?.poses, 1);
  await clock.advance(1_000);
  await open(1);
  t.equal(transports[1]?.poses, 0);
});

t.test("a first frame that this browser does not decode is told as that, not as a way that is blocked", async (t) => {
  const { open } = linking("no H.264, and no JPEG instead");
  await t.rejects(open(0), { code: "browser-unfit", message: "no H.264, and no JPEG instead" });
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
  t.same(transports[0]?.control, [{ type: "held-wish" }, { type: "echo", content: "AbCd" }]);
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
  t.same(shown, [1, 2, 1, 7]);
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

t.test("sound is asked for of the shown link alone, and heard from it alone", async (t) => {
  const { links, transports, heard, open } = linking();
  const wishes = () => transports.map(({ control }) => control.filter(({ type }) => type === "audio-wish").length);
  const first = await open(0);
  first.show();
  links.wishSound(true);
  const second = await open(1);
  t.same(wishes(), [1, 0], "what is not shown is not heard, and its agent's answer neither");
  for (const [at, { events }] of transports.entries()) {
    events.onControl({ type: "audio-state", isThere: at === 0, because: "no encoder" });
    events.onAudio(Uint8Array.of(at));
  }
  second.show();
  t.same(wishes(), [1, 1]);
  transports[1]?.events.onControl({ type: "audio-state", isThere: false, because: "no encoder" });
  for (const [at, { events }] of transports.entries()) events.onAudio(Uint8Array.of(at));
  t.same(heard, ["restart", "there", "packet 0", "restart", "no encoder", "packet 1"]);
  links.wishSound(false);
  t.same(transports[1]?.control.at(-1), { type: "audio-wish", isWanted: false });
  const third = await open(2);
  third.show();
  t.same(wishes(), [1, 2, 0]);
  for (const link of [first, second, third]) link.close("over");
});

t.test("a frame brings what its own link was told that it is without, and says so when it can draw it", async (t) => {
  const { open, frame, held, transports } = linking();
  const link = await open(0);
  link.show();
  const other = await open(1);
  const told: HeldObject = {
    ...{ hand: "right", hold: 3, position: { x: 0, y: 0, z: -0.5 }, orientation: { x: 0, y: 0, z: 0, w: 1 } },
    ...{ colour: [1, 0, 0], glowRatio: 0, positions: [0, 0, 0], normals: [0, 1, 0], triangles: [0, 0, 0] },
  };
  const seen = () => held.at(-1);
  frame(0, 2, { without: [0, 3] });
  t.same(seen(), [], "nobody has told it yet");
  const say = (at: number, object: HeldObject) => transports[at]?.events.onControl({ type: "held-object", ...object });
  say(0, told);
  t.same(transports[0]?.control.at(-1), { type: "held-ready", hand: "right", hold: 3 });
  frame(0, 3);
  t.same(seen(), [], "a whole picture");
  frame(0, 4, { without: [0, 3] });
  t.match(seen(), [told]);
  frame(0, 5, { without: [3, 0] });
  t.same(seen(), [], "of the other hand nothing was told");
  say(0, { ...told, hold: 4, glowRatio: 1 });
  frame(0, 6, { without: [0, 3] });
  t.match(seen(), [{ hold: 3, glowRatio: 0 }], "a frame of the hold before");
  frame(0, 7, { without: [0, 4] });
  t.match(seen(), [{ hold: 4, glowRatio: 1 }]);
  other.show();
  frame(1, 2, { without: [0, 4] });
  t.same(seen(), [], "another link's agent has told nothing");
});
