/** Sound beside its picture in a real browser, and frame times with sound and without, in turns of one session. */
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { bundleLibrary } from "#client/bundle.ts";
import { percentilesOf } from "#client/latency/latency.ts";
import { systemClock } from "#platform/clock.ts";
import { parseOptions } from "#test/bench/options.ts";
import { medianOf, printReport, type Row, reportOf } from "#test/bench/report.ts";
import { createAgentStarter, startAgent } from "#test/browser/agents.ts";
import { openPageWorld } from "#test/browser/page-world.ts";

/** Nobody takes sound up to so much before or after its picture for wrong. */
const EARLY_MS_MAX = 20;
const LATE_MS_MAX = 45;
/** Of a frame's median time: what turns without any change differ by. */
const SAME_RATIO_MAX = 1.05;
const WAIT_MS_MAX = 60_000;
/** Of each turn, uncounted: sound begins and ends in it. */
const SETTLING_MS = 1_000;
/** The smallest that a latency is promised for (`npm run bench:vr`). */
const RENDER_CLASS = { name: "small", eyeWidthPixels: 160, eyeHeightPixels: 180, frameRateHz: 60 };
const SMOKE_TURNS = 2;

const HELP = `npm run bench:sound -- [options]: how far sound is from its picture, and what it costs frames, in Chromium
  --turns <count>    with sound, and so many without (8)
  --seconds <count>  of each (4)
  --smoke            ${SMOKE_TURNS} of each of a second: judged by nobody
  --json             the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  turns: { type: "string", default: "8" },
  seconds: { type: "string", default: "4" },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

const HALL = join(import.meta.dirname, "../../deploy/one-machine/sample/scene/hall.json");
const SOUNDS = [220, 330, 440, 550].map((hertz, at) => ({
  ...{ name: `hum-${hertz}`, tone: { hertz }, position: [at - 1.5, 1.6, -2], loop: true, plays: true },
}));
/** What the agent takes for a frame, of each: nothing of the browser is in it. */
const PAGE = `<!doctype html><canvas width="320" height="240" tabindex="0"></canvas><script type="module">
  import { createSession } from "./perigee.js";
  const settings = await (await fetch("config.json")).json();
  window.frames = [];
  window.session = await createSession({ ...settings, canvas: document.querySelector("canvas") });
  session.on("frame", ({ waitMs, renderMs, encodeMs }) => frames.push(waitMs + renderMs + encodeMs));
</script>`;

const framesSchema = Type.Array(Type.Number());
const offsetSchema = Type.Object({ p5: Type.Number(), p50: Type.Number(), p95: Type.Number() });
const statisticsSchema = Type.Object({
  audio: Type.Object({
    phase: Type.Literal("on"),
    underruns: Type.Integer(),
    packetsLost: Type.Integer(),
    bufferMs: Type.Number(),
  }),
  audioToPictureMs: offsetSchema,
});

interface Turn {
  readonly p50: number;
  readonly p95: number;
}

async function openPage(stack: AsyncDisposableStack): Promise<Page> {
  const folder = await mkdtemp(join(tmpdir(), "perigee-sound-"));
  await bundleLibrary(folder);
  await writeFile(join(folder, "index.html"), PAGE);
  const scene: unknown = JSON.parse(await readFile(HALL, "utf8"));
  const sceneFile = join(folder, "scene.json");
  await writeFile(sceneFile, JSON.stringify({ ...Object(scene), sounds: SOUNDS }));
  const agent = await startAgent("agent-1", await createAgentStarter(), { sceneFile, renderClass: RENDER_CLASS });
  const { services, page } = await openPageWorld(
    { teardown: (end: () => unknown) => void stack.defer(async () => void (await end())) },
    { folder, webrtc: [agent], height: 320, waitMs: WAIT_MS_MAX },
  );
  await page.goto(services.pageUrl);
  await page.waitForFunction("window.frames?.length > 30");
  // What a person does so that sound may begin.
  await page.click("canvas");
  await page.waitForFunction("session.statistics().audioToPictureMs !== undefined");
  return page;
}

async function takeTurn(page: Page, isOn: boolean, forMs: number): Promise<Turn> {
  await page.evaluate(`session.setAudio(${isOn})`);
  await systemClock.sleep(SETTLING_MS);
  await page.evaluate("frames.length = 0");
  await systemClock.sleep(forMs);
  const frames = Value.Parse(framesSchema, await page.evaluate("frames"));
  if (frames.length === 0)
    throw new Error(`no pictures came: ${JSON.stringify(await page.evaluate("session.state()"))}`);
  return percentilesOf(frames);
}

async function run(turns: number, forMs: number): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const page = await openPage(stack);
  const [on, off]: [Turn[], Turn[]] = [[], []];
  for (let turn = 0; turn < turns; turn += 1) {
    // What slows a machine down for a while meets both.
    const isOnFirst = turn % 2 === 0;
    for (const isOn of [isOnFirst, !isOnFirst]) (isOn ? on : off).push(await takeTurn(page, isOn, forMs));
  }
  await takeTurn(page, true, forMs);
  const seen = await page.evaluate("session.statistics()");
  const { audio, audioToPictureMs } = Value.Parse(statisticsSchema, Value.Clean(statisticsSchema, seen));
  const rows = [...offsetRows(audioToPictureMs), ...frameRows(on, off), ...ringRows(audio)];
  return printReport(reportOf(options.smoke ? "sound (smoke)" : "sound", rows), options.json);
}

const rounded = (value: number): number => Number(value.toFixed(2));

function offsetRows({ p5, p50, p95 }: Static<typeof offsetSchema>): Row[] {
  const row = { unit: "ms", baseline: null };
  const [early, late] = options.smoke ? [null, null] : [-EARLY_MS_MAX, LATE_MS_MAX];
  return [
    { ...row, row: "sound after picture, p5", value: rounded(p5), target: early, atLeast: true },
    { ...row, row: "sound after picture, p50", value: rounded(p50), target: late },
    { ...row, row: "sound after picture, p95", value: rounded(p95), target: late },
  ];
}

function frameRows(on: readonly Turn[], off: readonly Turn[]): Row[] {
  const ratioOf = (of: (turn: Turn) => number): number =>
    rounded(medianOf(on.map((turn, at) => of(turn) / of(off[at] ?? turn))));
  const medianMs = (all: readonly Turn[], of: (turn: Turn) => number): number => rounded(medianOf(all.map(of)));
  const [p50, p95] = [(turn: Turn) => turn.p50, (turn: Turn) => turn.p95];
  const row = { unit: "of without", baseline: null };
  return [
    { row: "frame, p50", value: medianMs(on, p50), unit: "ms", baseline: medianMs(off, p50), target: null },
    { row: "frame, p95", value: medianMs(on, p95), unit: "ms", baseline: medianMs(off, p95), target: null },
    { ...row, row: "frame with sound, p50", value: ratioOf(p50), target: options.smoke ? null : SAME_RATIO_MAX },
    { ...row, row: "frame with sound, p95", value: ratioOf(p95), target: null },
  ];
}

function ringRows({ underruns, packetsLost, bufferMs }: Static<typeof statisticsSchema>["audio"]): Row[] {
  const row = { baseline: null, target: null };
  return [
    { ...row, row: "held at the end", value: rounded(bufferMs), unit: "ms" },
    { ...row, row: "underruns", value: underruns, unit: "times" },
    { ...row, row: "packets lost", value: packetsLost, unit: "packets" },
  ];
}

if (options.help) console.log(HELP);
else
  process.exitCode = options.smoke
    ? await run(SMOKE_TURNS, 1_000)
    : await run(Number(options.turns), Number(options.seconds) * 1_000);
