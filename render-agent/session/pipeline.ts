/** The life of a frame: newest pose, render, encode, send; one at a time, nothing queued, at most the class's rate. */
import { encodeFrame } from "#contracts/media/frame.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";
import { Failure } from "#domain/failure.ts";
import type { RenderClass } from "#domain/session/render-app.ts";
import type { Clock } from "#platform/clock.ts";
import type { Encoder } from "../encoder/encoder.ts";
import type { StereoRenderer } from "../renderer/stereo-renderer.ts";
import { FrameTimes } from "./frame-times.ts";
import type { FrameStatistics } from "./messages.ts";
import { nextDueMs, startWindow } from "./pacing.ts";

/** A GPU that has not drawn in this will not. */
const RENDER_MS_MAX = 2_000;

export interface PipelinePorts {
  readonly clock: Clock;
  readonly renderer: Pick<StereoRenderer, "render" | "resize">;
  /** Of the first frame. */
  readonly encoder: FrameEncoder;
  readonly renderClass: RenderClass;
  /** False where a frame would have to wait: it is not encoded then. */
  takesFrame(): boolean;
  /** False where the frame was dropped. */
  sendFrame(frameNumber: number, bytes: Uint8Array<ArrayBuffer>): boolean;
}

export type FrameEncoder = Pick<Encoder, "codec" | "encode">;

/** What a frame is made with; all of a frame is of one. */
export interface FrameShape {
  readonly encoder: FrameEncoder;
  readonly eyeWidthPixels: number;
  readonly eyeHeightPixels: number;
}

interface LatchedPose {
  readonly pose: PoseMessage;
  readonly receivedAtMs: number;
}

export class FramePipeline {
  readonly #ports: PipelinePorts;
  readonly #epochOffsetMs: number;
  #periodMs: number;
  readonly #renderTimes = new FrameTimes();
  readonly #encodeTimes = new FrameTimes();
  #shape: FrameShape;
  #nextShape: FrameShape | undefined;
  #newest: LatchedPose | undefined;
  #running = false;
  #keyDue = true;
  /** Of clients: a frame that was begun for one is not sent to the next. */
  #client = 0;
  #frameNumber = 0;
  #framesHeldBack = 0;
  #lastPoseId = 0;
  #dueMs = 0;
  /** Set while a frame waits for the pose that starts it. */
  #poseCame: (() => void) | undefined;

  constructor(ports: PipelinePorts) {
    this.#ports = ports;
    this.#epochOffsetMs = ports.clock.nowMs() - ports.clock.monotonicMs();
    const { eyeWidthPixels, eyeHeightPixels, frameRateHz } = ports.renderClass;
    this.#periodMs = 1000 / frameRateHz;
    this.#shape = { encoder: ports.encoder, eyeWidthPixels, eyeHeightPixels };
  }

  /** What frames' stamps have before the monotonic clock. */
  get epochOffsetMs(): number {
    return this.#epochOffsetMs;
  }

  /** An older pose than the newest changes nothing. Resolves when nothing is left to render; throws `deadline-exceeded`. */
  async offerPose(pose: PoseMessage): Promise<void> {
    if (pose.poseId <= this.#lastPoseId) return;
    this.#lastPoseId = pose.poseId;
    this.#newest = { pose, receivedAtMs: this.#nowMs() };
    this.#poseCame?.();
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#newest !== undefined) await this.#next();
    } finally {
      this.#running = false;
    }
  }

  /** A client that is new on this session counts its poses from 1 again and holds no frame. */
  restart(): void {
    this.#client += 1;
    this.#lastPoseId = 0;
    this.#newest = undefined;
    this.#keyDue = true;
  }

  requestKeyFrame(): void {
    this.#keyDue = true;
  }

  setFrameRate(frameRateHz: number): void {
    this.#periodMs = 1000 / frameRateHz;
  }

  /** From the next frame on, which stands alone. */
  setShape(shape: FrameShape): void {
    this.#nextShape = shape;
  }

  /** Since the last call. */
  takeStatistics(): FrameStatistics {
    const { count, p95 } = this.#renderTimes.take();
    const framesHeldBack = this.#framesHeldBack;
    this.#framesHeldBack = 0;
    return { framesRendered: count, renderMsP95: p95, encodeMsP95: this.#encodeTimes.take().p95, framesHeldBack };
  }

  async #next(): Promise<void> {
    const { clock } = this.#ports;
    await this.#untilStart();
    this.#dueMs = nextDueMs(clock.monotonicMs(), this.#dueMs, this.#periodMs);
    // Latched only now: what came while waiting is newer.
    const latched = this.#newest;
    this.#newest = undefined;
    if (latched !== undefined) await this.#frame(latched);
  }

  /** What came too early is not rendered late: a newer pose comes meanwhile from whoever sends more than is rendered. */
  async #untilStart(): Promise<void> {
    const { clock } = this.#ports;
    const { fromMs, untilMs } = startWindow(this.#dueMs, this.#periodMs);
    if (clock.monotonicMs() >= fromMs) return;
    const { promise: started, resolve } = Promise.withResolvers<void>();
    this.#poseCame = () => {
      if (clock.monotonicMs() >= fromMs) resolve();
    };
    using _latest = clock.timer(untilMs - clock.monotonicMs(), resolve);
    await started;
    this.#poseCame = undefined;
  }

  async #frame({ pose, receivedAtMs: poseReceivedAtMs }: LatchedPose): Promise<void> {
    const { encoder, eyeWidthPixels, eyeHeightPixels } = this.#takeShape();
    const renderStartedAtMs = this.#nowMs();
    const client = this.#client;
    using picture = await this.#render(pose);
    if (client !== this.#client) return;
    const renderedAtMs = this.#nowMs();
    this.#renderTimes.add(renderedAtMs - renderStartedAtMs);
    // Asked as late as can be. The encoder has not seen the frame: the next one follows from the one before.
    if (!this.#ports.takesFrame()) {
      this.#framesHeldBack += 1;
      return;
    }
    const isKeyDue = this.#keyDue;
    this.#keyDue = false;
    const unit = encoder.encode(picture.pixels, isKeyDue, pose);
    const encodedAtMs = this.#nowMs();
    this.#encodeTimes.add(encodedAtMs - renderedAtMs);
    this.#frameNumber += 1;
    const bytes = encodeFrame({
      header: {
        frameNumber: this.#frameNumber,
        codec: encoder.codec,
        key: unit.key,
        eyeWidthPixels,
        eyeHeightPixels,
        poseId: pose.poseId,
        poseSampledAtMs: pose.sampledAtMs,
        poseReceivedAtMs,
        renderStartedAtMs,
        renderedAtMs,
        encodedAtMs,
        sentAtMs: this.#nowMs(),
        ...(picture.without === undefined ? {} : { without: picture.without }),
      },
      accessUnit: unit.bytes,
      ...(picture.depth === undefined ? {} : { depth: picture.depth }),
    });
    // A frame that was not sent leaves the decoder behind: the next one stands alone.
    if (!this.#ports.sendFrame(this.#frameNumber, bytes)) this.#keyDue = true;
  }

  #takeShape(): FrameShape {
    const next = this.#nextShape;
    if (next === undefined) return this.#shape;
    this.#nextShape = undefined;
    this.#shape = next;
    this.#ports.renderer.resize(next.eyeWidthPixels, next.eyeHeightPixels);
    this.#keyDue = true;
    return next;
  }

  async #render(pose: PoseMessage) {
    const { clock, renderer } = this.#ports;
    const { promise: late, reject } = Promise.withResolvers<never>();
    using _watch = clock.timer(RENDER_MS_MAX, () =>
      reject(new Failure("deadline-exceeded", `a frame was not rendered within ${RENDER_MS_MAX} ms`)),
    );
    return await Promise.race([renderer.render(pose, clock.monotonicMs() / 1000), late]);
  }

  #nowMs(): number {
    return this.#epochOffsetMs + this.#ports.clock.monotonicMs();
  }
}
