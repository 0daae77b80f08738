/** What a person sees: with each frame of the page or the headset a pose goes out, and the newest picture is drawn for it. */
import type { ShownPicture } from "./audio/sound-to-picture.ts";
import { type ClientClock, pause, startEpochMs } from "./clock.ts";
import { createDisplay, type Layout, type Pixels } from "./display/display.ts";
import { enterHeadset, type Headset } from "./display/headset.ts";
import { createDrawnLog, type DrawnCounts } from "./latency/drawn.ts";
import type { DecodedFrame } from "./media/receiver.ts";
import { type PauseReason, watchPauses } from "./pauses.ts";
import { withEmulatedHand } from "./pose/emulated-hand.ts";
import { type EmulatedHead, headPoseOf } from "./pose/emulated-head.ts";
import { listenForHead } from "./pose/head-controls.ts";
import type { HeadPose } from "./pose/head-pose.ts";
import type { PoseWishes } from "./pose/pose-log.ts";
import { createPoseSender } from "./pose/pose-sender.ts";

/** Who is not looking draws no frames; with a pose now and then the session lives on, and a lost one comes back. */
const PAUSED_POSE_INTERVAL_MS = 500;

export interface VrViewOptions {
  /** Takes focus and pointer events: it is what is looked around in. */
  readonly canvas: HTMLCanvasElement;
  readonly clock: ClientClock;
  readonly sendPose: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly wishes?: PoseWishes | undefined;
  /** No frame is drawn after it is aborted, the headset is left, and the canvas is let go of. */
  readonly signal: AbortSignal;
  /** A picture is drawn for the first time; its light leaves the display about a frame of it later. */
  readonly onPictureDrawn: (picture: ShownPicture) => void;
  /** Told when a pause begins or has another reason, and `undefined` when it is over. */
  readonly onPause?: ((because: PauseReason | undefined) => void) | undefined;
  /** Just before a pose is sampled: a head that is set then is the one that counts. */
  readonly beforePose?: (() => void) | undefined;
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
  /** Pictures come twice a second at most until `resume`; in a headset the local scene is shown. Idempotent. */
  pause(): void;
  resume(): void;
  readPicture(): Pixels | undefined;
  counts(): ViewCounts;
}

export interface ViewCounts extends DrawnCounts {
  readonly posesSent: number;
  /** Decoded pictures that were handed over to be shown. */
  readonly framesShown: number;
  readonly framesDrawn: number;
  readonly framesDrawnInHeadset: number;
  /** The pose that the newest picture was rendered from. */
  readonly lastPoseId: number | undefined;
}

/** Throws `browser-unfit` where there is no WebGL2. */
export function startVrView(options: VrViewOptions): VrView {
  const { canvas, clock, sendPose, wishes, signal, onPictureDrawn, onPause, beforePose } = options;
  const drawn = createDrawnLog((stampMs, drawnAtMs) =>
    onPictureDrawn({ stampMs, shownAtMs: drawnAtMs + poses.displayPeriodMs() }),
  );
  const poses = createPoseSender({ clock, signal, sendPose, wishes, beforePose, aheadMs: drawn.usualMs });
  const controls = listenForHead(canvas, signal);
  const epochMs = startEpochMs(clock);
  let layout: Layout = "mono";
  let headInHeadset: HeadPose | undefined;
  let isInHeadset = false;
  let [framesShown, framesDrawnInHeadset] = [0, 0];
  const pauses = watchPauses({ signal, isInHeadset: () => isInHeadset, onPause }, drawn.interrupted);
  const display = createDisplay({
    ...{ canvas, signal, findPose: poses.find, monotonicMs: () => clock.monotonicMs() },
    onTaken(header) {
      if (pauses.because() !== undefined) return;
      drawn.pictureCame(epochMs(), header);
      poses.pictureCame(header.poseSampledAtMs);
    },
  });
  const headOnPage = (): HeadPose =>
    withEmulatedHand(headPoseOf(controls.current(), display.eyeAspect()), controls.isPressed());
  withPageFrames(signal, () => {
    if (isInHeadset || pauses.because() !== undefined) return;
    poses.displayFrame(() => ({ head: headOnPage(), atMs: epochMs() }));
    display.drawOnPage(headOnPage(), layout);
    drawn.drawn(epochMs());
  });
  void nowAndThen(clock, signal, () => {
    if (pauses.because() !== undefined) poses.send((isInHeadset ? headInHeadset : undefined) ?? headOnPage());
  });
  return {
    setFrame(frame) {
      framesShown += 1;
      display.setFrame(frame);
    },
    setLayout(next) {
      layout = next;
    },
    ...{ setHead: controls.moveTo, head: controls.current, readPicture: display.readPicture },
    async enterHeadset(onEnd) {
      const headset = await enterHeadset({
        ...{ gl: display.gl, signal },
        onFrame(frame) {
          const sampled = { head: frame.head, atMs: epochMs() };
          headInHeadset = frame.head;
          if (pauses.because() === undefined) poses.displayFrame(() => sampled);
          if (!display.drawInHeadset(frame)) return;
          framesDrawnInHeadset += 1;
          drawn.drawn(epochMs());
        },
        onEnd() {
          isInHeadset = false;
          pauses.look();
          onEnd();
        },
      });
      isInHeadset = true;
      pauses.look();
      return headset;
    },
    pause: () => pauses.ask(true),
    resume: () => pauses.ask(false),
    counts: () => ({
      ...{ posesSent: poses.sent(), framesShown, framesDrawnInHeadset, ...drawn.counts() },
      ...{ framesDrawn: display.framesDrawn(), lastPoseId: display.lastPoseId() },
    }),
  };
}

function withPageFrames(signal: AbortSignal, work: () => void): void {
  const onFrame = (): void => {
    if (signal.aborted) return;
    requestAnimationFrame(onFrame);
    work();
  };
  requestAnimationFrame(onFrame);
}

async function nowAndThen(clock: ClientClock, signal: AbortSignal, work: () => void): Promise<void> {
  while (await pause(clock, PAUSED_POSE_INTERVAL_MS, signal)) work();
}
