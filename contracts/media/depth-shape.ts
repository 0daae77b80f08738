/** The shape and unit of the depth planes that go with a frame: per eye the nearest inverse depth of each block. Pure. */

/** 8 bits of inverse depth reach to here; what is nearer counts as this near. */
export const NEAREST_METRES = 0.25;
/** What a cell of 255 stands for, per metre; 0 is as far as the sky. */
export const INVERSE_DEPTH_PER_METRE_MAX = 1 / NEAREST_METRES;
const BLOCK_PIXELS = 8;
const LARGE_BLOCK_PIXELS = 16;
/** Above it blocks are larger: depth changes with objects, not with pixels. */
const EYE_PIXELS_FINE_MAX = 1_000_000;

export interface DepthShape {
  /** Of a block, both ways; the last of a row or column may be cut. */
  readonly blockPixels: number;
  /** Of one eye. */
  readonly columns: number;
  readonly rows: number;
}

export interface EyeSize {
  readonly eyeWidthPixels: number;
  readonly eyeHeightPixels: number;
}

export function depthShapeOf({ eyeWidthPixels, eyeHeightPixels }: EyeSize): DepthShape {
  const isFine = eyeWidthPixels * eyeHeightPixels <= EYE_PIXELS_FINE_MAX;
  const blockPixels = isFine ? BLOCK_PIXELS : LARGE_BLOCK_PIXELS;
  return {
    blockPixels,
    columns: Math.ceil(eyeWidthPixels / blockPixels),
    rows: Math.ceil(eyeHeightPixels / blockPixels),
  };
}

/** Of both eyes: a plane's rows from the top, the left eye's plane first. */
export function depthCellsOf({ columns, rows }: DepthShape): number {
  return columns * rows * 2;
}
