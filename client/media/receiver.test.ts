/** Frames become pictures in order, with their counts; what breaks the protocol or the decoder costs no more than itself. */
import t from "tap";
import { depthCellsOf, depthShapeOf } from "#contracts/media/depth-shape.ts";
import { encodeFrame, type Frame, type FrameHeader } from "#contracts/media/frame.ts";
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

class StandInPicture {
  isClosed = false;

  close(): void {
    this.isClosed = true;
  }
}

function receiving() {
  const decoded: DecodedFrame<StandInPicture>[] = [];
  const decoders: DecoderEvents<StandInPicture>[] = [];
  const handed: number[] = [];
  const arrived: number[][] = [];
  let keyRequests = 0;
  let nowMs = 2000;
  const receiver = createReceiver<StandInPicture>({
    nowMs: () => nowMs,
    openDecoder(events) {
      decoders.push(events);
      return { queue: 0, decode: ({ header }) => void handed.push(header.frameNumber), close: () => undefined };
    },
    requestKeyFrame() {
      keyRequests += 1;
    },
    onArrived: ({ header, bytes, arrivedAtMs }) => void arrived.push([header.frameNumber, bytes, arrivedAtMs]),
    onDecoded: (frame) => void decoded.push(frame),
  });
  const send = (header: Partial<FrameHeader>, planes: Pick<Frame, "depth"> = {}): void =>
    receiver.addFrame(encodeFrame({ header: { ...HEADER, ...header }, accessUnit: new Uint8Array(10), ...planes }), 0);
  const advance = (ms: number): void => {
    nowMs += ms;
  };
  return { receiver, decoded, decoders, handed, arrived, send, advance, keyRequests: () => keyRequests };
}

t.test("a frame is given with its header, depth and times when its picture comes", async (t) => {
  const { receiver, decoded, decoders, send, advance } = receiving();
  const depth = new Uint8Array(depthCellsOf(depthShapeOf(HEADER))).fill(8);
  send({ frameNumber: 3 }, { depth });
  advance(4);
  const [picture, again] = [new StandInPicture(), new StandInPicture()];
  decoders[0]?.onPicture(picture, 3);
  t.match(decoded, [{ header: { poseId: 5 }, depth, arrivedAtMs: 2000, decodedAtMs: 2004, picture }]);
  decoders[0]?.onPicture(again, 3);
  t.match(receiver.counts(), { framesDecoded: 1, framesLost: 0 });
  t.equal(decoded.length, 1);
  t.same(
    [picture.isClosed, again.isClosed],
    [false, true],
    "whoever takes one closes it; one that nobody takes is closed",
  );
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

t.test("bytes that are no frame are counted and change nothing", async (t) => {
  const { receiver, handed, arrived, send } = receiving();
  receiver.addFrame(new Uint8Array(200), 0);
  t.same([handed, arrived], [[], []]);
  t.equal(receiver.counts().messagesInvalid, 1);
  send({ frameNumber: 8, codec: "jpeg" });
  t.same([handed, arrived], [[8], [[8, 74, 2000]]], "any codec of the protocol is one");
  receiver.close();
  send({ frameNumber: 9 });
  t.same(handed, [8], "nothing is decoded after it is closed");
});
