/**
 * Cuts a frame into datagrams with parity, and puts it together again with what was lost made anew. A frame of more than
 * BLOCK_FRAGMENTS_MAX fragments is several blocks, interleaved: fragment i is of block i mod their number, data and
 * parity alike. Pure; the same file in the browser.
 */
import { Failure } from "#domain/failure.ts";
import { Assembly } from "./assembly.ts";
import { addToParity, BLOCK_FRAGMENTS_MAX } from "./erasure-code.ts";
import { FRAME_BYTES_MAX } from "./frame.ts";

/** Below the 1,200 bytes that every path carries with SCTP, DTLS, UDP and IP around them. */
export const FRAGMENT_BYTES_MAX = 1_100;
export const FRAGMENT_HEADER_BYTES = 16;
const PAYLOAD_BYTES = FRAGMENT_BYTES_MAX - FRAGMENT_HEADER_BYTES;
/** Parity over data while the loss of a path is not known: enough at 1 %. */
export const PARITY_RATIO = 0.2;
/** Frames that are looked after, whole ones too: four at 30 Hz are 130 ms, and what comes later is lost. */
export const ASSEMBLIES_MAX = 4;
const FRAGMENT_TYPE = 3;
const FRAGMENT_VERSION = 2;
/** As many blocks as parity fragments, each with the XOR of its data, which is what one parity of a block is. */
const FRAGMENT_VERSION_XOR = 1;

/** What the fragments of a frame have in common. */
export interface Shape {
  readonly frameNumber: number;
  readonly dataCount: number;
  readonly parityCount: number;
  readonly totalBytes: number;
  readonly blocks: number;
  /** Of each fragment, but the last of the data. */
  readonly payloadBytes: number;
}

/** How many of a frame's fragments are data; they come before the parity. */
export function countDataFragments(totalBytes: number): number {
  return Math.ceil(totalBytes / PAYLOAD_BYTES);
}

/** `bytes` is a whole frame as encodeFrame gives it; there is at least one parity fragment, and no more than data. */
export function cutFragments(
  frameNumber: number,
  bytes: Uint8Array,
  parityRatio = PARITY_RATIO,
): Uint8Array<ArrayBuffer>[] {
  const dataCount = countDataFragments(bytes.byteLength);
  const parityCount = Math.min(dataCount, Math.max(1, Math.ceil(dataCount * parityRatio)));
  const shape = shapeOf(frameNumber, bytes.byteLength, parityCount);
  const { blocks } = shape;
  const fragments = Array.from({ length: dataCount + parityCount }, (_, index) => beginFragment(shape, index));
  const parity = fragments.slice(dataCount).map((fragment) => fragment.subarray(FRAGMENT_HEADER_BYTES));
  for (let index = 0; index < dataCount; index += 1) {
    const payload = bytes.subarray(index * PAYLOAD_BYTES, (index + 1) * PAYLOAD_BYTES);
    fragments[index]?.set(payload, FRAGMENT_HEADER_BYTES);
    const [block, column] = [index % blocks, Math.floor(index / blocks)];
    for (let at = block; at < parityCount; at += blocks) {
      const sum = parity[at];
      if (sum !== undefined) addToParity(sum, Math.floor(at / blocks), payload, column);
    }
  }
  return fragments;
}

function shapeOf(frameNumber: number, totalBytes: number, parityCount: number): Shape {
  const dataCount = countDataFragments(totalBytes);
  const payloadBytes = Math.min(PAYLOAD_BYTES, totalBytes);
  return { frameNumber, dataCount, parityCount, totalBytes, blocks: countBlocks(dataCount, parityCount), payloadBytes };
}

/** One less than a block may have, since interleaving may give one both a data and a parity fragment more than another. */
function countBlocks(dataCount: number, parityCount: number): number {
  return Math.ceil((dataCount + parityCount) / (BLOCK_FRAGMENTS_MAX - 1));
}

/** Of the first block, which has the most. */
function blockFragmentsOf({ dataCount, parityCount, blocks }: Shape): number {
  return Math.ceil(dataCount / blocks) + Math.ceil(parityCount / blocks);
}

function beginFragment(shape: Shape, index: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FRAGMENT_HEADER_BYTES + lengthOf(shape, index));
  const view = new DataView(bytes.buffer);
  view.setUint8(0, FRAGMENT_TYPE);
  view.setUint8(1, FRAGMENT_VERSION);
  view.setUint16(2, index, true);
  view.setUint16(4, shape.dataCount, true);
  view.setUint16(6, shape.parityCount, true);
  view.setUint32(8, shape.frameNumber, true);
  view.setUint32(12, shape.totalBytes, true);
  return bytes;
}

interface Fragment {
  readonly shape: Shape;
  readonly index: number;
  readonly payload: Uint8Array;
}

function readFragment(bytes: Uint8Array): Fragment {
  if (bytes.byteLength <= FRAGMENT_HEADER_BYTES || bytes.byteLength > FRAGMENT_BYTES_MAX) throw invalid("length");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint8(1);
  const isKnown = version === FRAGMENT_VERSION || version === FRAGMENT_VERSION_XOR;
  if (view.getUint8(0) !== FRAGMENT_TYPE || !isKnown) throw invalid("type or version");
  const [dataCount, parityCount, totalBytes] = [
    view.getUint16(4, true),
    view.getUint16(6, true),
    view.getUint32(12, true),
  ];
  if (totalBytes === 0 || totalBytes > FRAME_BYTES_MAX) throw invalid("frame length");
  if (dataCount !== countDataFragments(totalBytes)) throw invalid("count of fragments");
  if (parityCount === 0 || parityCount > dataCount) throw invalid("count of parity fragments");
  const cut = shapeOf(view.getUint32(8, true), totalBytes, parityCount);
  const shape = version === FRAGMENT_VERSION_XOR ? { ...cut, blocks: parityCount } : cut;
  if (blockFragmentsOf(shape) > BLOCK_FRAGMENTS_MAX) throw invalid("count of blocks");
  const index = view.getUint16(2, true);
  const payload = bytes.subarray(FRAGMENT_HEADER_BYTES);
  if (index >= dataCount + parityCount) throw invalid("index");
  if (payload.byteLength !== lengthOf(shape, index)) throw invalid("payload length");
  return { shape, index, payload };
}

function lengthOf({ dataCount, totalBytes, payloadBytes }: Shape, index: number): number {
  return index < dataCount ? Math.min(payloadBytes, totalBytes - index * payloadBytes) : payloadBytes;
}

export interface AssembledFrame {
  readonly frameNumber: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Data fragments made again from parity. */
  readonly repaired: number;
}

/** Fragments as the network left them, before any repair. */
export interface FragmentLoss {
  readonly received: number;
  readonly lost: number;
}

/** Holds at most ASSEMBLIES_MAX frames; a newer one pushes the oldest out. Late and repeated fragments are ignored. */
export class FrameAssembler {
  readonly #assemblies = new Map<number, Assembly>();
  #newestDone = -1;
  #received = 0;
  #lost = 0;

  /** The whole frame when this fragment makes it so. Throws `media-invalid`. */
  add(bytes: Uint8Array): AssembledFrame | undefined {
    const { shape, index, payload } = readFragment(bytes);
    const assembly = this.#assemblies.get(shape.frameNumber) ?? this.#begin(shape);
    if (assembly === undefined) return undefined;
    if (!assembly.isOf(shape)) throw invalid("shape, other than its frame's");
    const whole = assembly.add(index, payload);
    if (whole === undefined) return undefined;
    this.#newestDone = shape.frameNumber;
    for (const [number, other] of this.#assemblies) if (number <= shape.frameNumber) other.giveUp();
    return { frameNumber: shape.frameNumber, bytes: whole, repaired: assembly.repaired };
  }

  /** Of the frames that have left since the last call: whatever of them was on its way has come, or will be too late. */
  takeLoss(): FragmentLoss {
    const loss = { received: this.#received, lost: this.#lost };
    this.#received = 0;
    this.#lost = 0;
    return loss;
  }

  #begin(shape: Shape): Assembly | undefined {
    if (shape.frameNumber <= this.#newestDone) return undefined;
    if (this.#assemblies.size >= ASSEMBLIES_MAX) {
      const oldest = Math.min(...this.#assemblies.keys());
      // One that was pushed out, or would be at once.
      if (shape.frameNumber < oldest) return undefined;
      this.#settle(oldest);
    }
    const assembly = new Assembly(shape);
    this.#assemblies.set(shape.frameNumber, assembly);
    return assembly;
  }

  #settle(frameNumber: number): void {
    const left = this.#assemblies.get(frameNumber);
    this.#assemblies.delete(frameNumber);
    this.#received += left?.received ?? 0;
    this.#lost += left?.missing ?? 0;
  }
}

function invalid(what: string): Failure {
  return new Failure("media-invalid", `fragment: wrong ${what}`);
}
