/** What edges' reports say of a pool's stores: room for releases, and what is there to render from. Pure. */
import type { SiteStatus } from "../fleet/node.ts";

/** Of the smallest store of a pool's edges: the rest is for what is pulled, and for what goes only when its successor is there. */
export const STORE_RATIO_MAX = 0.8;

/** Bytes for published sites; undefined where no edge reports a store. */
export function roomBytesOf(storeBytesMax: readonly (number | undefined)[]): number | undefined {
  const known = storeBytesMax.flatMap((bytes = 0) => (bytes > 0 ? [bytes] : []));
  return known.length === 0 ? undefined : Math.min(...known) * STORE_RATIO_MAX;
}

/** The release is whole, or one before it is served until it is. */
export function isRenderable({
  activeGeneration,
  desiredGeneration,
  objectsMissing,
}: Pick<SiteStatus, "activeGeneration" | "desiredGeneration" | "objectsMissing">): boolean {
  return activeGeneration > 0 && (objectsMissing === 0 || activeGeneration < desiredGeneration);
}
