/** IP addresses and networks as values that can be compared: IPv4 in IPv6 is IPv4. Pure. */
import ipaddr from "ipaddr.js";

export interface IpAddress {
  readonly family: 4 | 6;
  readonly bits: bigint;
}

export interface IpNetwork extends IpAddress {
  readonly prefixLength: number;
}

export type ParsedNetwork =
  | { readonly kind: "network"; readonly network: IpNetwork }
  | { readonly kind: "invalid"; readonly reason: string };

const WIDTH = { 4: 32, 6: 128 } as const;
/** `::ffff:0:0/96` (RFC 4291 section 2.5.5.2). */
const MAPPED_PREFIX_LENGTH = 96;

/** Undefined for anything but an address; a zone (`%eth0`) is no part of it. */
export function parseIp(text: string): IpAddress | undefined {
  const bare = text.split("%", 1)[0] ?? "";
  const isStrict = ipaddr.IPv4.isValidFourPartDecimal(bare) || ipaddr.IPv6.isValid(bare);
  return isStrict ? fromBytes(ipaddr.process(bare)) : undefined;
}

/** `192.0.2.0/24` or `2001:db8::/32`; bits beyond the prefix are a fault, for a slip there moves the whole row. */
export function parseNetwork(text: string): ParsedNetwork {
  const match = /^([^/%]+)\/(\d{1,3})$/.exec(text);
  const written = Number(match?.[2]);
  const parsed = match?.[1] === undefined ? undefined : parseIp(match[1]);
  if (parsed === undefined) return invalid(text, "must be ADDRESS/LENGTH, as 192.0.2.0/24 or 2001:db8::/32");
  const isMapped = parsed.family === 4 && text.includes(":");
  const prefixLength = isMapped ? written - MAPPED_PREFIX_LENGTH : written;
  if (prefixLength < 0 || prefixLength > WIDTH[parsed.family]) {
    return invalid(text, `must have a length of ${isMapped ? 96 : 0} to ${isMapped ? 128 : WIDTH[parsed.family]}`);
  }
  const network = networkOf(parsed, prefixLength);
  if (network.bits !== parsed.bits) return invalid(text, `has bits beyond its length: write ${formatNetwork(network)}`);
  return { kind: "network", network };
}

/** The network of that length that the address is in. */
export function networkOf({ family, bits }: IpAddress, prefixLength: number): IpNetwork {
  const hostBits = BigInt(WIDTH[family] - prefixLength);
  return { family, bits: (bits >> hostBits) << hostBits, prefixLength };
}

export function contains(network: IpNetwork, address: IpAddress): boolean {
  return network.family === address.family && networkOf(address, network.prefixLength).bits === network.bits;
}

/** The shortest form (RFC 5952). */
export function formatNetwork({ family, bits, prefixLength }: IpNetwork): string {
  const bytes = Array.from({ length: WIDTH[family] / 8 }, (_, at) =>
    Number((bits >> BigInt(WIDTH[family] - 8 * (at + 1))) & 255n),
  );
  return `${ipaddr.fromByteArray(bytes).toString()}/${prefixLength}`;
}

function fromBytes(address: ipaddr.IPv4 | ipaddr.IPv6): IpAddress {
  const bits = address.toByteArray().reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return { family: address.kind() === "ipv4" ? 4 : 6, bits };
}

function invalid(text: string, reason: string): ParsedNetwork {
  return { kind: "invalid", reason: `${JSON.stringify(text)} ${reason}` };
}
