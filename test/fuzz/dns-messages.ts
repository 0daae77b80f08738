/** DNS messages for fuzzing: queries by the grammar, and what bytes become of them. Pure but for its Random. */
import { encode, type Option } from "dns-packet";
import type { Random } from "#platform/random.ts";

const RARE = ["NS", "SOA", "CNAME", "TXT", "ANY", "AXFR", "IXFR", "OPT", "UNKNOWN_65535"];
const TYPES = [...RARE, ...Array(4).fill(["A", "AAAA", "UNKNOWN_65"]).flat()];
const ZONES = ["cdn.example", "CDN.example", "a.cdn.example", "example", "ns1.cdn.example", "other.test", ""];
/** What a mutation puts somewhere: ends, pointers, lengths that are too long. */
const OCTETS = [0, 1, 4, 12, 41, 63, 64, 127, 128, 191, 192, 193, 255];

export function dnsMessage(random: Random): Buffer {
  if (random.integer(50) === 0) return Buffer.from(random.bytes(random.integer(random.integer(40) === 0 ? 6000 : 80)));
  const bytes = wellFormed(random);
  return random.integer(3) === 0 ? bytes : mutated(random, bytes);
}

function wellFormed(random: Random): Buffer {
  const labels = Array.from({ length: random.integer(4) }, () => labelOf(random));
  const name = [...labels, pick(random, ZONES)].filter((part) => part !== "").join(".") || ".";
  const questions = [{ name, type: pick(random, TYPES), class: random.integer(20) === 0 ? "CH" : "IN" }];
  const options = Array.from({ length: random.integer(3) }, () => optionOf(random));
  const opt = { type: "OPT", name: ".", udpPayloadSize: 1 + random.integer(65_535), flags: 0, options };
  const ednsVersion = random.integer(20) === 0 ? random.integer(256) : 0;
  const additionals = random.integer(4) === 0 ? [] : [{ ...opt, ednsVersion }];
  return encode({ type: "query", id: random.integer(65_536), flags: random.integer(8) * 0x80, questions, additionals });
}

function labelOf(random: Random): string {
  const length = random.integer(10) === 0 ? 1 + random.integer(63) : 1 + random.integer(6);
  return Array.from({ length }, () => pick(random, [..."abzAZ09-_*"])).join("");
}

function optionOf(random: Random): Option {
  if (random.integer(3) === 0)
    return { code: 10 + random.integer(100), data: Buffer.from(random.bytes(random.integer(20))) };
  const isFour = random.integer(2) === 0;
  const sourcePrefixLength = random.integer(isFour ? 34 : 130);
  const ip = isFour ? "0.0.0.0" : "::";
  return { code: "CLIENT_SUBNET", family: isFour ? 1 : 2, ip, sourcePrefixLength, scopePrefixLength: 0 };
}

function mutated(random: Random, bytes: Buffer): Buffer {
  let result = bytes;
  for (let count = 1 + random.integer(3); count > 0; count -= 1) result = mutatedOnce(random, result);
  return result;
}

function mutatedOnce(random: Random, bytes: Buffer): Buffer {
  const at = random.integer(bytes.length + 1);
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (random.integer(6)) {
    case 0:
      return Buffer.from(head);
    case 1:
      return Buffer.concat([head, Buffer.of(pick(random, OCTETS)), tail]);
    case 2:
      return Buffer.concat([head, tail.subarray(1)]);
    case 3:
      return Buffer.concat([head, tail.subarray(0, random.integer(20)), tail]);
    case 4:
      return Buffer.concat([head, Buffer.of(pick(random, OCTETS)), tail.subarray(1)]);
    default:
      return Buffer.concat([head, Buffer.from(random.bytes(1)), tail.subarray(1)]);
  }
}

function pick<T>(random: Random, from: readonly T[]): T {
  const chosen = from[random.integer(from.length)];
  if (chosen === undefined) throw new Error("nothing to pick from");
  return chosen;
}
