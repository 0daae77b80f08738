/** Randomness as an argument: the port, the real source, and one that a seed replays. */
import { randomBytes, randomInt, randomUUID } from "node:crypto";

export interface Random {
  /** Uniform in [0, 1). */
  ratio(): number;
  /** Uniform in 0 … maxExclusive - 1. */
  integer(maxExclusive: number): number;
  bytes(count: number): Uint8Array;
  uuid(): string;
}

/** Cryptographically strong; `randomInt` takes ranges up to 2^48. */
export const systemRandom: Random = {
  ratio: () => randomInt(2 ** 47) / 2 ** 47,
  integer: (maxExclusive) => randomInt(maxExclusive),
  bytes: (count) => randomBytes(count),
  uuid: () => randomUUID(),
};

/** The same draws for the same seed: mulberry32, good enough for tests and simulation, never for keys. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const ratio = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (maxExclusive: number) => Math.floor(ratio() * maxExclusive);
  const bytes = (count: number) => Uint8Array.from({ length: count }, () => integer(256));
  return { ratio, integer, bytes, uuid: () => uuidFrom(bytes(16)) };
}

/** Version 4, variant 1 (RFC 9562 section 5.4). */
function uuidFrom(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
}
