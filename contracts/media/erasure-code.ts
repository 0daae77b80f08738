/**
 * A systematic Reed–Solomon code against lost fragments (Bloemer et al., ICSI TR-95-048): as many lost data fragments of
 * a block are made again as it has parity fragments, whichever they are. Pure; the same file in the browser.
 */
import { addScaled, inverse, invertMatrix, multiply } from "./gf256.ts";

/** Data and parity of a block: the code has an element of GF(2^8) for each, and one is left over. */
export const BLOCK_FRAGMENTS_MAX = 255;
const LAST_ELEMENT = 255;

/**
 * What parity `row` has of data fragment `column`: a Cauchy matrix, of which every square part has an inverse, with its
 * columns scaled so that row 0 is all ones. A block's first parity is therefore the XOR of its data.
 */
function coefficient(row: number, column: number): number {
  return multiply(LAST_ELEMENT ^ column, inverse((LAST_ELEMENT - row) ^ column));
}

/** Adds what parity `row` has of `data`, fragment `column` of its block, to it. A short fragment counts as filled up with zeros. */
export function addToParity(parity: Uint8Array, row: number, data: Uint8Array, column: number): void {
  addScaled(parity, data, coefficient(row, column));
}

export interface ErasedBlock {
  /** Each `bytes` long; those that were lost are zeros, and are filled in. */
  readonly data: readonly Uint8Array[];
  readonly lost: readonly number[];
  /** By row; as many as are lost at least. They are used up. */
  readonly parity: readonly { readonly row: number; readonly bytes: Uint8Array }[];
}

/** One look-up for each byte of each data fragment, and each lost fragment. */
export function repairBlock({ data, lost, parity }: ErasedBlock): void {
  const used = parity.slice(0, lost.length);
  const isLost = new Set(lost);
  for (const { row, bytes } of used) {
    for (const [column, fragment] of data.entries()) if (!isLost.has(column)) addToParity(bytes, row, fragment, column);
  }
  const equations = Uint8Array.from(used.flatMap(({ row }) => lost.map((column) => coefficient(row, column))));
  const solution = invertMatrix(equations, lost.length);
  if (solution === undefined) throw new Error("every square part of a Cauchy matrix has an inverse");
  for (const [at, column] of lost.entries()) {
    const fragment = data[column];
    for (const [term, { bytes }] of used.entries()) {
      if (fragment !== undefined) addScaled(fragment, bytes, solution[at * lost.length + term] ?? 0);
    }
  }
}
