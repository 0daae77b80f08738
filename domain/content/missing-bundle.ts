/** What it costs a session that a pool does not hold all of its scene yet. Pure. */

/** A second of waiting before the scene is there weighs as much as this much of round trip in every frame. */
const MS_PER_SECOND_WAITED = 4;
/** A scene that takes longer to come is as bad as one that takes this long: distance in every frame is worse. */
export const MISSING_BUNDLE_MS_MAX = 40;

export interface BundleGap {
  /** Of the scene bundle, not held by the pool yet; 0 where it is whole. */
  readonly missingBytes: number;
  /** What the pool fetches with; 0 where it fetches nothing (it is cut off). */
  readonly fillBytesPerSecond: number;
}

/** A term of a session's decision, in milliseconds as its others are; 0 for a pool that lacks nothing. */
export function missingBundleMs({ missingBytes, fillBytesPerSecond }: BundleGap): number {
  if (missingBytes <= 0) return 0;
  if (fillBytesPerSecond <= 0) return MISSING_BUNDLE_MS_MAX;
  return Math.min(MISSING_BUNDLE_MS_MAX, (missingBytes / fillBytesPerSecond) * MS_PER_SECOND_WAITED);
}
