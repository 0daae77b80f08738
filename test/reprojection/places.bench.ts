/** How near reprojected pictures come to the truth at five places of the sample hall, by the client's formula. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type EmulatedHead, FORWARD, headPoseOf } from "#client/pose/emulated-head.ts";
import { widenHead } from "#client/pose/head-pose.ts";
import { encodeDepth } from "#contracts/media/depth-plane.ts";
import { depthShapeOf } from "#contracts/media/depth-shape.ts";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import { psnrDb } from "#test/render-agent/psnr.ts";
import { renderViews } from "./rendered-views.ts";
import { reproject } from "./reprojected.ts";

const SCENE = readFileSync(join(import.meta.dirname, "../../deploy/one-machine/sample/scene/hall.json"));
const FRAME_RATE_HZ = 60;
const SIZE = /^(\d{2,4})x(\d{2,4})$/;
const MISUSED = 2;
const DECIBELS_MIN = 30;

const HELP = `npm run bench:places -- [options]: PSNR of reprojected pictures against those rendered there
  --size <WxH>  an eye's pixels (320x360)
  --smoke       the first place: judged by nobody
  --json        the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  size: { type: "string", default: "320x360" },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});
const [width = 0, height = 0] = options.size.split("x").map(Number);
const EYE = { eyeWidthPixels: width, eyeHeightPixels: height };
const PLACES: readonly EmulatedHead[] = [
  FORWARD,
  { ...FORWARD, yawDegrees: 70, pitchDegrees: 10, x: 2, z: 1 },
  { ...FORWARD, yawDegrees: 140, pitchDegrees: -15, x: -2, z: 2 },
  { ...FORWARD, yawDegrees: 230, pitchDegrees: -30, x: 1, z: -3 },
  { ...FORWARD, yawDegrees: 310, pitchDegrees: 5, x: 3, z: 3 },
];
/** Frames before the picture, of a head on its way there. */
const APPROACH_FRAMES = 4;

const headAt = (place: EmulatedHead, move: Partial<EmulatedHead>) => headPoseOf({ ...place, ...move }, width / height);
const around = (place: EmulatedHead, keys: readonly (keyof EmulatedHead)[], by: number) =>
  keys.flatMap((key) => [by, -by].map((step) => headAt(place, { [key]: place[key] + step })));

async function measure(place: EmulatedHead, name: string): Promise<readonly Row[]> {
  const turns = around(place, ["yawDegrees", "pitchDegrees"], 5);
  const steps = around(place, ["x", "y", "z"], 0.05);
  const asked = Array.from({ length: APPROACH_FRAMES + 1 }, (_, frame) => {
    const before = APPROACH_FRAMES - frame;
    const head = headAt(place, { yawDegrees: place.yawDegrees - 1.5 * before, x: place.x - 0.01 * before });
    return { poseId: frame + 1, sampledAtMs: 1, ...widenHead(head), asksDepth: true };
  });
  const shown = [headAt(place, {}), ...turns, ...steps];
  const truths = shown.map((head) => ({ poseId: 99, sampledAtMs: 1, ...head }));
  const views = await renderViews([...asked, ...truths], { scene: SCENE, frameRateHz: FRAME_RATE_HZ, ...EYE });
  const [pose, source] = [asked[APPROACH_FRAMES], views[APPROACH_FRAMES]];
  if (pose === undefined || source === undefined) throw new Error("nothing was rendered");
  const picture = { ...EYE, pose, pixels: source.pixels, depth: source.depth };
  const decibels = shown.map((head, index) => {
    const truth = views[asked.length + index]?.pixels ?? new Uint8Array();
    return psnrDb(reproject(picture, head), truth);
  });
  const planes = encodeDepth(source.depth, depthShapeOf(EYE)).byteLength;
  const share = (planes / (planes + source.accessUnit.byteLength)) * 100;
  const [still = 0, ...moved] = decibels;
  const least = (values: readonly number[]): number => Math.round(Math.min(...values) * 10) / 10;
  const target = options.smoke ? null : DECIBELS_MIN;
  const row = { unit: "dB", baseline: null, atLeast: true } as const;
  return [
    { row: `${name}: at rest`, value: least([still]), ...row, target: null },
    { row: `${name}: 5° off, the least of four`, value: least(moved.slice(0, turns.length)), ...row, target },
    { row: `${name}: 5 cm off, the least of six`, value: least(moved.slice(turns.length)), ...row, target },
    {
      row: `${name}: depth planes`,
      value: Math.round(share * 10) / 10,
      unit: "% of bytes",
      baseline: null,
      target: null,
    },
  ];
}

async function run(): Promise<number> {
  const rows: Row[] = [];
  const places = PLACES.slice(0, options.smoke ? 1 : undefined);
  for (const [at, place] of places.entries()) rows.push(...(await measure(place, `place ${at + 1}`)));
  return printReport(reportOf(options.smoke ? "places (smoke)" : "places", rows), options.json);
}

if (options.help) console.log(HELP);
else if (!SIZE.test(options.size)) {
  console.error(`--size is of WIDTHxHEIGHT, got ${options.size}\n\n${HELP}`);
  process.exitCode = MISUSED;
} else process.exitCode = await run();
