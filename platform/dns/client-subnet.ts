/** The EDNS option that says which network asks through a resolver (RFC 7871). Pure. */
import { OPTION_CLIENT_SUBNET } from "./codes.ts";
import { textOf } from "./ip-octets.ts";
import { sixteen } from "./names.ts";

/** 0 goes with a prefix of 0 only: nobody's address. */
const OCTETS = { 0: 0, 1: 4, 2: 16 } as const;
type Family = keyof typeof OCTETS;

export interface ClientSubnet {
  readonly family: Family;
  readonly sourcePrefixLength: number;
  /** The prefix, in as few octets as hold it. */
  readonly prefix: Buffer;
}

/** `undefined` where it is malformed, which makes the query so (section 7.1.2). */
export function readClientSubnet(data: Buffer): ClientSubnet | undefined {
  if (data.length < 4) return undefined;
  const family = familyOf(data.readUInt16BE(0));
  const sourcePrefixLength = data.readUInt8(2);
  const scopePrefixLength = data.readUInt8(3);
  if (family === undefined || scopePrefixLength !== 0 || sourcePrefixLength > 8 * OCTETS[family]) return undefined;
  const prefix = data.subarray(4);
  if (prefix.length !== Math.ceil(sourcePrefixLength / 8)) return undefined;
  const spareBits = 8 * prefix.length - sourcePrefixLength;
  if (((prefix.at(-1) ?? 0) & ((1 << spareBits) - 1)) !== 0) return undefined;
  return { family, sourcePrefixLength, prefix: Buffer.from(prefix) };
}

/** The lowest address of the network; `undefined` where the client wants its own to be unknown. */
export function addressOf({ family, sourcePrefixLength, prefix }: ClientSubnet): string | undefined {
  if (family === 0 || sourcePrefixLength === 0) return undefined;
  const octets = Buffer.alloc(OCTETS[family]);
  prefix.copy(octets);
  return textOf(octets);
}

/** As it came, with how much of it the answer depended on: never more than came. */
export function clientSubnetOption(
  { family, sourcePrefixLength, prefix }: ClientSubnet,
  scopePrefixLength: number,
): Buffer {
  const lengths = Buffer.of(sourcePrefixLength, Math.min(scopePrefixLength, sourcePrefixLength));
  return Buffer.concat([
    ...[sixteen(OPTION_CLIENT_SUBNET), sixteen(4 + prefix.length), sixteen(family)],
    ...[lengths, prefix],
  ]);
}

function familyOf(value: number): Family | undefined {
  return value === 0 || value === 1 || value === 2 ? value : undefined;
}
