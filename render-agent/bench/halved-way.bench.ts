/** A real session's stream while its way carries half for ten seconds: how long frames take, and how much they hold. */
import { join } from "node:path";
import { createFrameReporter } from "#client/media/frame-reporter.ts";
import type { Frame } from "#contracts/media/frame.ts";
import { systemClock as clock } from "#platform/clock.ts";
import { startUdpLink } from "#platform/links/udp-link.ts";
import { bindUdpRange } from "#platform/links/udp-ports.ts";
import { systemRandom as random } from "#platform/random.ts";
import { parseOptions } from "#test/bench/options.ts";
import { medianOf, printReport, type Row, reportOf } from "#test/bench/report.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { type OfferingViewer, offerViewer } from "#test/render-agent/viewer.ts";
import { findVulkan, prepareVulkan } from "../renderer/software-vulkan.ts";
import { startSessionProcess } from "../session/session-process.ts";

const ROOT = join(import.meta.dirname, "../..");
const HOST = "127.0.0.1";
const RTT_MS = 10;
const LOOK_MS = 5;
const TURN_DEGREES = 0.6;
const FRAME_HEADER_BYTES = 64;

const HELP = `node render-agent/bench/halved-way.bench.ts [options]: a stream while its way carries half for 10 s
  --kilobytes <count> a second that the way carries (400)
  --smoke             a second of each: shows that it runs, measures nothing
  --json              the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  kilobytes: { type: "string", default: "400" },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

interface Arrival {
  readonly atMs: number;
  /** From the agent's sending to the arrival: one machine, one clock. */
  readonly wayMs: number;
  readonly bytes: number;
}

async function freePort(): Promise<number> {
  const [socket] = await bindUdpRange({ host: HOST, port: 0 }, 1);
  const port = socket?.address().port ?? 0;
  await new Promise<void>((resolve) => socket?.close(() => resolve()));
  return port;
}

async function openStream(rateBytesPerSecond: number, stack: AsyncDisposableStack) {
  const [port, linkPort] = [await freePort(), await freePort()];
  const target = { host: HOST, port };
  const listen = { host: HOST, port: linkPort };
  const link = stack.use(await startUdpLink({ listen, target, rttMs: RTT_MS, rateBytesPerSecond, clock, random }));
  const [vulkan = { kind: "device" as const }] = await findVulkan();
  const environment = await prepareVulkan(vulkan, join(ROOT, ".cache/vulkan"));
  const session = await startSessionProcess({ clock, environment });
  stack.defer(() => session.stop("measured"));
  await session.setUp({
    renderClass: { name: "small", eyeWidthPixels: 160, eyeHeightPixels: 180, frameRateHz: 30 },
    detail: 0.12,
    sceneFile: join(ROOT, "deploy/one-machine/sample/scene/hall.json"),
    media: { bindAddress: HOST, port, advertise: { address: HOST, portOffset: linkPort - port } },
  });
  const viewer = stack.use(await offerViewer());
  viewer.answer(await session.accept(viewer.offerSdp));
  await patiently(() => viewer.received.frames.length > 0, "frames");
  return { viewer, carry: (rate: number) => link.set({ rttMs: RTT_MS, rateBytesPerSecond: rate }) };
}

/** Reports as the client does, and turns its head all the while. */
function watch(viewer: OfferingViewer): { readonly arrivals: readonly Arrival[]; readonly watching: Disposable } {
  const reporter = createFrameReporter();
  const arrivals: Arrival[] = [];
  let [seen, yawDegrees] = [0, 0];
  const take = ({ header, accessUnit }: Frame): void => {
    const arrivedAtMs = clock.nowMs();
    const wayMs = arrivedAtMs - header.sentAtMs;
    const bytes = accessUnit.byteLength + FRAME_HEADER_BYTES;
    arrivals.push({ atMs: clock.monotonicMs(), wayMs, bytes });
    // This viewer's poses have no time of a clock: what the agent took ends with what its frame took on the way.
    const poseSampledAtMs = arrivedAtMs - wayMs - (header.sentAtMs - header.poseReceivedAtMs);
    const report = reporter.arrive({ header: { ...header, poseSampledAtMs }, bytes, arrivedAtMs });
    if (report !== undefined) viewer.say({ type: "frame-report", ...report });
  };
  const watching = clock.every(LOOK_MS, () => {
    const { frames } = viewer.received;
    for (const frame of frames.slice(seen)) take(frame);
    seen = frames.length;
    yawDegrees += TURN_DEGREES;
    viewer.turnTo(yawDegrees);
  });
  return { arrivals, watching };
}

async function run(): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const rate = Number(options.kilobytes) * 1_000;
  const stageMs = options.smoke ? 1_000 : 10_000;
  const { viewer, carry } = await openStream(rate, stack);
  const { arrivals, watching } = watch(viewer);
  stack.use(watching);
  await clock.sleep(stageMs);
  const halvedAtMs = clock.monotonicMs();
  carry(rate / 2);
  await clock.sleep(stageMs);
  const restoredAtMs = clock.monotonicMs();
  carry(rate);
  await clock.sleep(stageMs);
  const between = (fromMs: number, toMs: number) => arrivals.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
  const before = between(halvedAtMs - stageMs * 0.3, halvedAtMs);
  const held = between(halvedAtMs + stageMs * 0.1, restoredAtMs);
  const lowest = between(restoredAtMs - stageMs * 0.3, restoredAtMs);
  const after = between(restoredAtMs + stageMs * 0.5, restoredAtMs + stageMs * 0.8);
  const report = reportOf(options.smoke ? "halved-way (smoke)" : "halved-way", rowsOf({ before, held, lowest, after }));
  return printReport(report, options.json);
}

function rowsOf({ before, held, lowest, after }: Readonly<Record<string, readonly Arrival[]>>): readonly Row[] {
  const wayOf = (arrivals: readonly Arrival[] = []): number => Math.round(medianOf(arrivals.map(({ wayMs }) => wayMs)));
  const p95Of = (arrivals: readonly Arrival[] = []): number =>
    Math.round(arrivals.map(({ wayMs }) => wayMs).toSorted((a, b) => a - b)[Math.floor(arrivals.length * 0.95)] ?? 0);
  const sizeOf = (arrivals: readonly Arrival[] = []): number =>
    Math.round(arrivals.reduce((sum, { bytes }) => sum + bytes, 0) / Math.max(1, arrivals.length));
  const back = sizeOf(after) / sizeOf(before);
  const [periodMs, backTarget] = options.smoke ? [null, null] : [1000 / 30, 0.9];
  return [
    { row: "way_median_from_1_s", value: wayOf(held), unit: "ms", baseline: wayOf(before), target: periodMs },
    { row: "way_p95_from_1_s", value: p95Of(held), unit: "ms", baseline: p95Of(before), target: null },
    { row: "frame_bytes_halved", value: sizeOf(lowest), unit: "bytes", baseline: sizeOf(before), target: null },
    {
      row: "quality_5_s_after",
      value: Number(back.toFixed(2)),
      unit: "of before",
      baseline: null,
      target: backTarget,
      atLeast: true,
    },
  ];
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
