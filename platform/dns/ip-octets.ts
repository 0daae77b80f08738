/** IP addresses between text and octets; IPv4 in IPv6 is IPv4. Pure but for the grammar of `node:net`. */
import { isIP } from "node:net";

const MAPPED = Buffer.from("00000000000000000000ffff", "hex");

/** 4 or 16 octets; `undefined` where the text is no address. */
export function octetsOf(text: string): Buffer | undefined {
  switch (isIP(text)) {
    case 4:
      return Buffer.from(text.split(".").map(Number));
    case 6: {
      const octets = sixteenOctets(text);
      return octets.subarray(0, MAPPED.length).equals(MAPPED) ? octets.subarray(MAPPED.length) : octets;
    }
    default:
      return undefined;
  }
}

export function textOf(octets: Buffer): string {
  if (octets.length === 4) return octets.join(".");
  const groups = Array.from({ length: octets.length / 2 }, (_, at) => octets.readUInt16BE(2 * at).toString(16));
  return groups.join(":");
}

/** Of an address that `node:net` has found valid. */
function sixteenOctets(text: string): Buffer {
  const [bare = ""] = text.split("%", 1);
  const [head = "", tail] = bare.split("::");
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const missing = Array<number>(16 - before.length - after.length).fill(0);
  return Buffer.from([...before, ...missing, ...after]);
}

function groupsOf(text: string): readonly number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) return group.split(".").map(Number);
    const value = Number.parseInt(group, 16);
    return [value >>> 8, value & 255];
  });
}
