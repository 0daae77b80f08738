/** ICE servers as node-datachannel takes them: one address each. Pure. */
import type { IceServer as LibraryIceServer } from "node-datachannel";
import { type IceServer, parseIceUrl } from "#domain/session/ice-server.ts";

type LibraryEntry = string | LibraryIceServer;

/** Those by UDP without TLS: libjuice knows no other way. */
export function libraryIceServers(servers: readonly IceServer[]): LibraryEntry[] {
  return servers.flatMap(({ urls, username, credential }) =>
    urls.flatMap((url): LibraryEntry[] => {
      const address = parseIceUrl(url);
      if (address === undefined || address.transport !== "udp") return [];
      const { scheme, host: hostname, port } = address;
      if (scheme === "stun") return [`stun:${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`];
      if (scheme !== "turn" || username === undefined || credential === undefined) return [];
      return [{ hostname, port, username, password: credential, relayType: "TurnUdp" }];
    }),
  );
}
