/** The listener for sessions by WebSocket: each lease gets an address that is good for one connection. */
import { createServer, type IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Address, formatAddress } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import { listen } from "#platform/http/listening.ts";
import type { Random } from "#platform/random.ts";
import type { HandedUpgrade } from "../session/messages.ts";

const PATH = "/v1/media/";
/** 256 bits: nobody guesses it. */
const TOKEN_BYTES = 32;
/** A client connects at once; longer, and it has gone elsewhere. */
const TOKEN_MS = 10_000;
const TOKENS_MAX = 1_024;
/** Those being upgraded: a connection that was handed on is its session's. */
const CONNECTIONS_MAX = 1_024;
const HEAD_MS_MAX = 5_000;
const HEAD_BYTES_MAX = 16 * 1024;

export type TakeUpgrade = (socket: Socket, upgrade: HandedUpgrade) => void;

export interface WebSocketDoor extends Disposable {
  readonly address: Address;
  /** A URL for one connection, which `take` then gets. */
  issue(take: TakeUpgrade): string;
}

export interface DoorOptions {
  readonly listen: Address;
  /** Scheme, host and port as clients see them; the listener's own unless given. */
  readonly publicUrl: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: { upgradeRefused(): void };
}

export async function openWebSocketDoor(options: DoorOptions): Promise<WebSocketDoor> {
  const { clock, random, events } = options;
  const issued = new BoundedMap<string, TakeUpgrade>({ entriesMax: TOKENS_MAX, lifetime: { ms: TOKEN_MS, clock } });
  const server = createServer({ headersTimeout: HEAD_MS_MAX, maxHeaderSize: HEAD_BYTES_MAX }, (_request, response) => {
    response.writeHead(426, { upgrade: "websocket", connection: "close" }).end();
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => socket.destroy());
    const token = tokenOf(request);
    const take = issued.get(token);
    issued.delete(token);
    if (take !== undefined && socket instanceof Socket) return take(socket, handed(request, head));
    events.upgradeRefused();
    refuse(socket);
  });
  const address = await listen(server, options.listen);
  const base = options.publicUrl ?? `ws://${formatAddress(address)}`;
  return {
    address,
    issue(take) {
      const token = Buffer.from(random.bytes(TOKEN_BYTES)).toString("base64url");
      issued.set(token, take);
      return `${base}${PATH}${token}`;
    },
    [Symbol.dispose]() {
      // Not awaited: a server whose sockets were handed to processes never says that it has closed once those are gone.
      server.close();
      server.closeAllConnections();
    },
  };
}

function tokenOf({ url = "" }: IncomingMessage): string {
  return url.startsWith(PATH) ? url.slice(PATH.length) : "";
}

function handed({ url = "", headers }: IncomingMessage, head: Buffer): HandedUpgrade {
  const single = Object.entries(headers).flatMap(([name, value]) =>
    typeof value === "string" ? [[name, value] as const] : [],
  );
  return { url, headers: Object.fromEntries(single), head: new Uint8Array(head) };
}

function refuse(socket: Duplex): void {
  // Nobody reads from it any more: it would stay half open.
  socket.end("HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", () => socket.destroy());
}
