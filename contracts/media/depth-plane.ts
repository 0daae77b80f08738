/**
 * Depth planes as bytes: each cell is predicted from its neighbours of the same plane, what is left is coded bit by bit.
 * Inverse depth of a flat surface is linear in the picture, so that floors and walls leave nothing. Pure; the same file
 * in the browser.
 */
import { Failure } from "#domain/failure.ts";
import { type BitCoder, BitReader, BitWriter } from "./bit-coder.ts";
import { type DepthShape, depthCellsOf } from "./depth-shape.ts";

/** Both eyes of 4096×4096 pixels. */
export const DEPTH_CELLS_MAX = 131_072;
/** By what the neighbours left: nothing, little, … */
const ACTIVITIES = 5;
const LENGTHS = 8;
const SIGN = ACTIVITIES;
const LENGTH = SIGN + 1;
const MANTISSA = LENGTH + ACTIVITIES * LENGTHS;
const CONTEXTS = MANTISSA + LENGTHS * LENGTHS;

/** `cells` are rows from the top, the left eye's plane first. */
export function encodeDepth(cells: Uint8Array, shape: DepthShape): Uint8Array<ArrayBuffer> {
  const writer = new BitWriter(CONTEXTS);
  walk(writer, cells.slice(0, depthCellsOf(shape)), shape);
  return writer.finish();
}

/** Throws `media-invalid` for too many cells, and for bytes that are more than the planes'. */
export function decodeDepth(bytes: Uint8Array, shape: DepthShape): Uint8Array<ArrayBuffer> {
  const count = depthCellsOf(shape);
  if (count > DEPTH_CELLS_MAX) {
    throw new Failure("media-invalid", `depth planes: must have at most ${DEPTH_CELLS_MAX} cells, got ${count}`);
  }
  const reader = new BitReader(CONTEXTS, bytes);
  const cells = new Uint8Array(count);
  walk(reader, cells, shape);
  if (reader.unread > 0) throw new Failure("media-invalid", `depth planes: ${reader.unread} bytes are left over`);
  return cells;
}

/** The same way through the cells for writing and reading: a cell is set to what was coded of it. */
function walk(coder: BitCoder, cells: Uint8Array, { columns, rows }: DepthShape): void {
  /** Of this row before the column, of the row above from there on. */
  const amounts = new Uint8Array(columns + 1);
  for (let eye = 0; eye < 2; eye += 1) {
    amounts.fill(0);
    for (let row = 0; row < rows; row += 1) {
      const start = (eye * rows + row) * columns;
      for (let column = 0; column < columns; column += 1) {
        const at = start + column;
        const predicted = predict(cells, at, { columns, isFirstRow: row === 0, isFirstColumn: column === 0 });
        const before = column === 0 ? 0 : (amounts[column - 1] ?? 0);
        const activity = activityOf(2 * before + 2 * (amounts[column] ?? 0) + (amounts[column + 1] ?? 0));
        const residual = codeResidual(coder, activity, toSigned((cells[at] ?? 0) - predicted));
        cells[at] = predicted + residual;
        amounts[column] = Math.abs(residual);
      }
    }
  }
}

interface CellPlace {
  readonly columns: number;
  readonly isFirstRow: boolean;
  readonly isFirstColumn: boolean;
}

/** The median edge detector of LOCO-I (Weinberger, Seroussi and Sapiro 2000). */
function predict(cells: Uint8Array, at: number, { columns, isFirstRow, isFirstColumn }: CellPlace): number {
  const west = cells[at - 1] ?? 0;
  const north = cells[at - columns] ?? 0;
  if (isFirstRow) return isFirstColumn ? 0 : west;
  if (isFirstColumn) return north;
  const corner = cells[at - columns - 1] ?? 0;
  if (corner >= Math.max(west, north)) return Math.min(west, north);
  if (corner <= Math.min(west, north)) return Math.max(west, north);
  return west + north - corner;
}

function activityOf(sum: number): number {
  if (sum === 0) return 0;
  if (sum < 3) return 1;
  if (sum < 8) return 2;
  return sum < 20 ? 3 : 4;
}

/** Of a byte's difference, -128..127. */
function toSigned(difference: number): number {
  return (difference << 24) >> 24;
}

/** Whether it is 0, its sign, how many bits its amount has, and those below the first. */
function codeResidual(coder: BitCoder, activity: number, residual: number): number {
  if (coder.code(activity, residual === 0 ? 0 : 1) === 0) return 0;
  const isNegative = coder.code(SIGN, residual < 0 ? 1 : 0) === 1;
  const wanted = Math.abs(residual);
  const wantedLength = 31 - Math.clz32(wanted);
  let length = 0;
  while (length < LENGTHS - 1) {
    if (coder.code(LENGTH + activity * LENGTHS + length, length < wantedLength ? 1 : 0) === 0) break;
    length += 1;
  }
  let amount = 1;
  for (let bit = length - 1; bit >= 0; bit -= 1) {
    amount = amount * 2 + coder.code(MANTISSA + length * LENGTHS + bit, (wanted >> bit) & 1);
  }
  return isNegative ? -amount : amount;
}
