/** Who a request is of, for limits and signatures: an IPv4 address, or an IPv6 network of /64. Pure. */
import { isIP } from "node:net";
import { listMembers } from "#domain/http/fields.ts";

/** Whose word on other addresses is believed, and in which field (`x-forwarded-for`, lower case) they give it. */
export interface TrustedProxies {
  readonly field: string;
  readonly isTrusted: (address: string) => boolean;
}

/** Proxies in a row that are looked through: more are a forged field. */
export const PROXIES_MAX = 16;

/**
 * The nearest address that is no trusted proxy's. `values` is the field's as it came: what stands left of an address
 * that is not trusted is anybody's word.
 */
export function clientOf(peer: string, values?: readonly string[], proxies?: TrustedProxies): string {
  if (proxies === undefined || values === undefined) return networkOf(peer);
  let client = peer;
  const named = listMembers(values.join(", ")).slice(-PROXIES_MAX);
  for (let index = named.length - 1; index >= 0 && proxies.isTrusted(plainOf(client)); index -= 1) {
    const address = withoutPort(named[index] ?? "");
    if (isIP(address) === 0) break;
    client = address;
  }
  return networkOf(client);
}

/** `203.0.113.7`, and `2001:db8:0:1::/64`: an IPv6 user has at least a /64 of addresses. */
export function networkOf(address: string): string {
  const plain = plainOf(address);
  if (!plain.includes(":")) return plain;
  const [head = "", tail = ""] = plain.split("%", 1)[0]?.split("::", 2) ?? [];
  const heads = head === "" ? [] : head.split(":");
  const tails = tail === "" ? [] : tail.split(":");
  const missing = plain.includes("::") ? Math.max(0, 8 - heads.length - tails.length) : 0;
  const groups = [...heads, ...Array.from({ length: missing }, () => "0"), ...tails].slice(0, 4);
  const shown = groups.map((group) => group.toLowerCase().replace(/^0+(?=.)/, ""));
  return `${shown.join(":")}::/64`;
}

/** An IPv4 address that a socket for both families gives as IPv6 is the IPv4 address. */
function plainOf(address: string): string {
  return /^::ffff:(?=\d+\.)/i.test(address) ? address.slice("::ffff:".length) : address;
}

/** As RFC 7239 section 6 writes them: `192.0.2.1:80`, `[2001:db8::1]:80`. */
function withoutPort(text: string): string {
  const match = /^(?:\[(?<six>[^\]]*)\](?::\d+)?|(?<four>\d+\.\d+\.\d+\.\d+):\d+)$/.exec(text);
  return match?.groups?.["six"] ?? match?.groups?.["four"] ?? text;
}
