/** A session's connection by WebSocket (RFC 6455), on a socket that the agent accepted: whole poses, frames and packets of sound as binary messages, control as text. */
import { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { encodeControl } from "#contracts/media/control.ts";
import { FRAME_BYTES_MAX } from "#contracts/media/frame.ts";
import type { HandedUpgrade } from "../session/messages.ts";
import { RoundTrips, type RoundTripTools } from "./round-trips.ts";
import { CONTROL_WAITING_BYTES_MAX, type Transport, type TransportEvents, takeControl, takePose } from "./transport.ts";

/** RFC 6455 section 7.4.1. */
const NORMAL_CLOSURE = 1000;

/** Poses and control messages: session descriptions, which are longer, do not come this way. */
const MESSAGE_BYTES_MAX = 4_096;

/** Frames do not compress, and poses are small. */
const server = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX, perMessageDeflate: false });

/** Resolves once the handshake is answered; never where the client's request was none: `ws` has refused it then. */
export function acceptUpgrade(
  socket: Socket,
  upgrade: HandedUpgrade,
  events: TransportEvents,
  tools: RoundTripTools,
): Promise<Transport> {
  const request = new IncomingMessage(socket);
  request.method = "GET";
  request.url = upgrade.url;
  request.headers = { ...upgrade.headers };
  socket.setNoDelay(true);
  return new Promise((resolve) => {
    server.handleUpgrade(request, socket, Buffer.from(upgrade.head), (client) => {
      let isClosed = false;
      const ended = (reason: string): void => {
        if (isClosed) return;
        isClosed = true;
        events.onClosed(reason);
      };
      client.on("message", (content, isBinary) => {
        if (isBinary && content instanceof Buffer) takePose(content, events);
        else takeControl(String(content), events);
      });
      client.once("close", (code) => ended(`connection closed with ${code}`));
      // What the system has taken does not count: from there on it is TCP's.
      const isClear = (): boolean => client.readyState === client.OPEN && client.bufferedAmount === 0;
      const roundTrips = new RoundTrips((content) => ping(client, content), tools);
      client.on("pong", (content) => roundTrips.take(content));
      // Whatever went wrong, `close` follows.
      client.on("error", () => events.onInvalid());
      resolve({
        takesFrame: isClear,
        sendFrame(_frameNumber, bytes) {
          if (!isClear()) return false;
          client.send(bytes);
          return true;
        },
        sendAudio(bytes) {
          if (!isClear()) return false;
          client.send(bytes);
          return true;
        },
        sendControl(message) {
          const isRead = client.bufferedAmount <= FRAME_BYTES_MAX + CONTROL_WAITING_BYTES_MAX;
          if (isRead && client.readyState === client.OPEN) client.send(encodeControl(message));
        },
        measureRtt: () => roundTrips.measure(),
        close() {
          isClosed = true;
          client.close(NORMAL_CLOSURE);
        },
      });
    });
  });
}

/** A pong is the browser's own, and comes with no word of the page (RFC 6455 section 5.5.3). */
function ping(client: WebSocket, content: Buffer): boolean {
  if (client.readyState !== client.OPEN) return false;
  client.ping(content);
  return true;
}
