/** IP addresses and networks as values that can be compared: IPv4 in IPv6 is IPv4. Pure. */

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
const MAPPED_BITS = 0xffffn;

/** Undefined for anything but an address (RFC 4291 section 2.2); a zone (`%eth0`) is no part of it. */
export function parseIp(text: string): IpAddress | undefined {
  const bare = text.split("%", 1)[0] ?? "";
  const four = bitsOfFour(bare);
  if (four !== undefined) return { family: 4, bits: four };
  const six = bitsOfSix(bare);
  if (six === undefined) return undefined;
  return six >> 32n === MAPPED_BITS ? { family: 4, bits: six & 0xffff_ffffn } : { family: 6, bits: six };
}

/** Four decimal parts, without leading zeros that some would read as octal. */
function bitsOfFour(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return;
  return parts.reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
}

const GROUPS = 8;

function bitsOfSix(text: string): bigint | undefined {
  const tail = /^(?<head>.*:)(?<four>[^:]*\.[^:]*)$/.exec(text)?.groups;
  const embedded = tail === undefined ? undefined : bitsOfFour(tail["four"] ?? "");
  if (tail !== undefined && embedded === undefined) return undefined;
  const plain = embedded === undefined ? text : `${tail?.["head"]}${hex(embedded >> 16n)}:${hex(embedded & 0xffffn)}`;
  const [left = "", right, ...more] = plain.split("::");
  if (more.length > 0) return undefined;
  const groupsOf = (part: string) => (part === "" ? [] : part.split(":"));
  const [before, after] = [groupsOf(left), groupsOf(right ?? "")];
  const missing = GROUPS - before.length - after.length;
  if (right === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...before, ...Array.from({ length: missing }, () => "0"), ...after];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

function hex(value: bigint): string {
  return value.toString(16);
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
  return `${family === 4 ? formatFour(bits) : formatSix(bits)}/${prefixLength}`;
}

function formatFour(bits: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => String((bits >> shift) & 255n)).join(".");
}

/** The longest run of two or more zero groups is left out, the first of several as long. */
function formatSix(bits: bigint): string {
  const groups = Array.from({ length: GROUPS }, (_, at) => hex((bits >> BigInt(16 * (GROUPS - 1 - at))) & 0xffffn));
  const runs = [...groups.join(":").matchAll(/(?<![^:])0(?::0)+(?![^:])/g)].map(([run]) => run);
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), "");
  if (longest === "") return groups.join(":");
  const text = `:${groups.join(":")}:`.replace(`:${longest}:`, "::");
  return text.replace(/^:(?!:)/, "").replace(/(?<!:):$/, "");
}

function invalid(text: string, reason: string): ParsedNetwork {
  return { kind: "invalid", reason: `${JSON.stringify(text)} ${reason}` };
}
