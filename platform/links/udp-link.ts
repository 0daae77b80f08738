/** A UDP proxy that behaves like a longer wire; every client source gets a socket of its own toward the target. */
import type { RemoteInfo, Socket } from "node:dgram";
import type { Address } from "../address.ts";
import { BoundedMap } from "../concurrency/bounded-map.ts";
import { DelayLine } from "./delay-line.ts";
import { type LinkOptions, LinkPath, type LinkSources } from "./path.ts";
import type { Link } from "./tcp-link.ts";
import { bindUdpRange, createUdpSocket } from "./udp-ports.ts";

/** Bytes in flight in each direction of the link; datagrams above it are dropped, as a full router does. */
export const UDP_LINK_IN_FLIGHT_BYTES_MAX = 4 * 1024 * 1024;
/** Client sources at a time; the least recently used leaves. */
export const UDP_LINK_SOURCES_MAX = 256;
/** A source that is silent in both directions is forgotten, as NATs do (RFC 4787 section 4.3 asks for 2 minutes). */
export const UDP_LINK_IDLE_MS_MAX = 120_000;
const SWEEP_MS = 15_000;

export interface UdpLinkOptions extends LinkOptions, LinkSources {
  /** The first of `portCount` consecutive ports. */
  readonly listen: Address;
  /** The first port of the target; port `listen + n` leads to `target + n`. */
  readonly target: Address;
  /** 1 unless said. */
  readonly portCount?: number;
}

interface Source {
  readonly key: string;
  readonly socket: Socket;
  readonly entry: Socket;
  readonly client: RemoteInfo;
  readonly targetPort: number;
}

interface Datagram {
  readonly source: Source;
  readonly bytes: Uint8Array;
}

type UdpState = "up" | "swallowing";

class UdpLink {
  readonly forward: LinkPath;
  readonly backward: LinkPath;
  state: UdpState = "up";
  readonly #options: UdpLinkOptions;
  readonly #toTarget: DelayLine<Datagram>;
  readonly #toClient: DelayLine<Datagram>;
  readonly #sources: BoundedMap<string, Source>;
  readonly #sweeping: Disposable;

  constructor(options: UdpLinkOptions) {
    const { clock } = options;
    this.#options = options;
    this.forward = new LinkPath(options, options);
    this.backward = new LinkPath(options, options);
    this.#sources = new BoundedMap({
      entriesMax: UDP_LINK_SOURCES_MAX,
      lifetime: { ms: UDP_LINK_IDLE_MS_MAX, clock },
      onEvict: (_key, source) => source.socket.close(),
    });
    const { host } = options.target;
    this.#toTarget = new DelayLine({
      clock,
      deliver: ({ source, bytes }) => {
        if (this.#isOpen(source)) source.socket.send(bytes, source.targetPort, host);
        return true;
      },
    });
    this.#toClient = new DelayLine({
      clock,
      deliver: ({ source, bytes }) => {
        if (this.#isOpen(source)) source.entry.send(bytes, source.client.port, source.client.address);
        return true;
      },
    });
    this.#sweeping = clock.every(SWEEP_MS, () => this.#sources.sweep());
  }

  accept(entry: Socket, offset: number): void {
    // A datagram that cannot be sent is a lost datagram.
    entry.on("error", () => undefined);
    entry.on("message", (bytes, client) => this.#receive(this.#sourceOf(entry, offset, client), bytes, "forward"));
  }

  dropAll(): void {
    this.#toTarget.clear();
    this.#toClient.clear();
  }

  close(): void {
    this.#sweeping[Symbol.dispose]();
    this.dropAll();
    for (const [, source] of this.#sources.entries()) source.socket.close();
    this.#sources.clear();
  }

  #isOpen(source: Source): boolean {
    return this.#sources.peek(source.key) === source;
  }

  #sourceOf(entry: Socket, offset: number, client: RemoteInfo): Source {
    const key = `${offset} ${client.address} ${client.port}`;
    const present = this.#sources.peek(key);
    if (present !== undefined) return present;
    const targetPort = this.#options.target.port + offset;
    const source: Source = { key, socket: createUdpSocket(this.#options.target.host), entry, client, targetPort };
    source.socket.on("error", () => undefined);
    source.socket.on("message", (bytes, from) => {
      if (from.port === targetPort) this.#receive(source, bytes, "backward");
    });
    return source;
  }

  #receive(source: Source, bytes: Uint8Array, direction: "forward" | "backward"): void {
    const path = direction === "forward" ? this.forward : this.backward;
    const line = direction === "forward" ? this.#toTarget : this.#toClient;
    this.#sources.set(source.key, source);
    if (this.state === "swallowing" || path.loses(1)) return;
    if (line.bytesInFlight + bytes.length > UDP_LINK_IN_FLIGHT_BYTES_MAX) return;
    line.push({ source, bytes }, path.arrivalMs(bytes.length), bytes.length);
  }
}

export async function startUdpLink(options: UdpLinkOptions): Promise<Link> {
  const entries = await bindUdpRange(options.listen, options.portCount ?? 1);
  const link = new UdpLink(options);
  for (const [offset, entry] of entries.entries()) link.accept(entry, offset);
  const swallow = (): void => {
    link.state = "swallowing";
    link.dropAll();
  };
  return {
    address: { host: options.listen.host, port: entries[0]?.address().port ?? options.listen.port },
    set: (changed) => {
      link.forward.options = changed;
      link.backward.options = changed;
    },
    cut: swallow,
    halfOpen: swallow,
    restore: () => {
      link.state = "up";
    },
    [Symbol.asyncDispose]: async () => {
      link.close();
      await Promise.all(entries.map((entry) => new Promise<void>((resolve) => entry.close(() => resolve()))));
    },
  };
}
