/** A WebSocket to an agent, where UDP does not pass: the same messages, whole frames and packets of sound, in order. */
import { AUDIO_TYPE } from "#contracts/media/audio.ts";
import { encodeControl } from "#contracts/media/control.ts";
import { POSE_BYTES_MAX } from "#contracts/media/pose.ts";
import { ClientFailure } from "../failure.ts";
import { receiveControl } from "./control-inbox.ts";
import { type PendingTransport, POSES_WAITING_MAX, type TransportEvents } from "./transport.ts";

export function offerWebSocket(): PendingTransport {
  let socket: WebSocket | undefined;
  return {
    offerSdp: undefined,
    async open({ websocketUrl }, events, signal) {
      if (websocketUrl === undefined) throw new ClientFailure("upstream-malformed", "the answer has no WebSocket URL");
      const opened = new WebSocket(websocketUrl);
      socket = opened;
      opened.binaryType = "arraybuffer";
      await openSocket(opened, signal);
      listen(opened, events);
      return {
        sendPose(bytes) {
          if (opened.readyState !== WebSocket.OPEN || opened.bufferedAmount > POSES_WAITING_MAX * POSE_BYTES_MAX)
            return false;
          opened.send(bytes);
          return true;
        },
        sendControl(message) {
          if (opened.readyState === WebSocket.OPEN) opened.send(encodeControl(message));
        },
        close: () => opened.close(),
      };
    },
    close: () => socket?.close(),
  };
}

function listen(socket: WebSocket, events: TransportEvents): void {
  socket.addEventListener("message", ({ data }: { readonly data: unknown }) => {
    if (data instanceof ArrayBuffer) receiveBinary(new Uint8Array(data), events);
    else if (typeof data === "string") receiveControl(data, events);
  });
  socket.addEventListener("close", ({ code }) => events.onClosed(`the WebSocket was closed (${code})`), { once: true });
}

function receiveBinary(bytes: Uint8Array<ArrayBuffer>, events: TransportEvents): void {
  if (bytes[0] === AUDIO_TYPE) events.onAudio(bytes);
  else events.onFrame(bytes, 0);
}

function openSocket(socket: WebSocket, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // Once it is open, a deadline for opening that passes means nothing.
  const opening = new AbortController();
  const once = { once: true, signal: opening.signal };
  const fail = (reason: unknown): void => {
    socket.close();
    reject(reason);
  };
  if (signal.aborted) fail(signal.reason);
  signal.addEventListener("abort", () => fail(signal.reason), once);
  socket.addEventListener("open", () => resolve(), once);
  const onError = (): void => fail(new ClientFailure("media-unreachable", `${socket.url} cannot be opened`));
  socket.addEventListener("error", onError, once);
  return promise.finally(() => opening.abort());
}
