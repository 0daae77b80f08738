/** Real encoders: every option of the record is FFmpeg's, rates are followed, and pictures come out as they went in. */
import { AV_OPT_SEARCH_CHILDREN, AV_OPT_TYPE_STRING } from "node-av/constants";
import { Codec, CodecContext } from "node-av/lib";
import t from "tap";
import { seededRandom } from "#platform/random.ts";
import { differenceOf, openH264Decoder, openJpegDecoder } from "#test/render-agent/h264-decoder.ts";
import { type Encoder, fullBitRateOf } from "./encoder.ts";
import { ENCODER_SETTINGS, openingOptions, SLICED_PIXELS_MIN, usualShape, VIDEO_ENCODERS } from "./encoder-settings.ts";
import { findEncoder } from "./find-encoder.ts";
import type { FoveatedView, Foveation } from "./foveation.ts";
import { openJpegEncoder } from "./jpeg-encoder.ts";
import { openVideoEncoder } from "./video-encoder.ts";

const SIZE = { widthPixels: 192, heightPixels: 96, frameRateHz: 30 };
const FULL = fullBitRateOf(SIZE, "h264");

/** Squares that move, with grain that a low rate cannot keep. */
function pictureOf(index: number): Uint8Array {
  const { widthPixels: width, heightPixels: height } = SIZE;
  const pixels = new Uint8Array(width * height * 4);
  for (let at = 0; at < width * height; at += 1) {
    const [x, y] = [(at % width) + index * 3, Math.floor(at / width) + index];
    const grain = (Math.imul(x, 73_856_093) ^ Math.imul(y, 19_349_663)) & 63;
    const square = ((x >> 4) + (y >> 4)) % 2 === 0 ? 150 : 20;
    pixels.set([square + grain, square + grain, square + grain, 255], at * 4);
  }
  return pixels;
}

const bytesOf = (encoder: Encoder, from: number, to: number): number => {
  let bytes = 0;
  for (let index = from; index < to; index += 1) bytes += encoder.encode(pictureOf(index), false).bytes.byteLength;
  return bytes / (to - from);
};

/** Of grey: JFIF has the whole range. */
function lumaOf(pixels: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: pixels.length / 4 }, (_, at) => pixels[at * 4] ?? 0);
}

t.test("every option and value of the record is one that FFmpeg's encoder of that name takes", async (t) => {
  for (const name of VIDEO_ENCODERS) {
    const codec = Codec.findEncoderByName(name as never);
    t.ok(codec !== null, `${name} is built in`);
    const context = new CodecContext();
    context.allocContext3(codec);
    const { options } = openingOptions(ENCODER_SETTINGS[name], { slices: 2, intraRefreshFrames: 30 }, true);
    for (const [key, value] of Object.entries(options)) {
      const set = context.setOption(key, value, AV_OPT_TYPE_STRING, AV_OPT_SEARCH_CHILDREN);
      t.equal(set, 0, `${name}: ${key}=${value}`);
    }
    t.not(context.setOption("no-such-option", "1", AV_OPT_TYPE_STRING, AV_OPT_SEARCH_CHILDREN), 0);
    context.freeContext();
  }
});

t.test("x264 follows a rate that changes while it runs, and keeps what is shown", async (t) => {
  using encoder = await openVideoEncoder("libx264", { ...SIZE, bitsPerSecond: FULL });
  using decoder = openH264Decoder();
  const first = encoder.encode(pictureOf(0), true);
  t.ok(first.key);
  const shown = decoder.decode(first.bytes);
  t.same([shown.widthPixels, shown.heightPixels], [192, 96]);
  const full = bytesOf(encoder, 1, 20);
  encoder.setRate({ bitsPerSecond: FULL / 16, frameRateHz: 30 });
  const low = bytesOf(encoder, 20, 40);
  t.ok(low < full * 0.5, `${low} bytes a picture at a sixteenth of the rate, ${full} at all of it`);
  encoder.setRate({ bitsPerSecond: FULL / 16, frameRateHz: 7.5 });
  const fewer = bytesOf(encoder, 40, 60);
  t.ok(fewer > low * 1.5, `${fewer} bytes where a quarter as many pictures come, ${low} before`);
  encoder.setRate({ bitsPerSecond: FULL, frameRateHz: 30 });
  t.ok(bytesOf(encoder, 60, 80) > low * 1.5, "and back");
  t.ok(encoder.encode(pictureOf(80), true).key, "a key frame comes when it is asked for");
});

/** Grain that is another in each picture, so that what is kept of it is what was paid for. */
function grainOf(index: number): Uint8Array {
  const random = seededRandom(index);
  const greys = Uint8Array.from({ length: SIZE.widthPixels * SIZE.heightPixels }, () => 60 + random.integer(120));
  return Uint8Array.from({ length: greys.length * 4 }, (_, at) => (at % 4 === 3 ? 255 : (greys[at >> 2] ?? 0)));
}

/** How far what is shown is from what went in, in both eyes, within columns given as shares of an eye's width. */
async function seeFoveated(view: FoveatedView, foveation: Foveation) {
  const options = { ...SIZE, bitsPerSecond: FULL, foveation };
  using encoder = await openVideoEncoder("libx264", options);
  using decoder = openH264Decoder();
  for (let index = 0; index < 20; index += 1) decoder.decode(encoder.encode(grainOf(index), index === 0, view).bytes);
  const { bytes } = encoder.encode(grainOf(20), false, view);
  const { luma } = decoder.decode(bytes);
  const truth = lumaOf(grainOf(20)).map((value) => 16 + (value * 219) / 255);
  const within = (from: number, to: number): number => {
    const columns = [0, 1].flatMap((eye) => Array.from({ length: 96 }, (_, x) => ({ x, at: eye * 96 + x })));
    const chosen = columns.filter(({ x }) => x >= from * 96 && x < to * 96);
    const differences = chosen.flatMap(({ at }) =>
      Array.from({ length: 96 }, (_, y) => Math.abs((luma[y * 192 + at] ?? 0) - (truth[y * 192 + at] ?? 0))),
    );
    return differences.reduce((sum, one) => sum + one, 0) / differences.length;
  };
  return { left: within(0, 0.2), middle: within(0.4, 0.6), right: within(0.8, 1), bytes: bytes.byteLength };
}

t.test("x264 keeps what is looked at and takes the bits from the rest, wherever the gaze goes", async (t) => {
  const eye = { fieldOfView: { left: 1.6, right: 1.6, up: 1.6, down: 1.6 } };
  const worn: FoveatedView = { eyes: [eye, eye], asksFoveation: true };
  const off = await seeFoveated(worn, "off");
  const fixed = await seeFoveated(worn, "fixed");
  const says = JSON.stringify({ off, fixed });
  t.ok(fixed.middle < off.middle * 0.9, `the middle is nearer: ${says}`);
  t.ok(fixed.left > off.left && fixed.right > off.right, `what is beside it is further: ${says}`);
  t.ok(fixed.bytes < off.bytes * 1.3, `at about the same rate: ${says}`);
  const aside = { ...worn, gaze: { x: 1.3, y: 0 } };
  const gaze = await seeFoveated(aside, "gaze");
  t.ok(gaze.right < fixed.right * 0.9 && gaze.middle > fixed.middle, `the gaze is followed: ${JSON.stringify(gaze)}`);
  t.same(await seeFoveated(aside, "fixed"), fixed, "but not where it is fixed");
  const page = await seeFoveated({ eyes: [eye, eye] }, "gaze");
  t.ok(Math.abs(page.middle - off.middle) < off.middle * 0.05, `a page is not foveated: ${JSON.stringify(page)}`);
});

t.test("slices cut a picture, and a refreshed stream needs no key frame after the first", async (t) => {
  const options = { ...SIZE, bitsPerSecond: FULL };
  using encoder = await openVideoEncoder("libx264", options, { slices: 4, intraRefreshFrames: 12 });
  const units = Array.from({ length: 30 }, (_, index) => encoder.encode(pictureOf(index), index === 0));
  t.equal(countSlices(units[5]?.bytes ?? new Uint8Array()), 4);
  using whole = await openVideoEncoder("libx264", options);
  t.equal(countSlices(whole.encode(pictureOf(0), true).bytes), 1);
  t.equal(usualShape({ widthPixels: 900, heightPixels: SLICED_PIXELS_MIN / 900 - 1 }).slices, 1);
  t.equal(usualShape({ widthPixels: 900, heightPixels: SLICED_PIXELS_MIN / 900 }).slices, 2);
  using decoder = openH264Decoder();
  for (const [index, { bytes }] of units.entries()) {
    const { luma } = decoder.decode(bytes);
    if (index > 0) t.ok(luma.length > 0, `picture ${index} is decoded`);
  }
});

t.test("JPEG pictures decode to what went in, each by itself, and follow the rate", async (t) => {
  const rate = { bitsPerSecond: 8_000_000, frameRateHz: 30 };
  using encoder = await openJpegEncoder({ ...SIZE, ...rate });
  using decoder = openJpegDecoder();
  const { bytes, key } = encoder.encode(pictureOf(3), false);
  t.ok(key);
  const shown = decoder.decode(bytes);
  t.same([shown.widthPixels, shown.heightPixels], [192, 96]);
  const difference = differenceOf(shown, { ...shown, luma: lumaOf(pictureOf(3)) });
  t.ok(difference < 20, `the picture is off by its grain, ${difference} of 255`);
  const other = differenceOf(shown, { ...shown, luma: lumaOf(pictureOf(11)) });
  t.ok(other > difference * 2, `and from another one by ${other}`);
  const full = bytesOf(encoder, 4, 14);
  encoder.setRate({ bitsPerSecond: 500_000, frameRateHz: 30 });
  bytesOf(encoder, 14, 24);
  const lower = bytesOf(encoder, 24, 30);
  t.ok(lower < full * 0.6, `${lower} bytes a picture at the low rate, ${full} before`);
});

t.test("on this machine x264 is found; what is named and does not work is refused by name", async (t) => {
  const adapter = { adapterKind: "swiftshader", adapterName: "SwiftShader driver 5.0.0" } as const;
  t.same(await findEncoder(adapter, "auto"), { kind: "chosen", encoder: "libx264", advice: [] });
  t.match(await findEncoder(adapter, "jpeg"), { encoder: "jpeg", advice: [] });
  t.match(await findEncoder(adapter, "libx264"), { encoder: "libx264" });
});

/** NAL units of a picture: types 1 and 5 (H.264 table 7-1). */
function countSlices(unit: Uint8Array): number {
  let count = 0;
  for (let at = 0; at + 3 < unit.length; at += 1) {
    const isStart = unit[at] === 0 && unit[at + 1] === 0 && unit[at + 2] === 1;
    if (isStart && [1, 5].includes((unit[at + 3] ?? 0) & 31)) count += 1;
  }
  return count;
}
