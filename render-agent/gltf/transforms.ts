/** Column-major matrices of nodes, from translation, rotation (a quaternion) and scale. Pure. */

/** 16 numbers. */
export type Matrix = readonly number[];
export type Numbers = readonly number[];

export interface Transform {
  readonly translation: Numbers;
  readonly rotation: Numbers;
  readonly scale: Numbers;
}

export function matrixOf({ translation, rotation, scale }: Transform): Matrix {
  const [x = 0, y = 0, z = 0, w = 1] = normalized(rotation);
  const [tx = 0, ty = 0, tz = 0] = translation;
  const [sx = 1, sy = 1, sz = 1] = scale;
  return [
    ...[sx * (1 - 2 * (y * y + z * z)), sx * 2 * (x * y + z * w), sx * 2 * (x * z - y * w), 0],
    ...[sy * 2 * (x * y - z * w), sy * (1 - 2 * (x * x + z * z)), sy * 2 * (y * z + x * w), 0],
    ...[sz * 2 * (x * z + y * w), sz * 2 * (y * z - x * w), sz * (1 - 2 * (x * x + y * y)), 0],
    ...[tx, ty, tz, 1],
  ];
}

export function multiplied(a: Matrix, b: Matrix): Matrix {
  const product: number[] = [];
  for (let column = 0; column < 4; column += 1) {
    for (let row = 0; row < 4; row += 1) {
      let sum = 0;
      for (let k = 0; k < 4; k += 1) sum += (a[k * 4 + row] ?? 0) * (b[column * 4 + k] ?? 0);
      product.push(sum);
    }
  }
  return product;
}

/** Of the upper left 3×3; negative of what mirrors. */
export function determinantOf(matrix: Matrix): number {
  const [a = 0, b = 0, c = 0, , d = 0, e = 0, f = 0, , g = 0, h = 0, i = 0] = matrix;
  return a * (e * i - f * h) - d * (b * i - c * h) + g * (b * f - c * e);
}

/** The quaternion of length 1; that of no rotation for one of length 0. */
export function normalized(quaternion: Numbers): Numbers {
  const length = Math.hypot(...quaternion);
  return length === 0 ? [0, 0, 0, 1] : quaternion.map((part) => part / length);
}

/** Along the shorter arc (glTF 2.0 appendix C.4). */
export function slerped(from: Numbers, to: Numbers, ratio: number): Numbers {
  const dot = from.reduce((sum, part, index) => sum + part * (to[index] ?? 0), 0);
  const angle = Math.acos(Math.min(1, Math.abs(dot)));
  // Nearly parallel ones divide by nearly nothing: their chord is as good.
  const [a, b] =
    angle < 1e-4
      ? [1 - ratio, ratio]
      : [Math.sin((1 - ratio) * angle) / Math.sin(angle), Math.sin(ratio * angle) / Math.sin(angle)];
  const sign = dot < 0 ? -1 : 1;
  return normalized(from.map((part, index) => part * a + (to[index] ?? 0) * b * sign));
}
