/**
 * Where the head will be when the picture rendered for it is drawn: it goes on turning and moving as it did in the last
 * moments. What is wrong about it the display sets right by reprojection; what is right about it no longer shows at
 * borders and behind edges. Pure.
 */
import type { Quaternion, Vector3 } from "#contracts/media/pose.ts";
import type { HeadPose } from "./head-pose.ts";
import { conjugate, multiply } from "./rotation.ts";

/** Farther ahead a head does something else. */
export const PREDICTION_MS_MAX = 60;
/** What it did is taken over this long, three poses at 30 Hz: shorter, a sensor's noise is thrown ahead with it. */
const SPAN_MS = 70;
/** Of what it did, in one step: a head that moves does some of it in each. */
const STEP_RATIO_MAX = 0.7;
/** A head turns by at most 600 degrees a second and goes by a few metres: what does more was put somewhere else. */
const DEGREES_PER_SECOND_MAX = 600;
const METRES_PER_SECOND_MAX = 5;

interface Sample {
  readonly head: HeadPose;
  readonly atMs: number;
}

export interface HeadPredictor {
  /** As it is now; times never go back. */
  add(head: HeadPose, atMs: number): void;
  /** The newest head as it will be at a time, at most `PREDICTION_MS_MAX` after it was added; `undefined` before the first. */
  at(timeMs: number): HeadPose | undefined;
}

export function createHeadPredictor(): HeadPredictor {
  const samples: Sample[] = [];
  return {
    add(head, atMs) {
      while (samples[0] !== undefined && atMs - samples[0].atMs > SPAN_MS) samples.shift();
      samples.push({ head, atMs });
    },
    at(timeMs) {
      const [first, last] = [samples[0], samples.at(-1)];
      if (first === undefined || last === undefined) return undefined;
      const aheadMs = Math.min(Math.max(timeMs - last.atMs, 0), PREDICTION_MS_MAX);
      const spanMs = last.atMs - first.atMs;
      return spanMs > 0 && isSteady(samples) ? continued(first.head, last.head, { spanMs, aheadMs }) : last.head;
    },
  };
}

/** False for a head that was put elsewhere within the span, by a person's click or a page. */
function isSteady(samples: readonly Sample[]): boolean {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) return false;
  const steps = samples.slice(1).map(({ head }, at) => ({ from: samples[at]?.head ?? head, to: head }));
  return [degreesBetween, metresBetween].every((measure) => {
    const each = steps.map(({ from, to }) => measure(from, to));
    const sum = each.reduce((total, one) => total + one, 0);
    if (sum < STILL) return true;
    return Math.max(...each) <= STEP_RATIO_MAX * sum && measure(first.head, last.head) >= STRAIGHT_RATIO_MIN * sum;
  });
}

/** Of all steps, what they come to: who goes back and forth is nowhere else soon. */
const STRAIGHT_RATIO_MIN = 0.8;

/** Degrees or metres that are none. */
const STILL = 1e-6;

function degreesBetween({ orientation: from }: HeadPose, { orientation: to }: HeadPose): number {
  return turnOf(multiply(to, conjugate(from))).degrees;
}

function metresBetween(from: HeadPose, to: HeadPose): number {
  return Math.hypot(...wayOf(from, to));
}

function wayOf({ position: from }: HeadPose, { position: to }: HeadPose): readonly [number, number, number] {
  return [to.x - from.x, to.y - from.y, to.z - from.z];
}

function continued(from: HeadPose, to: HeadPose, { spanMs, aheadMs }: { spanMs: number; aheadMs: number }): HeadPose {
  const { axis, degrees } = turnOf(multiply(to.orientation, conjugate(from.orientation)));
  const way = wayOf(from, to);
  const perSecond = 1000 / spanMs;
  const isPlaced =
    degrees * perSecond > DEGREES_PER_SECOND_MAX || Math.hypot(...way) * perSecond > METRES_PER_SECOND_MAX;
  if (isPlaced) return to;
  const ratio = aheadMs / spanMs;
  const [x, y, z] = way;
  return {
    ...to,
    orientation: multiply(turnBy(axis, degrees * ratio), to.orientation),
    position: { x: to.position.x + x * ratio, y: to.position.y + y * ratio, z: to.position.z + z * ratio },
  };
}

/** The shorter way round; about any axis where there is no turn. */
function turnOf({ x, y, z, w }: Quaternion): { readonly axis: Vector3; readonly degrees: number } {
  const sine = Math.hypot(x, y, z);
  if (sine < 1e-9) return { axis: { x: 0, y: 1, z: 0 }, degrees: 0 };
  const side = w < 0 ? -1 : 1;
  const degrees = (2 * Math.atan2(sine, Math.abs(w)) * 180) / Math.PI;
  return { axis: { x: (side * x) / sine, y: (side * y) / sine, z: (side * z) / sine }, degrees };
}

function turnBy({ x, y, z }: Vector3, degrees: number): Quaternion {
  const half = (degrees * Math.PI) / 360;
  const sine = Math.sin(half);
  return { x: x * sine, y: y * sine, z: z * sine, w: Math.cos(half) };
}
