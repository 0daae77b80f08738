/** Socket addresses as `host:port` text, IPv6 in brackets. Pure but for the classification of hosts by `node:net`. */
import { BlockList, isIP } from "node:net";
import { Failure } from "#domain/failure.ts";

export interface Address {
  /** A host name or an IP address without brackets. */
  readonly host: string;
  /** 0 to 65535; 0 asks the system for a free port. */
  readonly port: number;
}

const ADDRESS = /^(?:\[(?<six>[0-9a-fA-F:.]+)\]|(?<plain>[A-Za-z0-9._-]+)):(?<port>\d{1,5})$/;

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Undefined for anything but `host:port` or `[ipv6]:port`. */
export function readAddress(text: string): Address | undefined {
  const groups = ADDRESS.exec(text)?.groups;
  const host = groups?.["six"] ?? groups?.["plain"];
  const port = Number(groups?.["port"]);
  const sixIsValid = groups?.["six"] === undefined || isIP(groups["six"]) === 6;
  return host === undefined || port > 65_535 || !sixIsValid ? undefined : { host, port };
}

/** Throws `argument-invalid` where `readAddress` gives nothing. */
export function parseAddress(text: string): Address {
  const address = readAddress(text);
  if (address !== undefined) return address;
  throw new Failure(
    "argument-invalid",
    `address must be host:port or [ipv6]:port with a port of 0..65535, got "${text}"`,
  );
}

export function formatAddress(address: Address): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** True for 127.0.0.0/8, ::1 and `localhost`: what may be served without TLS. */
export function isLoopbackHost(host: string): boolean {
  const family = isIP(host);
  if (family === 0) return host === "localhost";
  return loopback.check(host, family === 6 ? "ipv6" : "ipv4");
}
