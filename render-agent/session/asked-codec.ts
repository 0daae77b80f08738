/** Which of a session's encoders is in force: the one that was found, or JPEG for a client that decodes nothing else. */
import type { PoseMessage } from "#contracts/media/pose.ts";
import type { RenderClass } from "#domain/session/render-app.ts";
import type { Encoder, EncoderOptions } from "../encoder/encoder.ts";
import type { FrameShape } from "./pipeline.ts";
import { QualityControl, type QualityPorts } from "./quality-control.ts";

/**
 * Of the class's frame rate, where the session was promised by what another encoder costs: a picture of 2×320×360 takes
 * JPEG 10 to 12 ms of CPU and x264 1 to 2, and three times the bits.
 */
const JPEG_RATE_RATIO = 0.5;

export interface AskedCodecPorts extends QualityPorts {
  /** Throws where there is none. */
  readonly openJpeg: (options: EncoderOptions) => Promise<Encoder>;
}

interface InForce {
  readonly encoder: Encoder;
  readonly renderClass: RenderClass;
  readonly quality: QualityControl;
}

export class AskedCodec implements Disposable {
  readonly #ports: AskedCodecPorts;
  readonly #own: InForce;
  #jpeg: InForce | "opening" | "absent" | undefined;
  #inForce: InForce;
  #isDisposed = false;

  constructor(ports: AskedCodecPorts) {
    this.#ports = ports;
    this.#own = this.#control(ports);
    this.#inForce = this.#own;
    if (ports.encoder.codec === "jpeg") this.#jpeg = this.#own;
  }

  get quality(): QualityControl {
    return this.#inForce.quality;
  }

  /** False while what the pose asks for is being opened: a frame for it would be none to its client. */
  serves({ asksJpeg = false }: Pick<PoseMessage, "asksJpeg">): boolean {
    if (!asksJpeg) this.#use(this.#own);
    else if (this.#jpeg === undefined) void this.#openJpeg();
    else if (typeof this.#jpeg === "object") this.#use(this.#jpeg);
    return !asksJpeg || this.#jpeg !== "opening";
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#own.quality[Symbol.dispose]();
    if (typeof this.#jpeg !== "object" || this.#jpeg === this.#own) return;
    this.#jpeg.quality[Symbol.dispose]();
    this.#jpeg.encoder[Symbol.dispose]();
  }

  #use(next: InForce): void {
    if (next === this.#inForce) return;
    this.#inForce = next;
    const { encoder, renderClass, quality } = next;
    const { eyeWidthPixels, eyeHeightPixels, frameRateHz } = renderClass;
    this.#ports.pipeline.setFrameRate(frameRateHz);
    this.#ports.pipeline.setShape({ encoder, eyeWidthPixels, eyeHeightPixels });
    quality.restart();
  }

  /** What changes later in one that is not in force changes nothing in the pipeline. */
  #control(ports: QualityPorts): InForce {
    const { pipeline } = this.#ports;
    const whileInForce = (act: () => void): void => {
      if (this.#inForce.encoder === ports.encoder) act();
    };
    const gated = {
      setFrameRate: (frameRateHz: number) => whileInForce(() => pipeline.setFrameRate(frameRateHz)),
      setShape: (shape: FrameShape) => whileInForce(() => pipeline.setShape(shape)),
    };
    const quality = new QualityControl({ ...ports, pipeline: gated });
    return { encoder: ports.encoder, renderClass: ports.renderClass, quality };
  }

  async #openJpeg(): Promise<void> {
    this.#jpeg = "opening";
    const { openJpeg, renderClass: whole } = this.#ports;
    const renderClass = { ...whole, frameRateHz: whole.frameRateHz * JPEG_RATE_RATIO };
    const { eyeWidthPixels, eyeHeightPixels, frameRateHz } = renderClass;
    const size = { widthPixels: eyeWidthPixels * 2, heightPixels: eyeHeightPixels, frameRateHz };
    const bitsPerSecond = this.#own.quality.quality.bitsPerSecond;
    const encoder = await openJpeg({ ...size, bitsPerSecond }).catch(() => undefined);
    if (encoder === undefined) this.#jpeg = "absent";
    else if (this.#isDisposed) encoder[Symbol.dispose]();
    else this.#jpeg = this.#control({ ...this.#ports, renderClass, encoder, openEncoder: openJpeg });
  }
}
