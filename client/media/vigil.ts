/** Watches one link: whether frames come while poses leave, and what its edge says of the agent. */
import { HEARTBEAT_MS } from "#contracts/media/control.ts";
import { type ClientClock, pause } from "../clock.ts";
import type { MediaLoss } from "./media-port.ts";
import {
  advanceFrameFlow,
  advancePoseFlow,
  type FrameFlow,
  IN_FLIGHT_MS,
  isSilent,
  missedSinceMs,
  NO_FRAMES,
  type PoseFlow,
  SUSPECT_SILENCE_MS_MAX,
  suspectSilenceMsMax,
} from "./silence.ts";

/** A sixth of the silence that is waited for. */
const INTERVAL_MS = 50;
/** A page that looks so late has stood still itself. */
const LATE_MS_MIN = 100;

export interface Vigil {
  frameCame(): void;
  poseLeft(): void;
  /** By the monotonic clock; 0 before the first. */
  lastFrameAtMs(): number;
  /** Until the signal. */
  keep(sendHeartbeat: () => void): Promise<void>;
  /** Resolves when frames have come, or the link was given up. */
  suspect(reason: string): Promise<void>;
}

export function createVigil(clock: ClientClock, lose: (loss: MediaLoss) => void, signal: AbortSignal): Vigil {
  let poseFlow: PoseFlow | undefined;
  let frameFlow = NO_FRAMES;
  /** What came while the page stood still waits behind its return: frames are missed from then on. */
  let awakeSinceMs = 0;
  const pauseAwake = async (ms: number): Promise<boolean> => {
    const dueAtMs = clock.monotonicMs() + ms;
    const isOver = !(await pause(clock, ms, signal));
    if (clock.monotonicMs() - dueAtMs > LATE_MS_MIN) awakeSinceMs = clock.monotonicMs();
    return !isOver;
  };
  const frames = (): FrameFlow => ({ ...frameFlow, lastMs: Math.max(frameFlow.lastMs, awakeSinceMs) });
  return {
    frameCame() {
      frameFlow = advanceFrameFlow(frameFlow, clock.monotonicMs());
    },
    poseLeft() {
      poseFlow = advancePoseFlow(poseFlow, clock.monotonicMs());
    },
    lastFrameAtMs: () => frameFlow.lastMs,
    async keep(sendHeartbeat) {
      while (await pauseAwake(INTERVAL_MS)) {
        const nowMs = clock.monotonicMs();
        if (isSilent(poseFlow, frames(), nowMs)) lose({ because: "silent" });
        else if (poseFlow === undefined || nowMs - poseFlow.lastMs >= HEARTBEAT_MS) sendHeartbeat();
      }
    },
    async suspect(reason) {
      const suspectedAtMs = clock.monotonicMs();
      const untilMs = suspectedAtMs + SUSPECT_SILENCE_MS_MAX + IN_FLIGHT_MS;
      for (;;) {
        const nowMs = clock.monotonicMs();
        const sinceMs = missedSinceMs(poseFlow, frames(), nowMs) ?? Math.max(frameFlow.lastMs, suspectedAtMs);
        const missedAtMs = sinceMs + suspectSilenceMsMax(frameFlow);
        if (nowMs >= missedAtMs) return lose({ because: "ended", reason });
        if (nowMs >= untilMs || !(await pauseAwake(Math.min(missedAtMs, untilMs) - nowMs))) return;
      }
    },
  };
}
