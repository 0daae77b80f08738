/** Fragments from all connections of a session become frames; what of them was lost is told to the agent now and then. */
import { type ControlMessage, LOSS_REPORT_MS } from "#contracts/media/control.ts";
import { FrameAssembler } from "#contracts/media/fragments.ts";
import { isFailure } from "#domain/failure.ts";
import type { ClientClock } from "../clock.ts";
import type { TransportEvents } from "./transport.ts";

export interface FrameInbox {
  addFragment(bytes: Uint8Array): void;
}

export interface FrameInboxPorts {
  readonly clock: Pick<ClientClock, "monotonicMs">;
  readonly events: Pick<TransportEvents, "onFrame" | "onInvalid">;
  readonly say: (message: ControlMessage) => void;
}

export function createFrameInbox({ clock, events, say }: FrameInboxPorts): FrameInbox {
  const assembler = new FrameAssembler();
  let reportedAtMs = clock.monotonicMs();
  const report = (): void => {
    const nowMs = clock.monotonicMs();
    if (nowMs - reportedAtMs < LOSS_REPORT_MS) return;
    reportedAtMs = nowMs;
    const { received, lost } = assembler.takeLoss();
    if (received + lost > 0) say({ type: "loss-report", fragmentsReceived: received, fragmentsLost: lost });
  };
  return {
    addFragment(bytes) {
      try {
        const whole = assembler.add(bytes);
        if (whole !== undefined) events.onFrame(whole.bytes, whole.repaired);
      } catch (error) {
        if (!isFailure(error, "media-invalid")) throw error;
        events.onInvalid();
      }
      report();
    },
  };
}
