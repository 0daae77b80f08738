/** Sends poses when their pictures are wanted, each for where the head will be when its picture is drawn. */
import type { PoseMessage } from "#contracts/media/pose.ts";
import { type ClientClock, pause, startEpochMs } from "../clock.ts";
import type { HeadPose } from "./head-pose.ts";
import { createPhaseAlignment } from "./phase.ts";
import { createPoseLog, type PoseWishes } from "./pose-log.ts";
import { createHeadPredictor } from "./prediction.ts";

/** Timers of browsers are no finer. */
const TIMER_MS = 1;

export interface SampledHead {
  readonly head: HeadPose;
  /** Epoch milliseconds. */
  readonly atMs: number;
}

export interface PoseSenderOptions {
  readonly clock: ClientClock;
  /** No pose is sent after it is aborted. */
  readonly signal: AbortSignal;
  readonly sendPose: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly wishes?: PoseWishes | undefined;
  /** How long a pose's picture usually takes until it is drawn. */
  readonly aheadMs: () => number;
  /** Just before a pose is sampled. */
  readonly beforePose?: (() => void) | undefined;
}

export interface PoseSender {
  /** In a frame of the display; `sample` is called now, or later in it. */
  displayFrame(sample: () => SampledHead): void;
  /** At once, and as it is. */
  send(head: HeadPose): void;
  /** That was rendered for a pose of then. */
  pictureCame(poseSampledAtMs: number): void;
  find(poseId: number): PoseMessage | undefined;
  sent(): number;
  /** From a frame of the display to the next; 0 while that is not known. */
  displayPeriodMs(): number;
}

export function createPoseSender(options: PoseSenderOptions): PoseSender {
  const { clock, signal, aheadMs, beforePose } = options;
  const [poses, phase, predictor] = [createPoseLog(options.wishes), createPhaseAlignment(), createHeadPredictor()];
  const epochMs = startEpochMs(clock);
  let sent = 0;
  const send = (head: HeadPose): void => {
    sent += 1;
    options.sendPose(poses.next(head, epochMs()).bytes);
  };
  const sampleAndSend = (sample: () => SampledHead): void => {
    beforePose?.();
    const { head, atMs } = sample();
    predictor.add(head, atMs);
    send(predictor.at(epochMs() + aheadMs()) ?? head);
  };
  return {
    displayFrame(sample) {
      phase.displayFrame(epochMs());
      const delayMs = phase.delayMs();
      if (delayMs < TIMER_MS) sampleAndSend(sample);
      else void pause(clock, delayMs, signal).then((isDue) => void (isDue && sampleAndSend(sample)));
    },
    send(head) {
      beforePose?.();
      send(head);
    },
    pictureCame: (poseSampledAtMs) => phase.pictureCame(epochMs() - poseSampledAtMs),
    find: poses.find,
    sent: () => sent,
    displayPeriodMs: phase.periodMs,
  };
}
