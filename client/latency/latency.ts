/**
 * Remote-path latency of each frame and its parts, and what holds over a sliding window. Pure.
 * From the pose being sampled to the frame rendered from it being decoded, by the client's clock alone; of the agent's
 * clock only differences are used.
 */
import type { FrameHeader } from "#contracts/media/frame.ts";

/** Ten seconds: long enough for a p95 at 30 Hz, short enough to see a change of place. */
export const WINDOW_MS = 10_000;
/** 90 Hz for the window. */
export const WINDOW_SAMPLES_MAX = 900;

export const LATENCY_PARTS = ["networkMs", "waitMs", "renderMs", "encodeMs", "decodeMs"] as const;
export type LatencyPart = (typeof LATENCY_PARTS)[number];

export interface LatencySample extends Readonly<Record<LatencyPart, number>> {
  /** The sum of the parts. */
  readonly remotePathMs: number;
  /** By how much the network part differs from the frame before (RFC 3550 section 6.4.1, unsmoothed). */
  readonly jitterMs: number;
}

export interface TimedFrame {
  readonly header: FrameHeader;
  readonly arrivedAtMs: number;
  readonly decodedAtMs: number;
}

/** Parts of the agent's clock are held within the whole: a broken clock over there cannot make time here. */
export function measureFrame(frame: TimedFrame, previous: LatencySample | undefined): LatencySample {
  const { header, arrivedAtMs, decodedAtMs } = frame;
  const remotePathMs = Math.max(0, decodedAtMs - header.poseSampledAtMs);
  const decodeMs = within(decodedAtMs - arrivedAtMs, remotePathMs);
  let leftMs = remotePathMs - decodeMs;
  const take = (ms: number): number => {
    const taken = within(ms, leftMs);
    leftMs -= taken;
    return taken;
  };
  const renderMs = take(header.renderedAtMs - header.renderStartedAtMs);
  const encodeMs = take(header.encodedAtMs - header.renderedAtMs);
  const waitMs = take(header.sentAtMs - header.poseReceivedAtMs - renderMs - encodeMs);
  const jitterMs = previous === undefined ? 0 : Math.abs(leftMs - previous.networkMs);
  return { remotePathMs, networkMs: leftMs, waitMs, renderMs, encodeMs, decodeMs, jitterMs };
}

function within(ms: number, maxMs: number): number {
  return Math.min(Math.max(0, ms), maxMs);
}

export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
}

export type LatencySummary = Readonly<Record<keyof LatencySample, Percentiles>> & {
  readonly renderEncodeMs: Percentiles;
  readonly samples: number;
  readonly frameRateHz: number;
};

interface Timed {
  readonly atMs: number;
  readonly sample: LatencySample;
}

export interface LatencyWindow {
  add(frame: TimedFrame): LatencySample;
  /** `undefined` while nothing is in the window. */
  summarise(nowMs: number): LatencySummary | undefined;
}

export function createLatencyWindow(): LatencyWindow {
  const entries: Timed[] = [];
  const dropOld = (nowMs: number): void => {
    const firstKept = entries.findIndex(({ atMs }) => nowMs - atMs <= WINDOW_MS);
    const tooOld = firstKept < 0 ? entries.length : firstKept;
    entries.splice(0, Math.max(tooOld, entries.length - WINDOW_SAMPLES_MAX));
  };
  return {
    add(frame) {
      const sample = measureFrame(frame, entries.at(-1)?.sample);
      entries.push({ atMs: frame.decodedAtMs, sample });
      dropOld(frame.decodedAtMs);
      return sample;
    },
    summarise(nowMs) {
      dropOld(nowMs);
      return summarise(entries);
    },
  };
}

function summarise(entries: readonly Timed[]): LatencySummary | undefined {
  const [first, last] = [entries[0], entries.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const of = (value: (sample: LatencySample) => number): Percentiles =>
    percentilesOf(entries.map(({ sample }) => value(sample)));
  const spanMs = last.atMs - first.atMs;
  return {
    remotePathMs: of((sample) => sample.remotePathMs),
    networkMs: of((sample) => sample.networkMs),
    waitMs: of((sample) => sample.waitMs),
    renderMs: of((sample) => sample.renderMs),
    encodeMs: of((sample) => sample.encodeMs),
    decodeMs: of((sample) => sample.decodeMs),
    jitterMs: of((sample) => sample.jitterMs),
    renderEncodeMs: of(({ waitMs, renderMs, encodeMs }) => waitMs + renderMs + encodeMs),
    samples: entries.length,
    frameRateHz: spanMs > 0 ? ((entries.length - 1) * 1000) / spanMs : 0,
  };
}

/** Nearest rank; zeros for no values. */
export function percentilesOf(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (ratio: number): number => sorted[Math.max(0, Math.ceil(sorted.length * ratio) - 1)] ?? 0;
  return { p50: rank(0.5), p95: rank(0.95) };
}
