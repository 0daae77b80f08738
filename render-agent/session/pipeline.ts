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
import { startOf } from "./pacing.ts";

/** A GPU that has not drawn in this will not. */
const RENDER_MS_MAX = 2_000;

export interface PipelinePorts {
  readonly clock: Clock;
  readonly renderer: Pick<StereoRenderer, "render">;
  readonly encoder: Pick<Encoder, "codec" | "encode">;
  readonly renderClass: RenderClass;
  /** False where the frame was dropped. */
  sendFrame(frameNumber: number, bytes: Uint8Array<ArrayBuffer>): boolean;
}

interface LatchedPose {
  readonly pose: PoseMessage;
  readonly receivedAtMs: number;
}

export class FramePipeline {
  readonly #ports: PipelinePorts;
  readonly #epochOffsetMs: number;
  readonly #periodMs: number;
  readonly #renderTimes = new FrameTimes();
  readonly #encodeTimes = new FrameTimes();
  #newest: LatchedPose | undefined;
  #running = false;
  #keyDue = true;
  #frameNumber = 0;
  #lastPoseId = 0;
  #dueMs = 0;

  constructor(ports: PipelinePorts) {
    this.#ports = ports;
    this.#epochOffsetMs = ports.clock.nowMs() - ports.clock.monotonicMs();
    this.#periodMs = 1000 / ports.renderClass.frameRateHz;
  }

  /** An older pose than the newest changes nothing. Resolves when nothing is left to render; throws `deadline-exceeded`. */
  async offerPose(pose: PoseMessage): Promise<void> {
    if (pose.poseId <= this.#lastPoseId) return;
    this.#lastPoseId = pose.poseId;
    this.#newest = { pose, receivedAtMs: this.#nowMs() };
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
    this.#lastPoseId = 0;
    this.#newest = undefined;
    this.#keyDue = true;
  }

  requestKeyFrame(): void {
    this.#keyDue = true;
  }

  /** Since the last call. */
  takeStatistics(): FrameStatistics {
    const { count, p95 } = this.#renderTimes.take();
    return { framesRendered: count, renderMsP95: p95, encodeMsP95: this.#encodeTimes.take().p95 };
  }

  async #next(): Promise<void> {
    const { clock } = this.#ports;
    const start = startOf(clock.monotonicMs(), this.#dueMs, this.#periodMs);
    this.#dueMs = start.dueMs;
    if (start.waitMs > 0) await clock.sleep(start.waitMs);
    // Latched only now: what came while waiting is newer.
    const latched = this.#newest;
    this.#newest = undefined;
    if (latched !== undefined) await this.#frame(latched);
  }

  async #frame({ pose, receivedAtMs: poseReceivedAtMs }: LatchedPose): Promise<void> {
    const { encoder, renderClass } = this.#ports;
    const renderStartedAtMs = this.#nowMs();
    using picture = await this.#render(pose);
    const renderedAtMs = this.#nowMs();
    const isKeyDue = this.#keyDue;
    this.#keyDue = false;
    const unit = encoder.encode(picture.pixels, isKeyDue);
    const encodedAtMs = this.#nowMs();
    this.#renderTimes.add(renderedAtMs - renderStartedAtMs);
    this.#encodeTimes.add(encodedAtMs - renderedAtMs);
    this.#frameNumber += 1;
    const bytes = encodeFrame({
      header: {
        frameNumber: this.#frameNumber,
        codec: encoder.codec,
        key: unit.key,
        eyeWidthPixels: renderClass.eyeWidthPixels,
        eyeHeightPixels: renderClass.eyeHeightPixels,
        poseId: pose.poseId,
        poseSampledAtMs: pose.sampledAtMs,
        poseReceivedAtMs,
        renderStartedAtMs,
        renderedAtMs,
        encodedAtMs,
        sentAtMs: this.#nowMs(),
      },
      accessUnit: unit.bytes,
    });
    // A frame that was not sent leaves the decoder behind: the next one stands alone.
    if (!this.#ports.sendFrame(this.#frameNumber, bytes)) this.#keyDue = true;
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
