/** A real browser decodes what real encoders make: H.264 whose size changes, then JPEG, each as what went in. */
import t from "tap";
import Type from "typebox";
import { Value } from "typebox/value";
import { encodeFrame } from "#contracts/media/frame.ts";
import type { EncoderName } from "#render-agent/encoder/encoder-settings.ts";
import { openEncoder } from "#render-agent/encoder/find-encoder.ts";
import { openScriptPage } from "./script-page.ts";

/** Gives of each frame what the middle of its left and of its right half looks like. */
const ENTRY = `
  import { decodeFrame } from "#contracts/media/frame.ts";
  import { openJpegDecoder } from "./media/jpeg-decoder.ts";
  import { openPictureDecoder } from "./media/picture-decoder.ts";
  import { openVideoDecoder } from "./media/video-decoder.ts";

  const look = (picture) => {
    const { displayWidth: width, displayHeight: height } = picture;
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.drawImage(picture, 0, 0);
    picture.close();
    const at = (x) => [...context.getImageData(x, height / 2, 1, 1).data].slice(0, 3);
    return { width, height, left: at(width / 4), right: at((width * 3) / 4) };
  };
  window.decode = async (frames) => {
    const waiting = new Map();
    const decoder = openPictureDecoder({ h264: openVideoDecoder, jpeg: openJpegDecoder }, {
      onPicture: (picture, number) => waiting.get(number).resolve(look(picture)),
      onError: (reason) => { for (const { reject } of waiting.values()) reject(new Error(reason)); },
    });
    const seen = [];
    for (const text of frames) {
      const frame = decodeFrame(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)));
      const picture = Promise.withResolvers();
      waiting.set(frame.header.frameNumber, picture);
      decoder.decode(frame);
      seen.push(await picture.promise);
    }
    decoder.close();
    return seen;
  };
`;
const colour = Type.Array(Type.Number(), { minItems: 3, maxItems: 3 });
const seen = Type.Object({ width: Type.Integer(), height: Type.Integer(), left: colour, right: colour });
type Colour = readonly [number, number, number];

interface Sent {
  readonly name: EncoderName;
  readonly eyePixels: number;
  readonly left: Colour;
  readonly right: Colour;
}

const RED: Colour = [200, 40, 40];
const GREEN: Colour = [40, 160, 60];
const BLUE: Colour = [50, 60, 190];
const SENT: readonly Sent[] = [
  { name: "libx264", eyePixels: 96, left: RED, right: GREEN },
  { name: "libx264", eyePixels: 64, left: GREEN, right: BLUE },
  { name: "libx264", eyePixels: 96, left: BLUE, right: RED },
  { name: "jpeg", eyePixels: 96, left: RED, right: BLUE },
  { name: "jpeg", eyePixels: 64, left: GREEN, right: RED },
  { name: "libx264", eyePixels: 64, left: RED, right: GREEN },
];
const TOLERANCE = 8;

async function encode({ name, eyePixels, left, right }: Sent, frameNumber: number): Promise<string> {
  const size = { widthPixels: eyePixels * 2, heightPixels: eyePixels, frameRateHz: 30 };
  using encoder = await openEncoder(name, { ...size, bitsPerSecond: 2_000_000 });
  const pixels = new Uint8Array(size.widthPixels * size.heightPixels * 4);
  for (let at = 0; at < pixels.length / 4; at += 1) {
    pixels.set([...(at % size.widthPixels < eyePixels ? left : right), 255], at * 4);
  }
  const { bytes, key } = encoder.encode(pixels, true);
  const times = { poseReceivedAtMs: 1, renderStartedAtMs: 1, renderedAtMs: 1, encodedAtMs: 1, sentAtMs: 1 };
  const eyes = { eyeWidthPixels: eyePixels, eyeHeightPixels: eyePixels };
  const header = { frameNumber, codec: encoder.codec, key, ...eyes, poseId: 1, poseSampledAtMs: 1, ...times };
  return Buffer.from(encodeFrame({ header, accessUnit: bytes })).toString("base64");
}

t.test("each picture has the size and the colours of its frame, whatever came before", async (t) => {
  const frames = await Promise.all(SENT.map((one, index) => encode(one, index + 1)));
  await using opened = await openScriptPage(ENTRY);
  const { page } = opened;
  const pictures = Value.Parse(Type.Array(seen), await page.evaluate(`decode(${JSON.stringify(frames)})`));
  t.equal(pictures.length, SENT.length);
  for (const [index, { name, eyePixels, left, right }] of SENT.entries()) {
    const picture = pictures[index];
    const what = `frame ${index + 1}, ${name}: ${JSON.stringify(picture)}`;
    t.match(picture, { width: eyePixels * 2, height: eyePixels }, what);
    const isAs = (shown: readonly number[], sent: Colour): boolean =>
      sent.every((value, part) => Math.abs((shown[part] ?? -1) - value) < TOLERANCE);
    t.ok(picture !== undefined && isAs(picture.left, left) && isAs(picture.right, right), what);
  }
});
