/** What becomes of valid messages on their way through a hostile hand: of bytes, of texts, of JSON. Pure but for its Random. */
import type { Random } from "#platform/random.ts";

/** Ends, signs and lengths that are too long. */
const OCTETS = [0, 1, 2, 3, 4, 15, 16, 63, 64, 127, 128, 191, 192, 254, 255];
const NUMBERS = [
  ...[0, -0, 1, -1, 0.5, 2, 7, 8, 9, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53, -(2 ** 53)],
  ...[1e-300, 1e21, 1e300, -1e300, 4_194_304, 4_194_305, 1_000_000, 1_000_001, 60_000, 60_000.5],
];
const TEXTS = [
  "",
  "a",
  "0",
  "null",
  "__proto__",
  "constructor",
  "toString",
  "\0",
  "\ud800",
  "\r\n",
  "é".repeat(70),
  "[object Object]",
];
/** What parsers of descriptions and of JSON trip over. */
const TOKENS = [
  ...[
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "=",
    ":",
    "/",
    "-",
    ",",
    "\u2028",
    "\ud83d",
    "{",
    "}",
    "[",
    "]",
    '"',
    "\\",
    "\\u0000",
    "1e999",
  ],
  ...["a=", "m=", "v=0\r\n", "a=candidate:", " typ host", "a=end-of-candidates\r\n", "m=application 9 UDP/DTLS/SCTP "],
  ...[
    "99999999999999999999",
    "-1",
    "NaN",
    "null",
    "true",
    "0x7f",
    "%s%n",
    "::1",
    "127.0.0.1",
    "a=mid:0\r\n",
    "a=setup:",
  ],
];

export function pick<T>(random: Random, from: readonly T[]): T {
  const found = from[random.integer(from.length)];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
}

/** One time in so many. */
export function isOnceIn(random: Random, count: number): boolean {
  return random.integer(count) === 0;
}

export function mutatedBytes(random: Random, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  let result = new Uint8Array(bytes);
  for (let step = random.integer(4); step >= 0; step -= 1) result = mutatedOnce(random, result);
  return result;
}

function mutatedOnce(random: Random, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const at = random.integer(bytes.length + 1);
  switch (random.integer(8)) {
    case 0:
      return bytes.slice(0, at);
    case 1:
      return joined(bytes.subarray(0, at), random.bytes(1 + random.integer(24)), bytes.subarray(at));
    case 2:
      return joined(bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + random.integer(8))));
    case 3:
      return joined(bytes.subarray(0, at), bytes.subarray(at, at + random.integer(32)), bytes.subarray(at));
    default:
      return withOctets(random, bytes, at);
  }
}

/** In place: what is mutated is a copy already. */
function withOctets(random: Random, bytes: Uint8Array<ArrayBuffer>, at: number): Uint8Array<ArrayBuffer> {
  const count = pick(random, [1, 1, 2, 4, 8]);
  const isEven = isOnceIn(random, 3);
  const octet = pick(random, OCTETS);
  for (let index = at; index < Math.min(bytes.length, at + count); index += 1)
    bytes[index] = isEven ? octet : random.integer(256);
  return bytes;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function mutatedText(random: Random, text: string): string {
  let result = text;
  for (let step = random.integer(3); step >= 0; step -= 1) {
    const at = random.integer(result.length + 1);
    const to = Math.min(result.length, at + random.integer(12));
    const [before, within, after] = [result.slice(0, at), result.slice(at, to), result.slice(to)];
    switch (random.integer(6)) {
      case 0:
        result = before + after;
        break;
      case 1:
        result = before + within + within + after;
        break;
      case 2:
        result =
          before + String.fromCharCode(random.integer(isOnceIn(random, 4) ? 65_536 : 256)) + result.slice(at + 1);
        break;
      case 3:
        result = before;
        break;
      case 4:
        result = before + within + pick(random, TOKENS).repeat(isOnceIn(random, 200) ? 5_000 : 1) + after;
        break;
      default:
        result = before + pick(random, TOKENS) + after;
    }
  }
  return result;
}

/** One of its values changed, taken out, or put in. */
export function mutatedJson(random: Random, value: unknown): unknown {
  if (Array.isArray(value) && value.length > 0 && !isOnceIn(random, 4)) {
    const at = random.integer(value.length);
    return value.with(at, mutatedJson(random, value[at]));
  }
  if (typeof value !== "object" || value === null || isOnceIn(random, 8)) return strangeJson(random);
  const entries = Object.entries(value);
  const at = random.integer(entries.length + 1);
  const [name, old] = entries[at] ?? [pick(random, TEXTS), null];
  if (isOnceIn(random, 6)) return Object.fromEntries(entries.filter((_, index) => index !== at));
  return Object.fromEntries([...entries.filter((_, index) => index !== at), [name, mutatedJson(random, old)]]);
}

function strangeJson(random: Random): unknown {
  switch (random.integer(9)) {
    case 0:
      return null;
    case 1:
      return isOnceIn(random, 2);
    case 2:
    case 3:
    case 4:
      return pick(random, NUMBERS);
    case 5:
      return isOnceIn(random, 50) ? "a".repeat(20_000) : pick(random, TEXTS);
    case 6:
      return Array.from({ length: random.integer(4) }, () => strangeJson(random));
    case 7:
      return isOnceIn(random, 50) ? nested(1 + random.integer(900)) : [];
    default:
      return { [pick(random, TEXTS)]: strangeJson(random), [pick(random, TEXTS)]: pick(random, NUMBERS) };
  }
}

function nested(depth: number): unknown {
  let value: unknown = [];
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}
