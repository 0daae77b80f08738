/** DNS over TCP (RFC 7766): messages with their length before them, answered in turn on a connection that stays open. */
import { createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../clock.ts";
import type { DnsEvents } from "./events.ts";
import { HEADER_OCTETS, QUERY_BYTES_MAX } from "./query.ts";

/** A few resolvers that go on by TCP; each holds a socket. */
export const CONNECTIONS_MAX = 256;
/** From one whole query to the next: RFC 7766 section 6.2.3 asks for seconds. */
export const IDLE_MS_MAX = 10_000;
/** Answers that a client does not read. */
const UNREAD_BYTES_MAX = 65_536;
const LENGTH_OCTETS = 2;

/** `undefined` closes the connection. */
export type RespondTo = (message: Buffer, from: string) => Buffer | undefined;

export interface TcpListening {
  readonly clock: Pick<Clock, "timer">;
  readonly events: Pick<DnsEvents, "dropped">;
  readonly respond: RespondTo;
}

export interface DnsTcp {
  readonly server: Server;
  /** Of those that are open: what is answered is sent. */
  endAll(): void;
  destroyAll(): void;
}

export function createDnsTcp(listening: TcpListening): DnsTcp {
  const open = new Set<Socket>();
  // A client may say that it asks no more before it has its answers (RFC 7766 section 6.2.4).
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    serve(socket, listening);
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.on("drop", () => listening.events.dropped("connections"));
  return {
    server,
    endAll() {
      for (const socket of open) socket.destroySoon();
    },
    destroyAll() {
      for (const socket of open) socket.destroy();
    },
  };
}

function serve(socket: Socket, { clock, events, respond }: TcpListening): void {
  const from = socket.remoteAddress ?? "";
  let waiting: Buffer = Buffer.alloc(0);
  let idle = clock.timer(IDLE_MS_MAX, () => socket.destroy());
  const drop = (because: "long" | "short" | "slow"): void => {
    events.dropped(because);
    socket.destroy();
  };
  /** False: the connection is no more. */
  const take = (message: Buffer): boolean => {
    const answer = respond(message, from);
    if (answer === undefined) socket.destroySoon();
    else {
      const length = Buffer.alloc(LENGTH_OCTETS);
      length.writeUInt16BE(answer.length);
      socket.write(Buffer.concat([length, answer]));
      if (socket.writableLength > UNREAD_BYTES_MAX) drop("slow");
    }
    return !socket.destroyed && socket.writable;
  };
  socket.on("data", (chunk) => {
    waiting = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk]);
    while (waiting.length >= LENGTH_OCTETS) {
      const length = waiting.readUInt16BE(0);
      if (length > QUERY_BYTES_MAX) return drop("long");
      if (length < HEADER_OCTETS) return drop("short");
      const end = LENGTH_OCTETS + length;
      if (waiting.length < end) return;
      const message = waiting.subarray(LENGTH_OCTETS, end);
      waiting = waiting.subarray(end);
      idle[Symbol.dispose]();
      if (!take(message)) return;
      idle = clock.timer(IDLE_MS_MAX, () => socket.destroy());
    }
  });
  socket.on("end", () => socket.end());
  // What a client breaks off is its own affair.
  socket.on("error", () => socket.destroy());
  socket.once("close", () => idle[Symbol.dispose]());
}
