/** Reads which proxies are trusted, from networks in CIDR form. Pure. */
import { BlockList, isIP } from "node:net";
import { Failure } from "#domain/failure.ts";
import type { TrustedProxies } from "./client-address.ts";

/** More are a network of their own. */
export const TRUSTED_NETWORKS_MAX = 64;

/** Throws `config-invalid` with every network that is none. */
export function trustedProxiesOf(field: string, networks: readonly string[]): TrustedProxies {
  const list = new BlockList();
  const faults = networks.filter((network) => !add(list, network));
  if (faults.length > 0 || networks.length > TRUSTED_NETWORKS_MAX) {
    const what = faults.length > 0 ? `got ${faults.join(", ")}` : `got ${networks.length} of them`;
    throw new Failure(
      "config-invalid",
      `trusted proxies must be up to ${TRUSTED_NETWORKS_MAX} networks like 10.0.0.0/8 or 2001:db8::/32, ${what}`,
    );
  }
  return {
    field: field.toLowerCase(),
    isTrusted: (address) => isIP(address) !== 0 && list.check(address, isIP(address) === 4 ? "ipv4" : "ipv6"),
  };
}

function add(list: BlockList, network: string): boolean {
  const [, address = "", digits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(network) ?? [];
  const family = isIP(address);
  const bits = family === 4 ? 32 : 128;
  const prefix = digits === undefined ? bits : Number(digits);
  if (family === 0 || prefix > bits) return false;
  list.addSubnet(address, prefix, family === 4 ? "ipv4" : "ipv6");
  return true;
}
