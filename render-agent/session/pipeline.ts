/** The life of a frame: newest pose, render, encode, send; one at a time, nothing queued. */
import { encodeFrame } from "#contracts/media/frame.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";
import type { RenderClass } from "#domain/session/render-app.ts";
import type { Clock } from "#platform/clock.ts";
import type { Encoder } from "../encoder/encoder.ts";
import type { StereoRenderer } from "../renderer/stereo-renderer.ts";

export interface PipelinePorts {
  readonly clock: Clock;
  readonly renderer: Pick<StereoRenderer, "render">;
  readonly encoder: Encoder;
  readonly renderClass: RenderClass;
  sendFrame(frameNumber: number, bytes: Uint8Array): boolean;
}

interface LatchedPose {
  readonly pose: PoseMessage;
  readonly receivedAtMs: number;
}

export class FramePipeline {
  readonly #ports: PipelinePorts;
  readonly #epochOffsetMs: number;
  #newest: LatchedPose | undefined;
  #running = false;
  #keyDue = true;
  #frameNumber = 0;
  #lastPoseId = 0;

  constructor(ports: PipelinePorts) {
    this.#ports = ports;
    this.#epochOffsetMs = ports.clock.nowMs() - ports.clock.monotonicMs();
  }

  /** An older pose than the newest changes nothing. Resolves when nothing is left to render. */
  async offerPose(pose: PoseMessage): Promise<void> {
    if (pose.poseId <= this.#lastPoseId) return;
    this.#lastPoseId = pose.poseId;
    this.#newest = { pose, receivedAtMs: this.#nowMs() };
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#newest !== undefined) {
        const latched: LatchedPose = this.#newest;
        this.#newest = undefined;
        await this.#frame(latched.pose, latched.receivedAtMs);
      }
    } finally {
      this.#running = false;
    }
  }

  requestKeyFrame(): void {
    this.#keyDue = true;
  }

  async #frame(pose: PoseMessage, poseReceivedAtMs: number): Promise<void> {
    const { renderer, encoder, renderClass } = this.#ports;
    const renderStartedAtMs = this.#nowMs();
    using picture = await renderer.render(pose, this.#ports.clock.monotonicMs() / 1000);
    const renderedAtMs = this.#nowMs();
    const unit = encoder.encode(picture.pixels, this.#keyDue);
    const encodedAtMs = this.#nowMs();
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
    this.#keyDue = !this.#ports.sendFrame(this.#frameNumber, bytes);
  }

  #nowMs(): number {
    return this.#epochOffsetMs + this.#ports.clock.monotonicMs();
  }
}
