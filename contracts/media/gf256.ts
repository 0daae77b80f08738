/**
 * Arithmetic of bytes as elements of GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1, by tables: adding is XOR, multiplying
 * is one look-up. Pure; the same file in the browser.
 */
const ELEMENTS = 256;
const POLYNOMIAL = 0x11d;

/** Row f has f times each byte: 64 KiB, which a core's own cache holds. */
const PRODUCTS = makeProducts();
const INVERSES = makeInverses();

function makeProducts(): Uint8Array {
  const products = new Uint8Array(ELEMENTS * ELEMENTS);
  for (let factor = 0; factor < ELEMENTS; factor += 1) {
    for (let byte = 0; byte < ELEMENTS; byte += 1) products[factor * ELEMENTS + byte] = multiplySlowly(factor, byte);
  }
  return products;
}

function makeInverses(): Uint8Array {
  const inverses = new Uint8Array(ELEMENTS);
  for (let at = ELEMENTS; at < PRODUCTS.length; at += 1) if (PRODUCTS[at] === 1) inverses[at >> 8] = at & 0xff;
  return inverses;
}

function multiplySlowly(a: number, b: number): number {
  let product = 0;
  for (let [power, rest] = [a, b]; rest > 0; rest >>= 1) {
    if ((rest & 1) === 1) product ^= power;
    power = power & 0x80 ? (power << 1) ^ POLYNOMIAL : power << 1;
  }
  return product;
}

export function multiply(a: number, b: number): number {
  return PRODUCTS[a * ELEMENTS + b] ?? 0;
}

/** Of 0, which has none, it is 0. */
export function inverse(a: number): number {
  return INVERSES[a] ?? 0;
}

/** Adds `factor` times `bytes` to the beginning of `sum`, which is at least as long. */
export function addScaled(sum: Uint8Array, bytes: Uint8Array, factor: number): void {
  const { length } = bytes;
  if (factor === 1) {
    for (let at = 0; at < length; at += 1) sum[at] = (sum[at] ?? 0) ^ (bytes[at] ?? 0);
    return;
  }
  const row = PRODUCTS.subarray(factor * ELEMENTS, (factor + 1) * ELEMENTS);
  for (let at = 0; at < length; at += 1) sum[at] = (sum[at] ?? 0) ^ (row[bytes[at] ?? 0] ?? 0);
}

/** The inverse of a square matrix, row by row, by Gauss and Jordan; `undefined` where it has none. */
export function invertMatrix(matrix: Uint8Array, size: number): Uint8Array | undefined {
  const left = Array.from({ length: size }, (_, row) => matrix.slice(row * size, (row + 1) * size));
  const right = left.map((_, row) => Uint8Array.from({ length: size }, (_, column) => (row === column ? 1 : 0)));
  for (let column = 0; column < size; column += 1) {
    const pivot = left.findIndex((row, index) => index >= column && row[column] !== 0);
    if (pivot < 0) return undefined;
    for (const rows of [left, right]) {
      const [upper, lower] = [rows[column], rows[pivot]];
      if (upper !== undefined && lower !== undefined) [rows[column], rows[pivot]] = [lower, upper];
    }
    eliminate(left, right, column);
  }
  const inverted = new Uint8Array(size * size);
  for (const [row, values] of right.entries()) inverted.set(values, row * size);
  return inverted;
}

/** Makes the column 1 in its own row, and 0 in all others. */
function eliminate(left: readonly Uint8Array[], right: readonly Uint8Array[], column: number): void {
  const scale = inverse(left[column]?.[column] ?? 0);
  for (const rows of [left, right]) {
    const own = rows[column];
    if (own !== undefined) for (const [at, value] of own.entries()) own[at] = multiply(value, scale);
  }
  const [ownLeft, ownRight] = [left[column], right[column]];
  if (ownLeft === undefined || ownRight === undefined) return;
  for (let row = 0; row < left.length; row += 1) {
    const [otherLeft, otherRight] = [left[row], right[row]];
    if (row === column || otherLeft === undefined || otherRight === undefined) continue;
    const factor = otherLeft[column] ?? 0;
    if (factor === 0) continue;
    addScaled(otherLeft, ownLeft, factor);
    addScaled(otherRight, ownRight, factor);
  }
}
