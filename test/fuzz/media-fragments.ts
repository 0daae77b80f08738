/** Fuzzes what puts frames together: fragments lost, doubled, out of order and forged, erasure code and depth planes. */
import { decodeDepth, encodeDepth } from "#contracts/media/depth-plane.ts";
import { depthCellsOf, depthShapeOf } from "#contracts/media/depth-shape.ts";
import { BLOCK_FRAGMENTS_MAX } from "#contracts/media/erasure-code.ts";
import { cutFragments, FRAGMENT_BYTES_MAX, FRAGMENT_HEADER_BYTES, FrameAssembler } from "#contracts/media/fragments.ts";
import { FRAME_BYTES_MAX } from "#contracts/media/frame.ts";
import type { Random } from "#platform/random.ts";
import { isOnceIn, mutatedBytes, pick } from "./mutations.ts";
import { check, type FuzzTarget, isIn, type Outcome, readOrRefused } from "./target.ts";

const PAYLOAD_BYTES = FRAGMENT_BYTES_MAX - FRAGMENT_HEADER_BYTES;

export const MEDIA_FRAGMENTS: readonly FuzzTarget[] = [
  { name: "fragments", share: 80, run: tryFragments },
  { name: "forged-shapes", share: 60, run: tryShapes },
  { name: "whole-blocks", share: 1, run: tryWholeBlocks },
  { name: "depth", share: 30, run: tryDepth },
];

/** Frames by their numbers; their first octet says which of two they are where a number is used twice. */
function frameBytes(random: Random): Uint8Array {
  const start = random.integer(256);
  const length = 1 + random.integer(isOnceIn(random, 10) ? 20_000 : 4_000);
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 64) bytes[at] = start + at;
  return bytes;
}

/** Up to six frames on one way; of each as many fragments are lost as come twice. */
function tryFragments(random: Random): Outcome {
  const assembler = new FrameAssembler();
  const isHostile = isOnceIn(random, 2);
  const sent = new Map<number, Uint8Array>();
  const onTheWay: Uint8Array[] = [];
  for (let count = 1 + random.integer(6); count > 0; count -= 1) {
    const number = random.integer(isOnceIn(random, 6) ? 2 ** 32 : 8);
    if (sent.has(number)) continue;
    const bytes = frameBytes(random);
    sent.set(number, bytes);
    for (const fragment of cutFragments(number, bytes, random.ratio())) {
      if (isOnceIn(random, 8)) continue;
      const place = isOnceIn(random, 3) ? random.integer(onTheWay.length + 1) : onTheWay.length;
      onTheWay.splice(place, 0, ...(isOnceIn(random, 8) ? [fragment, fragment] : [fragment]));
    }
  }
  const counts = { taken: 0, received: 0 };
  for (const fragment of onTheWay) {
    const isForged = isHostile && isOnceIn(random, 4);
    counts.received += addOne(
      assembler,
      isForged ? mutatedBytes(random, fragment) : fragment,
      isHostile ? undefined : sent,
    );
    counts.taken += 1;
    const { received, lost } = assembler.takeLoss();
    check(isIn(received, 0, 60_000) && isIn(lost, 0, 60_000), `${received} received, ${lost} lost`);
  }
  return counts.received > 0 ? "taken" : "refused";
}

/** 1 for a whole frame, which is the one that was sent where nothing was forged. */
function addOne(
  assembler: FrameAssembler,
  fragment: Uint8Array,
  sent: ReadonlyMap<number, Uint8Array> | undefined,
): number {
  const whole = readOrRefused(() => assembler.add(fragment), "media-invalid");
  if (whole === undefined) return 0;
  check(isIn(whole.bytes.byteLength, 1, FRAME_BYTES_MAX), `a frame of ${whole.bytes.byteLength} bytes`);
  if (sent === undefined) return 1;
  const bytes = sent.get(whole.frameNumber);
  check(
    bytes !== undefined && Buffer.compare(bytes, whole.bytes) === 0,
    `frame ${whole.frameNumber} is not what was sent`,
  );
  return 1;
}

interface Claim {
  readonly version: number;
  readonly index: number;
  readonly parityCount: number;
  readonly frameNumber: number;
  readonly totalBytes: number;
}

function forge({ version, index, parityCount, frameNumber, totalBytes }: Claim): Uint8Array<ArrayBuffer> {
  const dataCount = Math.ceil(totalBytes / PAYLOAD_BYTES);
  const usual = Math.min(PAYLOAD_BYTES, totalBytes);
  const length = index < dataCount ? Math.max(1, Math.min(usual, totalBytes - index * PAYLOAD_BYTES)) : usual;
  const bytes = new Uint8Array(FRAGMENT_HEADER_BYTES + length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 3);
  view.setUint8(1, version);
  view.setUint16(2, index, true);
  view.setUint16(4, dataCount, true);
  view.setUint16(6, parityCount, true);
  view.setUint32(8, frameNumber, true);
  view.setUint32(12, totalBytes, true);
  return bytes;
}

function lengthOf(random: Random): number {
  return pick(random, [
    1,
    100,
    PAYLOAD_BYTES,
    5_000,
    300_000,
    FRAME_BYTES_MAX,
    FRAME_BYTES_MAX + 1,
    1 + random.integer(6_000_000),
  ]);
}

/** Fragments that agree with themselves and claim whatever frames; none of it may cost more than what has come. */
function tryShapes(random: Random): Outcome {
  const assembler = new FrameAssembler();
  let isTaken = false;
  for (let count = 2 + random.integer(8); count > 0; count -= 1) {
    const totalBytes = lengthOf(random);
    const dataCount = Math.min(65_535, Math.ceil(totalBytes / PAYLOAD_BYTES));
    const parityCount = isOnceIn(random, 8) ? random.integer(65_536) : 1 + random.integer(dataCount);
    const index = random.integer(Math.min(65_536, dataCount + parityCount + 1));
    const frameNumber = isOnceIn(random, 8) ? 2 ** 32 - 1 - random.integer(3) : random.integer(12);
    const bytes = forge({ version: 1 + random.integer(2), index, parityCount, frameNumber, totalBytes });
    readOrRefused(() => {
      assembler.add(bytes);
      isTaken = true;
    }, "media-invalid");
  }
  return isTaken ? "taken" : "refused";
}

/** All but some fragments of a frame of many, of either version and any count of parity: each is whole or refused. */
function tryWholeBlocks(random: Random): Outcome {
  const assembler = new FrameAssembler();
  const dataCount = 2 + random.integer(2 * BLOCK_FRAGMENTS_MAX);
  const totalBytes = dataCount * PAYLOAD_BYTES - random.integer(PAYLOAD_BYTES);
  const parityCount = isOnceIn(random, 2) ? 1 + random.integer(4) : 1 + random.integer(dataCount);
  const claim = { version: 1 + random.integer(2), parityCount, frameNumber: 1, totalBytes };
  const lost = new Set(Array.from({ length: 1 + random.integer(parityCount) }, () => random.integer(dataCount)));
  let whole: number | undefined;
  for (let index = 0; index < dataCount + parityCount; index += 1) {
    if (lost.has(index)) continue;
    const bytes = forge({ ...claim, index });
    const found = readOrRefused(() => assembler.add(bytes), "media-invalid");
    if (found === undefined) continue;
    check(found.bytes.byteLength === totalBytes && whole === undefined, "another frame, or the same again");
    check(Buffer.compare(found.bytes, new Uint8Array(totalBytes)) === 0, "octets of nowhere");
    whole = index;
  }
  return whole === undefined ? "refused" : "taken";
}

function tryDepth(random: Random): Outcome {
  const isLarge = isOnceIn(random, 400);
  const side = () => (isLarge ? random.integer(65_536) : random.integer(160));
  const shape = depthShapeOf({ eyeWidthPixels: side(), eyeHeightPixels: side() });
  const count = depthCellsOf(shape);
  const cells = Uint8Array.from({ length: Math.min(count, 1_000) }, (_, at) =>
    isOnceIn(random, 6) ? random.integer(256) : at & 255,
  );
  const valid = isLarge || count > cells.length ? random.bytes(random.integer(200)) : encodeDepth(cells, shape);
  const isValid = !isLarge && count <= cells.length && isOnceIn(random, 4);
  const bytes = isValid ? valid : isOnceIn(random, 6) ? random.bytes(random.integer(400)) : mutatedBytes(random, valid);
  const planes = readOrRefused(() => decodeDepth(bytes, shape), "media-invalid");
  check(
    !isValid || (planes !== undefined && Buffer.compare(planes, cells) === 0),
    "planes are not read as they were written",
  );
  check(planes === undefined || planes.byteLength === count, "planes of another size");
  return planes === undefined ? "refused" : "taken";
}
