/**
 * What the client shows of an older picture, held against what an agent renders for where the head is: by the formula
 * on the CPU and by the display in a real Chromium, before the encoder and behind it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type EmulatedHead, FORWARD, headPoseOf } from "#client/pose/emulated-head.ts";
import { widenHead } from "#client/pose/head-pose.ts";
import { encodeDepth } from "#contracts/media/depth-plane.ts";
import { depthShapeOf } from "#contracts/media/depth-shape.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";
import { psnrDb } from "#test/render-agent/psnr.ts";
import { openH264Decoder } from "../render-agent/h264-decoder.ts";
import { type DisplayPage, openDisplayPage } from "./display-page.ts";
import { type RenderedView, renderViews } from "./rendered-views.ts";
import { reproject, type SidePicture } from "./reprojected.ts";

const EYE = { eyeWidthPixels: 320, eyeHeightPixels: 360 };
const FRAME_RATE_HZ = 60;
const HALL = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../deploy/one-machine/sample/scene/hall.json"), "utf8"),
);
const NEAR_BOX = {
  ...{ mesh: "box", position: [0.05, 1.5, -0.55], yawDegrees: 0, scale: [0.08, 0.08, 0.05] },
  ...{ colour: [0.9, 0.5, 0.1], pattern: "stripes" },
};
/** Frames before the picture, of a head that turns and goes on its way there: what an encoder has to do with. */
const APPROACH_FRAMES = 8;
const APPROACH = { yawDegrees: -1.5, x: -0.01 };

type Move = Partial<EmulatedHead>;
const TURNS: Readonly<Record<string, Move>> = {
  "5° right": { yawDegrees: 5 },
  "5° left": { yawDegrees: -5 },
  "5° up": { pitchDegrees: 5 },
  "5° down": { pitchDegrees: -5 },
};
const STEPS: Readonly<Record<string, Move>> = {
  "5 cm right": { x: 0.05 },
  "5 cm up": { y: 0.05 },
  "5 cm ahead": { z: -0.05 },
};

function headAt(from: EmulatedHead, move: Move, times = 1) {
  const moved = Object.entries(move).map(([key, by]) => [key, from[key as keyof EmulatedHead] + times * by]);
  return headPoseOf({ ...from, ...Object.fromEntries(moved) }, EYE.eyeWidthPixels / EYE.eyeHeightPixels);
}

interface Seen {
  readonly picture: SidePicture & { readonly depth: Uint8Array };
  readonly frameBytes: number;
  /** As a client has it behind the encoder. */
  readonly decoded: SidePicture;
  readonly truths: ReadonlyMap<string, { readonly head: ReturnType<typeof headAt>; readonly pixels: Uint8Array }>;
}

async function see(scene: object, from: EmulatedHead, moves: Readonly<Record<string, Move>>): Promise<Seen> {
  const pose = (poseId: number, head: ReturnType<typeof headAt>): PoseMessage => ({ poseId, sampledAtMs: 1, ...head });
  const approach = Array.from({ length: APPROACH_FRAMES }, (_, at) => headAt(from, APPROACH, APPROACH_FRAMES - at));
  const asked = [...approach, headAt(from, {})].map((head, at) => ({
    ...pose(at + 1, widenHead(head)),
    asksDepth: true,
  }));
  const heads = Object.entries(moves).map(([name, move]) => ({ name, head: headAt(from, move) }));
  const views = await renderViews([...asked, ...heads.map(({ head }) => pose(99, head))], {
    ...{ scene: Buffer.from(JSON.stringify(scene)), frameRateHz: FRAME_RATE_HZ },
    ...EYE,
  });
  const [last, source] = [asked.at(-1), views[APPROACH_FRAMES]];
  if (last === undefined || source === undefined) throw new Error("nothing was rendered");
  const picture = { ...EYE, pose: last, pixels: source.pixels, depth: source.depth };
  return {
    picture,
    decoded: { ...picture, pixels: decodeLast(views.slice(0, asked.length)) },
    frameBytes: source.accessUnit.byteLength,
    truths: new Map(
      heads.map(({ name, head }, at) => [name, { head, pixels: views[asked.length + at]?.pixels ?? new Uint8Array() }]),
    ),
  };
}

function decodeLast(views: readonly RenderedView[]): Uint8Array {
  using decoder = openH264Decoder();
  let pixels = new Uint8Array();
  for (const { accessUnit } of views) pixels = new Uint8Array(decoder.decode(accessUnit).rgba);
  return pixels;
}

/** The least light of the brightest channel along the border of both eyes. */
function darkestBorder(pixels: Uint8Array): number {
  const { eyeWidthPixels: width, eyeHeightPixels: height } = EYE;
  let darkest = 255;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < 2 * width; x += 1) {
      const column = x % width;
      if (y > 0 && y < height - 1 && column > 0 && column < width - 1) continue;
      const at = (y * 2 * width + x) * 4;
      darkest = Math.min(darkest, Math.max(...pixels.subarray(at, at + 3)));
    }
  }
  return darkest;
}

const from = { ...FORWARD, yawDegrees: 20, pitchDegrees: -5 };
const hall = await see(HALL, from, { still: {}, ...TURNS, ...STEPS });
const display: DisplayPage = await openDisplayPage();
t.teardown(() => display[Symbol.asyncDispose]());

function truthOf(seen: Seen, name: string) {
  const truth = seen.truths.get(name);
  if (truth === undefined) throw new Error(`${name} was not rendered`);
  return truth;
}

/** Decibels against the truth. */
async function measure(t: Test, seen: Seen, name: string) {
  const { head, pixels: truth } = truthOf(seen, name);
  const { depth: _, ...flat } = seen.picture;
  await display.show(seen.picture);
  const inChromium = await display.draw(head);
  await display.show(seen.decoded);
  const figures = {
    formula: psnrDb(reproject(seen.picture, head), truth),
    chromium: psnrDb(inChromium, truth),
    encoded: psnrDb(await display.draw(head), truth),
    turnOnly: psnrDb(reproject(flat, head), truth),
    border: darkestBorder(inChromium),
  };
  const told = Object.entries(figures).map(([what, value]) => `${what} ${value.toFixed(1)}`);
  t.comment(`${name}: ${told.join(", ")}`);
  return figures;
}

t.test("a turn of five degrees is followed at 30 dB and more, without a black border", async (t) => {
  await measure(t, hall, "still");
  for (const name of Object.keys(TURNS)) {
    const { formula, chromium, border } = await measure(t, hall, name);
    t.ok(formula >= 30, `${name}: ${formula} dB by the formula`);
    t.ok(chromium >= 30, `${name}: ${chromium} dB in Chromium`);
    t.ok(border > 20, `${name}: the border's darkest pixel has ${border}`);
  }
});

t.test("a step of five centimetres is followed at 30 dB and more, at 28 behind the encoder", async (t) => {
  for (const name of Object.keys(STEPS)) {
    const { formula, chromium, encoded, turnOnly } = await measure(t, hall, name);
    t.ok(formula >= 30, `${name}: ${formula} dB by the formula`);
    t.ok(chromium >= 30, `${name}: ${chromium} dB in Chromium`);
    t.ok(encoded >= 28, `${name}: ${encoded} dB behind the encoder`);
    t.ok(formula >= turnOnly + 2, `${name}: ${turnOnly} dB without depth`);
  }
});

t.test("an object half a metre away is shown better than without depth", async (t) => {
  const scene = { ...HALL, instances: [...HALL.instances, NEAR_BOX] };
  const near = await see(scene, { ...from, yawDegrees: 0 }, STEPS);
  for (const name of Object.keys(STEPS)) {
    const { formula, turnOnly } = await measure(t, near, name);
    t.ok(formula >= turnOnly + 2, `${name}: ${turnOnly} dB without depth`);
  }
});

t.test("the planes are at most 15 % of their frame", async (t) => {
  const planes = encodeDepth(hall.picture.depth, depthShapeOf(EYE)).byteLength;
  t.comment(`${planes} of ${planes + hall.frameBytes} bytes`);
  t.ok(planes <= 0.15 * (planes + hall.frameBytes));
  t.ok(planes > 100, "there are planes");
});

t.test("Chromium draws the formula's picture", async (t) => {
  const { head } = truthOf(hall, "5 cm right");
  await display.show(hall.picture);
  const psnr = psnrDb(await display.draw(head), reproject(hall.picture, head));
  t.comment(`${psnr.toFixed(1)} dB`);
  t.ok(psnr > 40, `${psnr} dB`);
});

t.test("a stale picture fades to the local scene, and is there at once when it is new", async (t) => {
  const { head } = truthOf(hall, "5° right");
  await display.show(hall.picture);
  const fresh = await display.draw(head);
  t.same(await display.draw(head, 299), fresh, "nothing is seen of it before 300 ms");
  const half = await display.draw(head, 151);
  const local = await display.draw(head, 1000);
  const mixed = fresh.map((value, at) => (value + (local[at] ?? 0)) / 2);
  t.ok(psnrDb(half, mixed) > 45, `half way between: ${psnrDb(half, mixed)} dB`);
  t.ok(psnrDb(local, fresh) < 20, "the local scene is another");
  await display.forget();
  t.same(await display.draw(head), local, "a picture that nobody knows the place of shows nothing else");
  await display.show(hall.picture);
  t.same(await display.draw(head), fresh);
  const turned = await display.draw(truthOf(hall, "5 cm up").head, 1000);
  t.ok(psnrDb(turned, local) < 40, "it is drawn for where the head is");
});

t.test("a smaller picture of a narrower way fills the canvas, which keeps its size and shape", async (t) => {
  const { head } = truthOf(hall, "5° right");
  await display.show(hall.picture);
  const { byteLength } = await display.draw(head);
  const [eyeWidthPixels, eyeHeightPixels] = [160, 176];
  const pixels = new Uint8Array(eyeWidthPixels * 2 * eyeHeightPixels * 4).map((_, at) => (at % 4 === 3 ? 255 : 128));
  await display.show({ eyeWidthPixels, eyeHeightPixels, pixels, pose: hall.picture.pose });
  const drawn = await display.draw(head);
  t.equal(drawn.byteLength, byteLength);
  t.ok(drawn.every((value, at) => at % 4 === 3 || Math.abs(value - 128) < 3));
});
