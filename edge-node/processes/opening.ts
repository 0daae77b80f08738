/** Says whose connection a front process brings: what a socket of its own would tell the main process. Pure. */
import { assert } from "#domain/assert.ts";
import type { Scheme } from "../request/edge-request.ts";

export interface Opening {
  readonly scheme: Scheme;
  readonly protocol: "h1" | "h2";
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly remoteFamily: string | undefined;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
}

export function formatOpening(opening: Opening): Buffer {
  const { scheme, protocol, remoteAddress, remotePort, remoteFamily, localAddress, localPort } = opening;
  const words = [scheme, protocol, remoteAddress, remotePort, remoteFamily, localAddress, localPort];
  return Buffer.from(words.map((word) => word ?? "").join("\n"));
}

export function parseOpening(bytes: Buffer): Opening {
  const [scheme, protocol, remoteAddress, remotePort, remoteFamily, localAddress, localPort] = bytes
    .toString()
    .split("\n")
    .map((word) => (word === "" ? undefined : word));
  assert(scheme === "http" || scheme === "https", "a connection is in the clear or inside TLS");
  assert(protocol === "h1" || protocol === "h2", "a connection speaks HTTP/1.1 or HTTP/2");
  const ports = { remotePort: portOf(remotePort), localPort: portOf(localPort) };
  return { scheme, protocol, remoteAddress, remoteFamily, localAddress, ...ports };
}

function portOf(word: string | undefined): number | undefined {
  return word === undefined ? undefined : Number(word);
}
