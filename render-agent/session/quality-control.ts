/** Applies what rate control decides to a session's encoder, renderer and pace; bit rate at once, a size with the next frame. */
import type { FrameReport } from "#contracts/media/control.ts";
import { isFailure } from "#domain/failure.ts";
import type { RenderClass } from "#domain/session/render-app.ts";
import type { Clock } from "#platform/clock.ts";
import { BITS_PER_PIXEL_FLOOR, type Encoder, type EncoderOptions, fullBitRateOf } from "../encoder/encoder.ts";
import type { FramePipeline } from "./pipeline.ts";
import { firstRate, nextRate, type Quality, qualityOf, type RateBounds, type RateEvent } from "./rate-control.ts";

/** Five reports: frames leave, and nothing is heard of any. */
const UNANSWERED_MS = 500;
/** A client that reports has done so many times by now. */
const UNREPORTED_MS = 3_000;
/** Encoders take pictures in whole macroblocks best. */
const BLOCK_PIXELS = 16;

export interface QualityPorts {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly renderClass: RenderClass;
  /** Of the full size; whoever opened it disposes of it. */
  readonly encoder: Encoder;
  readonly openEncoder: (options: EncoderOptions) => Promise<Encoder>;
  readonly pipeline: Pick<FramePipeline, "setFrameRate" | "setShape">;
}

export class QualityControl implements Disposable {
  readonly #ports: QualityPorts;
  readonly #bounds: RateBounds;
  /** By scale; as many as there are steps of it. */
  readonly #encoders = new Map<number, Encoder>();
  #state: ReturnType<typeof firstRate>;
  #applied: Quality;
  #encoder: Encoder;
  #sentFrame = 0;
  /** To this client. */
  #hasSent = false;
  #startedAtMs = 0;
  #isOpening = false;
  #canOpen = true;
  #isDisposed = false;

  constructor(ports: QualityPorts) {
    const { renderClass, encoder } = ports;
    const size = sizeOf(renderClass, 1);
    this.#ports = ports;
    this.#encoder = encoder;
    this.#encoders.set(1, encoder);
    this.#bounds = {
      bitsPerSecondMax: fullBitRateOf(size, encoder.codec),
      pixels: size.widthPixels * size.heightPixels,
      frameRateHz: renderClass.frameRateHz,
      bitsPerPixelMin: BITS_PER_PIXEL_FLOOR[encoder.codec],
    };
    this.#state = firstRate(this.#bounds);
    // Until there is a client nothing is held back: what is measured then is what a session costs.
    const { bitsPerSecondMax: bitsPerSecond, frameRateHz } = this.#bounds;
    this.#applied = { bitsPerSecond, frameRateHz, scaleRatio: 1 };
  }

  /** What is aimed at; a new size is used once its encoder is open. */
  get quality(): Quality {
    return qualityOf(this.#state, this.#bounds);
  }

  /** Another client, by another way. */
  restart(): void {
    this.#state = firstRate(this.#bounds);
    this.#hasSent = false;
    this.#startedAtMs = this.#ports.clock.monotonicMs();
    this.#apply();
  }

  report(report: FrameReport): void {
    // Of frames that were never sent somebody else may tell.
    if (report.newestFrame <= this.#sentFrame) this.#decide({ kind: "report", report });
  }

  noteFrame(frameNumber: number, isSent: boolean): void {
    this.#sentFrame = frameNumber;
    this.#hasSent ||= isSent;
    if (isSent) this.#noteSent(frameNumber);
    else this.#decide({ kind: "dropped" });
  }

  /** Frames before it still wait to be sent. */
  noteHeldBack(): void {
    // A way that has not opened yet is no full one.
    if (!this.#hasSent) return;
    this.#decide({ kind: "dropped" });
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    for (const [scale, encoder] of this.#encoders) if (scale !== 1) encoder[Symbol.dispose]();
  }

  #noteSent(frameNumber: number): void {
    const { reportedAtMs, reportedFrame, phase } = this.#state;
    const nowMs = this.#ports.clock.monotonicMs();
    if (reportedFrame === 0) {
      if (phase !== "full" && nowMs - this.#startedAtMs > UNREPORTED_MS) this.#decide({ kind: "unreported" });
      return;
    }
    const isFlowing = frameNumber - reportedFrame > (this.#bounds.frameRateHz * UNANSWERED_MS) / 1000;
    if (isFlowing && nowMs - reportedAtMs > UNANSWERED_MS) this.#decide({ kind: "unanswered" });
  }

  #decide(event: RateEvent): void {
    const moment = { nowMs: this.#ports.clock.monotonicMs(), sentFrame: this.#sentFrame };
    this.#state = nextRate(this.#state, event, moment, this.#bounds);
    this.#apply();
  }

  #apply(): void {
    const wanted = this.quality;
    if (wanted.scaleRatio !== this.#applied.scaleRatio) void this.#changeSize();
    if (wanted.frameRateHz !== this.#applied.frameRateHz) this.#ports.pipeline.setFrameRate(wanted.frameRateHz);
    const isSame =
      wanted.bitsPerSecond === this.#applied.bitsPerSecond && wanted.frameRateHz === this.#applied.frameRateHz;
    if (!isSame) this.#setRate(wanted);
    this.#applied = { ...wanted, scaleRatio: this.#applied.scaleRatio };
  }

  #setRate({ bitsPerSecond, frameRateHz }: Quality): void {
    this.#encoder.setRate({ bitsPerSecond, frameRateHz });
  }

  async #changeSize(): Promise<void> {
    if (this.#isOpening || this.#isDisposed) return;
    this.#isOpening = true;
    try {
      const { scaleRatio } = this.quality;
      const encoder = this.#encoders.get(scaleRatio) ?? (await this.#open(scaleRatio));
      if (encoder !== undefined) this.#use(encoder, scaleRatio);
    } finally {
      this.#isOpening = false;
    }
  }

  #use(encoder: Encoder, scaleRatio: number): void {
    this.#encoder = encoder;
    this.#applied = { ...this.#applied, scaleRatio };
    this.#setRate(this.quality);
    const { widthPixels, heightPixels } = sizeOf(this.#ports.renderClass, scaleRatio);
    this.#ports.pipeline.setShape({ encoder, eyeWidthPixels: widthPixels / 2, eyeHeightPixels: heightPixels });
  }

  /** `undefined` where the session has ended meanwhile, or none can be had: then the sizes that there are have to do. */
  async #open(scaleRatio: number): Promise<Encoder | undefined> {
    if (!this.#canOpen) return undefined;
    const { renderClass, openEncoder } = this.#ports;
    const { bitsPerSecond } = this.quality;
    const size = sizeOf(renderClass, scaleRatio);
    const opening = openEncoder({ ...size, frameRateHz: renderClass.frameRateHz, bitsPerSecond });
    const encoder = await opening.catch((error: unknown) => {
      // Some devices have so many encoders and no more.
      if (!isFailure(error, "encoder-unavailable")) throw error;
      this.#canOpen = false;
    });
    if (encoder === undefined) return undefined;
    if (this.#isDisposed) {
      encoder[Symbol.dispose]();
      return undefined;
    }
    this.#encoders.set(scaleRatio, encoder);
    return encoder;
  }
}

/** Of both eyes, side by side. */
function sizeOf({ eyeWidthPixels, eyeHeightPixels, frameRateHz }: RenderClass, scaleRatio: number) {
  if (scaleRatio === 1) return { widthPixels: eyeWidthPixels * 2, heightPixels: eyeHeightPixels, frameRateHz };
  const scaled = (pixels: number): number =>
    Math.max(1, Math.round((pixels * scaleRatio) / BLOCK_PIXELS)) * BLOCK_PIXELS;
  return { widthPixels: scaled(eyeWidthPixels) * 2, heightPixels: scaled(eyeHeightPixels), frameRateHz };
}
