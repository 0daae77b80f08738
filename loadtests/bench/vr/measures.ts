/** From a page's records to the measures of a run, and from runs to medians. Pure. */
import { percentile } from "#render-agent/session/frame-times.ts";
import { medianOf } from "#test/bench/report.ts";
import type { FrameRecord, StartRecord, WindowRecord } from "./records.ts";

/** Of the strict tier, from a pose to the picture decoded. */
export const BUDGET_MS = 30;
/** What a person sees as a picture that stands still. */
export const FREEZE_MS = 100;
const RATIOS = { p50: 0.5, p95: 0.95, p99: 0.99 } as const;

export interface Measure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

export interface StreamRate {
  readonly frameRateHz: number;
}

/** `undefined` where nothing was decoded in the window. */
export function measureWindow(window: WindowRecord, { frameRateHz }: StreamRate): readonly Measure[] | undefined {
  const [first, last] = [window.frames[0], window.frames.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const seconds = (window.toMs - window.fromMs) / 1000;
  const numbered = last.frameNumber - first.frameNumber + 1;
  // An agent that renders too few frames numbers too few: the class's rate is what was promised.
  const due = Math.max(numbered, Math.floor(seconds * frameRateHz));
  const drawn = new Set(window.drawings.map(({ poseId }) => poseId));
  const shown = window.frames.filter(({ poseId }) => drawn.has(poseId));
  const inTime = shown.filter((frame) => frame.decodedAtMs - frame.poseSampledAtMs <= BUDGET_MS);
  const share = (count: number): number => Math.min(100, (100 * count) / due);
  const gaps = gapsOf(window);
  return [
    ...latencies(window.frames),
    { name: "parts beside the whole, p99 of frames", unit: "ms", value: disagreement(window) },
    { name: "frames decoded", unit: "%", value: share(window.frames.length) },
    { name: "frames shown", unit: "%", value: share(shown.length) },
    { name: `frames shown, decoded within ${BUDGET_MS} ms`, unit: "%", value: share(inTime.length) },
    { name: `freezes over ${FREEZE_MS} ms`, unit: "count", value: gaps.filter((gap) => gap > FREEZE_MS).length },
    { name: "longest time with one picture", unit: "ms", value: Math.max(...gaps) },
    { name: "frame rate", unit: "Hz", value: window.frames.length / seconds },
  ];
}

/** By the library's own parts, and beside them the two ways by the clocks of both ends, which here are one machine's. */
function latencies(frames: readonly FrameRecord[]): readonly Measure[] {
  const names = Object.keys(frames[0]?.parts ?? {});
  const series: readonly (readonly [string, readonly number[]])[] = [
    ["pose to decoded", frames.map(({ remotePathMs }) => remotePathMs)],
    ...names.map((name) => [name.replace(/Ms$/, ""), frames.map(({ parts }) => parts[name] ?? 0)] as const),
    ["network up", frames.map((frame) => frame.poseReceivedAtMs - frame.poseSampledAtMs)],
    ["network down", frames.map((frame) => frame.arrivedAtMs - frame.sentAtMs)],
  ];
  return series.flatMap(([name, values]) =>
    Object.entries(RATIOS).map(([rank, ratio]) => ({
      name: `${name} ${rank}`,
      unit: "ms",
      value: percentile(values, ratio),
    })),
  );
}

/** Of each frame: the sum of the library's parts less what the page's own clock says from the pose to the picture. */
function disagreement({ frames, poses }: WindowRecord): number {
  const sampledAtMs = new Map(poses.map(({ poseId, atMs }) => [poseId, atMs]));
  const differences = frames.flatMap((frame) => {
    const fromMs = sampledAtMs.get(frame.poseId);
    if (fromMs === undefined) return [];
    const sum = Object.values(frame.parts).reduce((total, ms) => total + ms, 0);
    return [Math.abs(sum - (frame.notedAtMs - fromMs))];
  });
  return differences.length === 0 ? Number.NaN : percentile(differences, RATIOS.p99);
}

/** Between two drawings of different frames, the window's edges included. */
function gapsOf({ fromMs, toMs, drawings }: WindowRecord): readonly number[] {
  const changes = drawings.filter(({ poseId }, at) => poseId !== drawings[at - 1]?.poseId).map(({ atMs }) => atMs);
  const moments = [fromMs, ...changes, toMs];
  return moments.slice(1).map((atMs, at) => atMs - (moments[at] ?? fromMs));
}

/** From the call that starts a session to its first picture on the canvas, part by part. */
export function measureStart(start: StartRecord): readonly Measure[] {
  const parts: readonly (readonly [string, number, number])[] = [
    ["key and canvas", start.openedAtMs, start.createAtMs],
    ["create", start.createAtMs, start.createdAtMs],
    ["probe", start.createdAtMs, start.probedAtMs],
    ["place", start.probedAtMs, start.placedAtMs],
    ["offer", start.placedAtMs, start.offeredAtMs],
    ["lease", start.offeredAtMs, start.leasedAtMs],
    ["media and first frame", start.leasedAtMs, start.arrivedAtMs],
    ["decode", start.arrivedAtMs, start.decodedAtMs],
    ["draw", start.decodedAtMs, start.drawnAtMs],
  ];
  return [
    { name: "first frame", unit: "ms", value: start.drawnAtMs - start.openedAtMs },
    ...parts.map(([part, from, to]) => ({ name: `first frame: ${part}`, unit: "ms", value: to - from })),
  ];
}

/** Of each measure over the runs that have it, in the order of the first. */
export function mediansOf(runs: readonly (readonly Measure[])[]): readonly Measure[] {
  const first = runs[0] ?? [];
  return first.map(({ name, unit }) => {
    const values = runs.flatMap((run) => run.filter((measure) => measure.name === name).map(({ value }) => value));
    return { name, unit, value: medianOf(values) };
  });
}

export function findValue(measures: readonly Measure[], name: string): number | undefined {
  return measures.find((measure) => measure.name === name)?.value;
}
