/** What a person sees: with each frame of the page or the headset a pose goes out, and the newest picture is drawn for it. */
import { type ClientClock, pause, startEpochMs } from "./clock.ts";
import { createDisplay, type Layout, type Pixels } from "./display/display.ts";
import { enterHeadset, type Headset } from "./display/headset.ts";
import type { DecodedFrame } from "./media/receiver.ts";
import { type EmulatedHead, headPoseOf } from "./pose/emulated-head.ts";
import { listenForHead } from "./pose/head-controls.ts";
import type { HeadPose } from "./pose/head-pose.ts";
import { createPoseLog } from "./pose/pose-log.ts";

/** A page that is not seen draws no frames; with a pose now and then its session lives on, and a lost one comes back. */
const HIDDEN_POSE_INTERVAL_MS = 500;

export interface VrViewOptions {
  /** Takes focus and pointer events: it is what is looked around in. */
  readonly canvas: HTMLCanvasElement;
  readonly clock: ClientClock;
  readonly sendPose: (bytes: Uint8Array<ArrayBuffer>) => void;
  /** No frame is drawn after it is aborted. */
  readonly signal: AbortSignal;
}

export interface VrView {
  /** Takes the picture. */
  setFrame(frame: DecodedFrame<VideoFrame>): void;
  setLayout(layout: Layout): void;
  /** Moves the emulated head; in a headset it changes nothing. */
  setHead(wish: Partial<EmulatedHead>): void;
  head(): EmulatedHead;
  /** Throws `headset-unavailable`; from a person's click. */
  enterHeadset(onEnd: () => void): Promise<Headset>;
  readPicture(): Pixels | undefined;
  counts(): ViewCounts;
}

export interface ViewCounts {
  readonly posesSent: number;
  /** Decoded pictures that were handed over to be shown. */
  readonly framesShown: number;
  readonly framesDrawn: number;
  readonly framesDrawnInHeadset: number;
  /** The pose that the newest picture was rendered from. */
  readonly lastPoseId: number | undefined;
}

/** Throws where the browser has no WebGL2. */
export function startVrView({ canvas, clock, sendPose, signal }: VrViewOptions): VrView {
  const poses = createPoseLog();
  const display = createDisplay({ canvas, findPose: poses.find });
  const controls = listenForHead(canvas);
  const epochMs = startEpochMs(clock);
  let layout: Layout = "mono";
  let isInHeadset = false;
  let [posesSent, framesShown, framesDrawnInHeadset] = [0, 0, 0];
  const send = (head: HeadPose): void => {
    posesSent += 1;
    sendPose(poses.next(head, epochMs()).bytes);
  };
  const onPageFrame = (): void => {
    if (signal.aborted) return;
    requestAnimationFrame(onPageFrame);
    if (isInHeadset) return;
    const head = headPoseOf(controls.current(), display.eyeAspect());
    send(head);
    display.drawOnPage(head, layout);
  };
  requestAnimationFrame(onPageFrame);
  const sendWhileHidden = async (): Promise<void> => {
    while (await pause(clock, HIDDEN_POSE_INTERVAL_MS, signal)) {
      if (document.hidden && !isInHeadset) send(headPoseOf(controls.current(), display.eyeAspect()));
    }
  };
  void sendWhileHidden();
  return {
    setFrame(frame) {
      framesShown += 1;
      display.setFrame(frame);
    },
    setLayout(next) {
      layout = next;
    },
    setHead: controls.moveTo,
    head: controls.current,
    async enterHeadset(onEnd) {
      const headset = await enterHeadset({
        gl: display.gl,
        onFrame(head, layer, views) {
          send(head);
          if (display.drawInHeadset(layer, views)) framesDrawnInHeadset += 1;
        },
        onEnd() {
          isInHeadset = false;
          onEnd();
        },
      });
      isInHeadset = true;
      return headset;
    },
    readPicture: display.readPicture,
    counts: () => ({
      ...{ posesSent, framesShown, framesDrawnInHeadset },
      ...{ framesDrawn: display.framesDrawn(), lastPoseId: display.lastPoseId() },
    }),
  };
}
