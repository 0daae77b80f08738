/** Reads a control message, or says that it breaks the media protocol. */
import { decodeControl } from "#contracts/media/control.ts";
import { isFailure } from "#domain/failure.ts";
import type { TransportEvents } from "./transport.ts";

export function receiveControl(text: string, events: Pick<TransportEvents, "onControl" | "onInvalid">): void {
  let message: ReturnType<typeof decodeControl>;
  try {
    message = decodeControl(text);
  } catch (error) {
    if (!isFailure(error, "media-invalid")) throw error;
    events.onInvalid();
    return;
  }
  events.onControl(message);
}
