/** Frames become pictures in order, with their counts; what breaks the protocol or the decoder costs no more than itself. */
import t from "tap";
import { encodeFrame, type FrameHeader } from "#contracts/media/frame.ts";
import { createReceiver, type DecodedFrame, type DecoderEvents } from "./receiver.ts";

const HEADER: FrameHeader = {
  frameNumber: 1,
  codec: "h264",
  key: true,
  eyeWidthPixels: 96,
  eyeHeightPixels: 96,
  poseId: 5,
  poseSampledAtMs: 1000,
  poseReceivedAtMs: 1,
  renderStartedAtMs: 2,
  renderedAtMs: 3,
  encodedAtMs: 4,
  sentAtMs: 5,
};

function receiving() {
  const decoded: DecodedFrame<string>[] = [];
  const decoders: DecoderEvents<string>[] = [];
  const handed: number[] = [];
  let keyRequests = 0;
  let nowMs = 2000;
  const receiver = createReceiver<string>({
    nowMs: () => nowMs,
    openDecoder(events) {
      decoders.push(events);
      return { queue: 0, decode: ({ header }) => void handed.push(header.frameNumber), close: () => undefined };
    },
    requestKeyFrame() {
      keyRequests += 1;
    },
    onDecoded: (frame) => void decoded.push(frame),
  });
  const send = (header: Partial<FrameHeader>): void =>
    receiver.addFrame(encodeFrame({ header: { ...HEADER, ...header }, accessUnit: new Uint8Array(10) }), 0);
  const advance = (ms: number): void => {
    nowMs += ms;
  };
  return { receiver, decoded, decoders, handed, send, advance, keyRequests: () => keyRequests };
}

t.test("a frame is given with its header and times when its picture comes", async (t) => {
  const { receiver, decoded, decoders, send, advance } = receiving();
  send({ frameNumber: 3 });
  advance(4);
  decoders[0]?.onPicture("picture", 3);
  t.match(decoded, [{ header: { poseId: 5 }, arrivedAtMs: 2000, decodedAtMs: 2004, picture: "picture" }]);
  decoders[0]?.onPicture("again", 3);
  t.match(receiver.counts(), { framesDecoded: 1, framesLost: 0 });
});

t.test("a missing frame costs those up to the next key frame", async (t) => {
  const { receiver, handed, send, keyRequests } = receiving();
  send({ frameNumber: 1 });
  send({ frameNumber: 3, key: false });
  send({ frameNumber: 4, key: false });
  send({ frameNumber: 5 });
  t.same(handed, [1, 5]);
  t.equal(keyRequests(), 1);
  t.match(receiver.counts(), { framesLost: 3, keyFramesRequested: 1 });
});

t.test("a decoder that fails is replaced, and begins with a key frame", async (t) => {
  const { receiver, decoders, handed, send, advance, keyRequests } = receiving();
  send({ frameNumber: 1 });
  decoders[0]?.onError("broken");
  t.equal(decoders.length, 2);
  t.equal(keyRequests(), 1);
  advance(1000);
  send({ frameNumber: 2, key: false });
  send({ frameNumber: 3 });
  t.same(handed, [1, 3]);
  t.match(receiver.counts(), { decoderErrors: 1, framesLost: 2 });
});

t.test("bytes that are no frame, and codecs it has no decoder for, are counted and change nothing", async (t) => {
  const { receiver, handed, send } = receiving();
  receiver.addFrame(new Uint8Array(200), 0);
  send({ codec: "jpeg" });
  t.same(handed, []);
  t.equal(receiver.counts().messagesInvalid, 2);
  receiver.close();
  send({ frameNumber: 9 });
  t.same(handed, [], "nothing is decoded after it is closed");
});
