/** Which encoder is in force follows what poses ask for; nothing is drawn for a pose while what it asks for is opened. */
import t from "tap";
import type { MediaCodec } from "#contracts/media/frame.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import type { Encoder, EncoderOptions } from "../encoder/encoder.ts";
import { AskedCodec } from "./asked-codec.ts";

const RENDER_CLASS = { name: "c", eyeWidthPixels: 640, eyeHeightPixels: 720, frameRateHz: 40 };

function encoderOf(codec: MediaCodec) {
  const state = { isDisposed: false };
  const encoder: Encoder = {
    codec,
    encode: () => ({ bytes: new Uint8Array(1), key: true }),
    setRate: () => undefined,
    [Symbol.dispose]() {
      state.isDisposed = true;
    },
  };
  return { encoder, state };
}

function openCodec(own: MediaCodec, hasJpeg = true) {
  const opening = Promise.withResolvers<void>();
  const jpeg = encoderOf("jpeg");
  const opened: EncoderOptions[] = [];
  const told: (string | number)[] = [];
  const clock = new VirtualClock();
  const codec = new AskedCodec({
    ...{ clock, renderClass: RENDER_CLASS, encoder: encoderOf(own).encoder },
    pipeline: {
      setFrameRate: (frameRateHz) => void told.push(frameRateHz),
      setShape: ({ encoder }) => void told.push(encoder.codec),
    },
    openEncoder: async () => encoderOf(own).encoder,
    async openJpeg(options) {
      opened.push(options);
      await opening.promise;
      if (!hasJpeg) throw new Error("the package is not there");
      return jpeg.encoder;
    },
  });
  return { clock, codec, told, opened, jpeg, open: () => opening.resolve() };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test("JPEG is opened once it is asked for, at half the rate, and left for a client that does not ask", async (t) => {
  const { codec, told, opened, jpeg, open } = openCodec("h264");
  t.ok(codec.serves({}));
  t.notOk(codec.serves({ asksJpeg: true }) || codec.serves({ asksJpeg: true }));
  t.match(opened, [{ widthPixels: 1280, heightPixels: 720, frameRateHz: 20 }]);
  t.same(told, []);
  open();
  await settled();
  t.ok(codec.serves({ asksJpeg: true }));
  t.same(told, [20, "jpeg"]);
  t.ok(codec.serves({ asksJpeg: true }) && told.length === 2, "and nothing is said twice");
  codec.quality.noteFrame(1, true);
  t.ok(codec.serves({}));
  t.same(told.slice(2), [40, "h264"]);
  codec[Symbol.dispose]();
  t.ok(jpeg.state.isDisposed);
});

t.test("what changes in the one that is not in force does not reach the pipeline", async (t) => {
  const { clock, codec, told, open } = openCodec("h264");
  const video = codec.quality;
  codec.serves({ asksJpeg: true });
  open();
  await settled();
  codec.serves({ asksJpeg: true });
  const before = told.length;
  video.noteFrame(1, true);
  for (let frame = 2; frame < 200; frame += 1) {
    video.noteFrame(frame, false);
    await clock.advance(50);
  }
  t.ok(video.quality.scaleRatio < 1, "video would be smaller");
  t.same(told.slice(before), []);
});

t.test("an agent that sends JPEG anyway goes on as it is, and one without sends what it has", async (t) => {
  const already = openCodec("jpeg");
  t.ok(already.codec.serves({ asksJpeg: true }) && already.codec.serves({}));
  t.same([already.opened, already.told], [[], []]);
  const without = openCodec("h264", false);
  without.codec.serves({ asksJpeg: true });
  without.open();
  await settled();
  t.ok(without.codec.serves({ asksJpeg: true }));
  t.same([without.opened.length, without.told], [1, []]);
});

t.test("JPEG that is opened when the session is over is let go of", async (t) => {
  const { codec, jpeg, open } = openCodec("h264");
  codec.serves({ asksJpeg: true });
  codec[Symbol.dispose]();
  open();
  await settled();
  t.ok(jpeg.state.isDisposed);
});
