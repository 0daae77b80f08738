/** Each frame goes to the decoder of its codec, and what arrived is summed up for the agent. */
import t from "tap";
import { CODECS, type Frame, type FrameHeader, type MediaCodec } from "#contracts/media/frame.ts";
import { createFrameReporter } from "./frame-reporter.ts";
import { openPictureDecoder } from "./picture-decoder.ts";

const HEADER: FrameHeader = {
  ...{ frameNumber: 1, codec: "h264", key: true, eyeWidthPixels: 96, eyeHeightPixels: 96, poseId: 5 },
  ...{
    poseSampledAtMs: 1_000,
    poseReceivedAtMs: 1,
    renderStartedAtMs: 1,
    renderedAtMs: 4,
    encodedAtMs: 5,
    sentAtMs: 5,
  },
};

t.test("a decoder is opened for the codec that comes, and closed when another does", async (t) => {
  const said: string[] = [];
  const openerOf = (codec: MediaCodec) => () => {
    said.push(`open ${codec}`);
    return {
      queue: codec === "jpeg" ? 1 : 0,
      decode: ({ header }: Frame) => void said.push(`${codec} ${header.frameNumber}`),
      close: () => void said.push(`close ${codec}`),
    };
  };
  const [h264, jpeg] = CODECS.map(openerOf);
  if (h264 === undefined || jpeg === undefined) throw new Error("there are two codecs");
  const decoder = openPictureDecoder({ h264, jpeg }, { onPicture: () => undefined, onError: () => undefined });
  t.equal(decoder.queue, 0);
  for (const [frameNumber, codec] of [
    [1, "h264"],
    [2, "h264"],
    [3, "jpeg"],
  ] as const) {
    decoder.decode({ header: { ...HEADER, frameNumber, codec }, accessUnit: new Uint8Array() });
  }
  t.equal(decoder.queue, 1);
  decoder.close();
  t.same(said, ["open h264", "h264 1", "h264 2", "close h264", "open jpeg", "jpeg 3", "close jpeg"]);
});

t.test("a report comes with the first frame after its interval, of those since the one before", async (t) => {
  const reporter = createFrameReporter();
  const arrive = (frameNumber: number, arrivedAtMs: number, bytes = 100) =>
    reporter.arrive({ header: { ...HEADER, frameNumber }, bytes, arrivedAtMs });
  t.equal(arrive(1, 1_020), undefined, "the first is where the span begins");
  t.equal(arrive(2, 1_050), undefined);
  t.same(arrive(3, 1_120, 300), {
    ...{ newestFrame: 3, framesArrived: 2, bytes: 400, spanMs: 100 },
    // 50 ms from the pose to the faster one, of which rendering and encoding took 4.
    networkMsMin: 46,
  });
  t.equal(arrive(5, 1_180), undefined);
  t.match(arrive(4, 1_215), { newestFrame: 5, framesArrived: 2, spanMs: 95 });
});

t.test("no report is outside of what the protocol admits", async (t) => {
  const reporter = createFrameReporter();
  const arrive = (arrivedAtMs: number) => reporter.arrive({ header: HEADER, bytes: 1, arrivedAtMs });
  arrive(1_000);
  t.match(arrive(9_999_999), { spanMs: 60_000 });
  t.equal(arrive(0), undefined, "a clock that went back gives none");
  const reports = Array.from({ length: 1_000 }, () => arrive(0)).filter((report) => report !== undefined);
  t.match(reports, [{ framesArrived: 1_000, spanMs: 0 }]);
});
