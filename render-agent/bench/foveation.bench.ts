/** What foveation saves: bytes a picture beside those of an even one that is as good in the middle third of each eye, in the sample hall as a head turns. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FORWARD, headPoseOf } from "#client/pose/emulated-head.ts";
import { widenHead } from "#client/pose/head-pose.ts";
import { parseOptions } from "#test/bench/options.ts";
import { medianOf, printReport, type Row, reportOf } from "#test/bench/report.ts";
import { openH264Decoder } from "#test/render-agent/h264-decoder.ts";
import { renderViews } from "#test/reprojection/rendered-views.ts";
import { fullBitRateOf } from "../encoder/encoder.ts";
import type { Foveation } from "../encoder/foveation.ts";
import { openVideoEncoder } from "../encoder/video-encoder.ts";

const SCENE = readFileSync(join(import.meta.dirname, "../../deploy/one-machine/sample/scene/hall.json"));
const SIZES = ["160x180x60", "320x360x60", "480x540x30", "640x720x30"];
const SIZE = /^(\d{2,4})x(\d{2,4})x(\d{1,3})$/;
const MISUSED = 2;
const FRAMES_FULL = 40;
const FRAMES_SMOKE = 8;
/** Until rate control has settled. */
const FRAMES_UNCOUNTED = 5;
const FULL_RATE_RATIOS = [0.25, 0.35, 0.5, 0.7, 1];

const HELP = `npm run bench:foveation -- [options]: what foveation saves, by pictures of the sample hall
  --size <WxHxHz,…>  an eye's pixels and the rate (${SIZES.join(",")})
  --smoke            the first size, ${FRAMES_SMOKE} pictures: judged by nobody
  --json             the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  size: { type: "string", default: SIZES.join(",") },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});
const FRAMES = options.smoke ? FRAMES_SMOKE : FRAMES_FULL;

interface Measured {
  readonly bytes: number;
  readonly middleDecibels: number;
  readonly wholeDecibels: number;
  readonly cpuMs: number;
}

interface Part {
  readonly width: number;
  readonly height: number;
  readonly isMiddle: boolean;
}

/** Of red, green and blue. */
function squaredErrorOf(shown: Uint8Array, truth: Uint8Array, { width, height, isMiddle }: Part): number {
  const isWithin = (at: number, length: number): boolean => !isMiddle || (at >= length / 3 && at < (length * 2) / 3);
  let [sum, count] = [0, 0];
  for (let at = 0; at < truth.length; at += 1) {
    const pixel = at >> 2;
    const [x, y] = [pixel % width, Math.floor(pixel / (width * 2))];
    if (at % 4 === 3 || !isWithin(x, width) || !isWithin(y, height)) continue;
    sum += ((shown[at] ?? 0) - (truth[at] ?? 0)) ** 2;
    count += 1;
  }
  return sum / count;
}

/** Bytes of an even picture that is as good in the middle, between two that were measured; `undefined` beyond them. */
function evenBytesAt(decibels: number, even: readonly Measured[]): number | undefined {
  for (const [index, high] of even.entries()) {
    const low = even[index - 1];
    if (low === undefined || decibels < low.middleDecibels || decibels > high.middleDecibels) continue;
    const share = (decibels - low.middleDecibels) / (high.middleDecibels - low.middleDecibels);
    return low.bytes * (high.bytes / low.bytes) ** share;
  }
  return undefined;
}

async function measureSize(size: string): Promise<readonly Row[]> {
  const [width = 0, height = 0, frameRateHz = 0] = size.split("x").map(Number);
  const poses = Array.from({ length: FRAMES }, (_, at) => {
    const turned = { yawDegrees: 20 + at * 0.8 + 8 * Math.sin(at / 7), pitchDegrees: 5 * Math.sin(at / 9) };
    const head = headPoseOf({ ...FORWARD, ...turned, x: Math.sin(at / 20) }, width / height);
    return { poseId: at + 1, sampledAtMs: 1, ...widenHead(head), asksFoveation: true };
  });
  const eye = { eyeWidthPixels: width, eyeHeightPixels: height };
  const views = await renderViews(poses, { scene: SCENE, frameRateHz, ...eye });
  const stream = { widthPixels: width * 2, heightPixels: height, frameRateHz };

  async function encodeAll(bitsPerSecond: number, foveation: Foveation): Promise<Measured> {
    using encoder = await openVideoEncoder("libx264", { ...stream, bitsPerSecond, foveation });
    using decoder = openH264Decoder();
    let [bytes, middle, whole, cpuMs] = [0, 0, 0, 0];
    for (const [at, { pixels }] of views.entries()) {
      const before = process.cpuUsage();
      const unit = encoder.encode(pixels, at === 0, poses[at]);
      const { user, system } = process.cpuUsage(before);
      const shown = decoder.decode(unit.bytes).rgba;
      if (at < FRAMES_UNCOUNTED) continue;
      cpuMs += (user + system) / 1000;
      bytes += unit.bytes.byteLength;
      middle += squaredErrorOf(shown, pixels, { width, height, isMiddle: true });
      whole += squaredErrorOf(shown, pixels, { width, height, isMiddle: false });
    }
    const count = FRAMES - FRAMES_UNCOUNTED;
    const decibelsOf = (sum: number): number => 10 * Math.log10((255 * 255 * count) / sum);
    const [middleDecibels, wholeDecibels] = [decibelsOf(middle), decibelsOf(whole)];
    return { bytes: bytes / count, middleDecibels, wholeDecibels, cpuMs: cpuMs / count };
  }

  const full = fullBitRateOf(stream, "h264");
  const even: Measured[] = [];
  for (const ratio of FULL_RATE_RATIOS) even.push(await encodeAll(full * ratio, "off"));
  const saved: number[] = [];
  const dearer: number[] = [];
  for (const [at, ratio] of FULL_RATE_RATIOS.entries()) {
    const foveated = await encodeAll(full * ratio, "fixed");
    const evenBytes = evenBytesAt(foveated.middleDecibels, even);
    if (evenBytes !== undefined) saved.push((1 - foveated.bytes / evenBytes) * 100);
    dearer.push(foveated.cpuMs / (even[at]?.cpuMs ?? Number.NaN));
    if (!options.json)
      console.log(`${size} at ${ratio} of its rate: ${describe(even[at])}; foveated ${describe(foveated)}`);
  }
  const round = (value: number): number => Math.round(value * 100) / 100;
  return [
    ...(saved.length === 0 ? [] : [{ row: `${size}: bytes saved`, value: round(medianOf(saved)), unit: "%" }]),
    { row: `${size}: CPU a picture, over that of an even one`, value: round(medianOf(dearer)), unit: "ratio" },
  ].map((row) => ({ ...row, baseline: null, target: null }));
}

function describe(measured: Measured | undefined): string {
  if (measured === undefined) return "not measured";
  const { bytes, middleDecibels, wholeDecibels, cpuMs } = measured;
  return `${Math.round(bytes)} bytes, middle ${middleDecibels.toFixed(1)} dB, whole ${wholeDecibels.toFixed(1)}, ${cpuMs.toFixed(2)} ms of CPU`;
}

async function run(sizes: readonly string[]): Promise<number> {
  const rows: Row[] = [];
  for (const size of sizes.slice(0, options.smoke ? 1 : undefined)) rows.push(...(await measureSize(size)));
  return printReport(reportOf(options.smoke ? "foveation (smoke)" : "foveation", rows), options.json);
}

const asked = options.size.split(",");
const wrong = asked.find((size) => !SIZE.test(size));
if (options.help) console.log(HELP);
else if (wrong !== undefined) {
  console.error(`--size is of WIDTHxHEIGHTxHZ, got ${wrong}\n\n${HELP}`);
  process.exitCode = MISUSED;
} else process.exitCode = await run(asked);
