/** The port between a session and its client's connection: poses and control in, frames and control out. */
import { type ControlMessage, decodeControl } from "#contracts/media/control.ts";
import { decodePose, type PoseMessage } from "#contracts/media/pose.ts";
import { isFailure } from "#domain/failure.ts";

/** Some hundred messages: a client that reads none of them is told no more, whatever it goes on asking. */
export const CONTROL_WAITING_BYTES_MAX = 64 * 1024;

export interface TransportEvents {
  onPose(pose: PoseMessage): void;
  onControl(message: ControlMessage): void;
  /** At most once, and not after `close`. */
  onClosed(reason: string): void;
  /** A message that breaks the media protocol: it costs that client a frame, nobody anything else. */
  onInvalid(): void;
}

export interface Transport {
  /** Whether a frame that is handed over now goes out at once, and not behind what waits: asked before one is encoded. */
  takesFrame(): boolean;
  /** False when the frame was dropped: it would have had to wait, or the connection is not open. */
  sendFrame(frameNumber: number, bytes: Uint8Array<ArrayBuffer>): boolean;
  /** False when the packet was dropped: it would have had to wait, or there is no way for sound. */
  sendAudio(bytes: Uint8Array<ArrayBuffer>): boolean;
  /** Dropped where `CONTROL_WAITING_BYTES_MAX` wait. */
  sendControl(message: ControlMessage): void;
  /** The smoothed RTT so far, 0 while nothing is known; asked now and then, it goes on measuring. */
  measureRtt(): number;
  /** Idempotent. */
  close(): void;
}

export function takePose(bytes: Uint8Array, events: TransportEvents): void {
  taking(events, () => events.onPose(decodePose(bytes)));
}

export function takeControl(text: string, events: TransportEvents): void {
  taking(events, () => events.onControl(decodeControl(text)));
}

function taking(events: TransportEvents, take: () => void): void {
  try {
    take();
  } catch (error) {
    if (!isFailure(error, "media-invalid")) throw error;
    events.onInvalid();
  }
}
