/** What is measured: sizes with their rates, links, and what each has to reach. Pure. */
import type { RenderClass } from "#domain/session/render-app.ts";
import type { LinkOptions } from "#platform/links/path.ts";
import type { Row } from "#test/bench/report.ts";
import { BUDGET_MS, FREEZE_MS, type Measure } from "./measures.ts";

export interface Size extends RenderClass {
  /** On loopback, from a pose to the picture decoded; `undefined` where nothing is promised. */
  readonly decodedMsP95Max: number | undefined;
}

const size = (eyeWidthPixels: number, eyeHeightPixels: number, frameRateHz: number, decodedMsP95Max?: number): Size => {
  return {
    name: `${eyeWidthPixels}x${eyeHeightPixels}`,
    eyeWidthPixels,
    eyeHeightPixels,
    frameRateHz,
    decodedMsP95Max,
  };
};

export const SIZES: readonly Size[] = [
  size(160, 180, 60, 12),
  size(320, 360, 60, 18),
  size(480, 540, 30, 22),
  size(640, 720, 30, 28),
];

const ANY_SIZE = /^(?<width>[1-9]\d{1,3})x(?<height>[1-9]\d{1,3})@(?<rate>[1-9]\d{1,2})$/;

/** By its name of those above, or any as `WIDTHxHEIGHT@HZ`; `undefined` for what is neither. */
export function sizeOf(text: string): Size | undefined {
  const known = SIZES.find(({ name }) => name === text);
  const { width, height, rate } = ANY_SIZE.exec(text)?.groups ?? {};
  if (known !== undefined || width === undefined) return known;
  return size(Number(width), Number(height), Number(rate));
}

export interface Way {
  readonly name: string;
  /** `undefined`: nothing between client and agent. */
  readonly link: Required<Pick<LinkOptions, "rttMs" | "jitterMs" | "lossRatio">> | undefined;
  /** What is promised over it is promised for so long; as long as others where absent. */
  readonly secondsMin?: number;
}

export const LOOPBACK: Way = { name: "loopback", link: undefined };

export function wayOf(rttMs: number, jitterMs: number, lossPercent: number): Way {
  const jitter = jitterMs > 0 ? `, ${jitterMs} ms jitter` : "";
  const loss = lossPercent > 0 ? `, ${lossPercent} % loss` : "";
  return { name: `${rttMs} ms RTT${jitter}${loss}`, link: { rttMs, jitterMs, lossRatio: lossPercent / 100 } };
}

/** By RTT, jitter and loss in percent. */
export const WAYS: readonly Way[] = [
  LOOPBACK,
  wayOf(5, 0, 0),
  wayOf(10, 0, 0),
  wayOf(20, 0, 0),
  wayOf(10, 0, 1),
  { ...wayOf(10, 5, 2), secondsMin: 60 },
];

/** What calibration left of the scene's segments: at less it is not the scene that is promised. */
export const LEVEL_OF_DETAIL = "level of detail";

/** The one over which a promise of its own is made. */
const PROMISED = wayOf(10, 0, 1).name;
/** The one over which no picture may stand still. */
const ROUGH = wayOf(10, 5, 2).name;
const PROMISED_MS: Readonly<Record<string, { readonly p50?: number; readonly p95: number }>> = {
  "320x360": { p95: 30 },
  "480x540": { p50: 26, p95: 32 },
};

type Target = Pick<Row, "target" | "atLeast">;
const NONE: Target = { target: null };

export function targetOf(size: Size, way: Way, measure: string): Target {
  const isPromised = way.link === undefined || way.name === PROMISED;
  switch (measure) {
    case "pose to decoded p95":
      if (way.link === undefined) return { target: size.decodedMsP95Max ?? null };
      return { target: way.name === PROMISED ? (PROMISED_MS[size.name]?.p95 ?? null) : null };
    case "pose to decoded p50":
      return { target: way.name === PROMISED ? (PROMISED_MS[size.name]?.p50 ?? null) : null };
    case "frames shown":
      return isPromised ? { target: 98, atLeast: true } : NONE;
    case LEVEL_OF_DETAIL:
      return isPromised ? { target: 1, atLeast: true } : NONE;
    case "first frame":
      return isPromised ? { target: 1_000 } : NONE;
    case "parts beside the whole, p99 of frames":
      return { target: 1 };
    case `freezes over ${FREEZE_MS} ms`:
      return way.name === ROUGH ? { target: 0 } : NONE;
    default:
      return NONE;
  }
}

/** Several at once: each within the budget, and no more memory than it was given room for. */
export function targetTogether(measure: string): Target {
  if (measure === "pose to decoded p95 of the slowest") return { target: BUDGET_MS };
  return measure === "memory of the largest session's process" ? { target: 150 } : NONE;
}

/** `place` says size and way. */
export function rowsOf(
  place: string,
  measures: readonly Measure[],
  targetFor: ((measure: string) => Target) | undefined,
): readonly Row[] {
  return measures.map(({ name, value, unit }) => ({
    row: `${place}: ${name}`,
    value: Number(value.toFixed(2)),
    unit,
    baseline: null,
    ...(targetFor?.(name) ?? NONE),
  }));
}

export function describeSize({ name, frameRateHz }: RenderClass): string {
  return `2×${name.replace("x", "×")} ${frameRateHz} Hz`;
}
