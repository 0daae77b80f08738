/** Servers that help two ends find a way to each other (STUN, RFC 7064; TURN, RFC 7065), as RTCPeerConnection takes them. Pure. */

export interface IceServer {
  readonly urls: readonly string[];
  /** With TURN. */
  readonly username?: string;
  readonly credential?: string;
}

const HOST = "(\\[[0-9a-fA-F:]+\\]|[A-Za-z0-9.-]+)";
const PORT = "(:(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?";
export const STUN_URL_PATTERN = `^stuns?:${HOST}${PORT}$`;
export const TURN_URL_PATTERN = `^turns?:${HOST}${PORT}(\\?transport=(udp|tcp))?$`;

export interface IceAddress {
  readonly scheme: "stun" | "stuns" | "turn" | "turns";
  readonly host: string;
  readonly port: number;
  readonly transport: "udp" | "tcp";
}

const URL_PARTS = new RegExp(`^(stuns?):${HOST}${PORT}$|^(turns?):${HOST}${PORT}(?:\\?transport=(udp|tcp))?$`);
const SCHEMES = ["stun", "stuns", "turn", "turns"] as const;
const PORTS_USUAL = { stun: 3478, stuns: 5349, turn: 3478, turns: 5349 } as const;

/** `undefined` for what is no address of such a server. */
export function parseIceUrl(url: string): IceAddress | undefined {
  const [, stun, stunHost, stunPort, turn, turnHost, turnPort, transport] = URL_PARTS.exec(url) ?? [];
  const [name, host, port] = stun === undefined ? [turn, turnHost, turnPort] : [stun, stunHost, stunPort];
  const scheme = SCHEMES.find((known) => known === name);
  if (scheme === undefined || host === undefined) return undefined;
  const number = port === undefined ? PORTS_USUAL[scheme] : Number(port.slice(1));
  const isSecure = scheme === "stuns" || scheme === "turns";
  const way = transport === "udp" || transport === "tcp" ? transport : isSecure ? "tcp" : "udp";
  return { scheme, host: host.replace(/^\[(.*)\]$/, "$1"), port: number, transport: way };
}
