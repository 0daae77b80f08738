/** Randomness as an argument: the port that services take, and the only file that reads the machine's randomness. */
import { randomBytes, randomInt, randomUUID } from "node:crypto";
import { assert } from "#domain/assert.ts";

export interface Random {
  /** Uniform in [0, 1). */
  ratio(): number;
  /** Uniform whole number in [0, `maxExclusive`); `maxExclusive` is 1 to 2^32. */
  integer(maxExclusive: number): number;
  bytes(count: number): Uint8Array;
  /** UUID version 4 (RFC 9562 section 5.4). */
  uuid(): string;
}

const TWO_TO_32 = 0x1_0000_0000;

function assertRange(maxExclusive: number): void {
  assert(
    Number.isInteger(maxExclusive) && maxExclusive >= 1 && maxExclusive <= TWO_TO_32,
    `integer(${maxExclusive}): the bound is a whole number from 1 to 2^32`,
  );
}

/** The operating system's randomness: fit for keys and tokens. */
export const systemRandom: Random = {
  ratio: () => randomInt(TWO_TO_32) / TWO_TO_32,
  integer(maxExclusive) {
    assertRange(maxExclusive);
    return randomInt(maxExclusive);
  },
  bytes: (count) => new Uint8Array(randomBytes(count)),
  uuid: () => randomUUID(),
};

/** One step of splitmix32 (Steele, Lea, Flood 2014, in its 32-bit form); uniform in [0, 2^32). */
function splitMix32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e37_79b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0_aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a_2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}

function formatUuid4(bytes: Uint8Array): string {
  const hex = bytes.map((byte, index) =>
    index === 6 ? (byte & 0x0f) | 0x40 : index === 8 ? (byte & 0x3f) | 0x80 : byte,
  );
  const text = Buffer.from(hex).toString("hex");
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join("-");
}

/** The same sequence for the same seed, for simulation and replay; never for keys. */
export function seededRandom(seed: number): Random {
  const next = splitMix32(seed);
  const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => next() & 0xff);
  return {
    ratio: () => next() / TWO_TO_32,
    integer(maxExclusive) {
      assertRange(maxExclusive);
      return Math.floor((next() / TWO_TO_32) * maxExclusive);
    },
    bytes,
    uuid: () => formatUuid4(bytes(16)),
  };
}
