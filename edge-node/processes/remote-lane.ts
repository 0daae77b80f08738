/** The full lane of a front process: the main process, which each connection is joined to. */
import { EventEmitter } from "node:events";
import { connect } from "node:net";
import type { ClientSocket } from "../front/client-socket.ts";
import type { FullLane } from "../front/front.ts";
import type { LaneSocket } from "../front/lane-socket.ts";
import { FrameReader, frameHead, markFrame } from "./frames.ts";
import { formatOpening, type Opening } from "./opening.ts";

const NOTHING = Buffer.alloc(0);

export class RemoteLane extends EventEmitter implements FullLane {
  readonly #path: string;

  /** `path` is where the main process takes connections. */
  constructor(path: string) {
    super();
    this.#path = path;
    this.on("connection", (socket: LaneSocket) => join(socket, path, openingOf(socket, "h1"), () => socket.answered()));
  }

  /** A connection of HTTP/2 is the main process's as a whole. */
  joinH2(socket: ClientSocket): void {
    join(socket, this.#path, openingOf(socket, "h2"), () => undefined);
  }

  /** Which connections are idle, the fast lane knows. */
  closeIdleConnections(): void {}

  close(): void {}
}

function openingOf(socket: ClientSocket, protocol: Opening["protocol"]): Opening {
  const { remoteAddress, remotePort, remoteFamily, localAddress, localPort } = socket;
  const scheme = "encrypted" in socket ? "https" : "http";
  return { scheme, protocol, remoteAddress, remotePort, remoteFamily, localAddress, localPort };
}

/** The fast lane writes past a LaneSocket: not before what that still holds. */
function afterWhatIsWritten(client: ClientSocket, run: () => void): void {
  if (client.writableLength === 0) run();
  else if (client.writable)
    client.write(NOTHING, (error) => (error === null || error === undefined ? run() : undefined));
}

/** Bytes, ends and aborts pass both ways; who cannot take more is not given more. */
function join(client: ClientSocket, path: string, opening: Opening, onAnswered: () => void): void {
  const carrier = connect({ path, allowHalfOpen: true });
  const said = formatOpening(opening);
  carrier.write(frameHead("opening", said.byteLength));
  carrier.write(said);
  let hasEnded = false;
  const reader = new FrameReader("pieces", (frame) => {
    if (frame.kind === "answered") afterWhatIsWritten(client, onAnswered);
    else if (frame.kind === "reset") client.destroy();
    else if (frame.kind === "end") {
      hasEnded = true;
      client.end();
    } else if (frame.kind === "bytes" && client.writable && !client.write(frame.bytes)) carrier.pause();
  });
  carrier.on("data", (chunk) => reader.take(chunk));
  carrier.on("drain", () => client.resume());
  carrier.on("error", () => carrier.destroy());
  carrier.on("end", () => carrier.destroySoon());
  carrier.on("close", () => (hasEnded ? client.destroySoon() : client.destroy()));
  client.on("data", (chunk: Buffer) => {
    if (!carrier.writable) return;
    carrier.cork();
    carrier.write(frameHead("bytes", chunk.byteLength));
    if (!carrier.write(chunk)) client.pause();
    carrier.uncork();
  });
  client.on("drain", () => carrier.resume());
  client.on("end", () => {
    if (carrier.writable) carrier.write(markFrame("end"));
  });
  client.on("timeout", () => client.destroy());
  client.on("error", () => client.destroy());
  client.on("close", () => {
    if (carrier.writable) carrier.write(markFrame("reset"));
    carrier.destroySoon();
  });
}
