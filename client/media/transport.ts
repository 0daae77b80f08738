/** The port to an agent: poses up, whole frames down, control both ways; WebRTC and WebSocket implement it. */
import type { ControlMessage } from "#contracts/media/control.ts";
import type { ConnectedSession } from "#contracts/operator-api/sessions.ts";

export type TransportKind = "webrtc" | "websocket";

export interface TransportEvents {
  /** A frame as encodeFrame gives it, and how many of its fragments were made again from parity. */
  onFrame(bytes: Uint8Array<ArrayBuffer>, fragmentsRepaired: number): void;
  /** A packet of sound as encodeAudio gives it. */
  onAudio(bytes: Uint8Array<ArrayBuffer>): void;
  onControl(message: ControlMessage): void;
  /** A message that breaks the media protocol: dropped. */
  onInvalid(): void;
  /** Once; nothing follows. */
  onClosed(reason: string): void;
}

export interface MediaTransport {
  /** True when it left: a pose that would have to wait is dropped, the next one is newer. */
  sendPose(bytes: Uint8Array<ArrayBuffer>): boolean;
  sendControl(message: ControlMessage): void;
  close(): void;
}

/** A transport whose other end is not known yet. */
export interface PendingTransport {
  /** With all its candidates; `undefined` where the transport needs none. */
  readonly offerSdp: string | undefined;
  /** Resolves when messages can be sent; rejects with the signal's reason or a `ClientFailure`. */
  open(
    answer: Pick<ConnectedSession, "answerSdp" | "websocketUrl">,
    events: TransportEvents,
    signal: AbortSignal,
  ): Promise<MediaTransport>;
  close(): void;
}

/** Some poses behind what the network takes, the next ones are dropped instead. */
export const POSES_WAITING_MAX = 4;
