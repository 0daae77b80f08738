/** What no cache can be better than, knowing all requests to come: PFOO-L (Berger, Beckmann, Harchol-Balter 2018). */
import type { HitRatios, Trace } from "./trace.ts";

interface Interval {
  /** From a request for an object to the next for it, in requests. */
  readonly requests: number;
  readonly bytes: number;
}

/** Takes the intervals that cost the least of (bytes × time) for what they give, until all of it is used. */
export function boundOf(trace: Trace, capacityBytes: number): HitRatios {
  const intervals = intervalsOf(trace);
  const budget = capacityBytes * trace.objects.length;
  const allBytes = trace.bytes.reduce((sum, bytes) => sum + bytes, 0);
  const object = gained(intervals, budget, () => 1);
  return { object: object / trace.objects.length, byte: gained(intervals, budget, ({ bytes }) => bytes) / allBytes };
}

function intervalsOf({ objects, bytes, objectCount }: Trace): readonly Interval[] {
  const last = new Int32Array(objectCount).fill(-1);
  const intervals: Interval[] = [];
  for (const [at, object] of objects.entries()) {
    const before = last[object] ?? -1;
    if (before >= 0) intervals.push({ requests: at - before, bytes: bytes[at] ?? 0 });
    last[object] = at;
  }
  return intervals;
}

function gained(intervals: readonly Interval[], budget: number, gainOf: (interval: Interval) => number): number {
  const costOf = ({ requests, bytes }: Interval) => requests * bytes;
  const order = intervals.toSorted((a, b) => costOf(a) / gainOf(a) - costOf(b) / gainOf(b));
  let left = budget;
  let gain = 0;
  for (const interval of order) {
    left -= costOf(interval);
    if (left < 0) break;
    gain += gainOf(interval);
  }
  return gain;
}
