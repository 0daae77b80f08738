/** Turns a renderer's RGBA into what an encoder takes: planes in memory, or a surface of its device. */
import { Failure } from "#domain/failure.ts";
import type { VideoEncoderSettings } from "./encoder-settings.ts";
import type { Ffmpeg } from "./ffmpeg.ts";

type Frame = InstanceType<Ffmpeg["av"]["Frame"]>;
type CodecContext = InstanceType<Ffmpeg["av"]["CodecContext"]>;

export interface PictureInput extends Disposable {
  /** Before the encoder is opened. */
  describe(context: CodecContext): void;
  /** Valid until the next. */
  take(pixels: Uint8Array): Frame;
}

export interface PictureSize {
  readonly widthPixels: number;
  readonly heightPixels: number;
}

/** Surfaces of a device that are in flight: the one being filled and the one being encoded. */
const SURFACES = 4;

/** Throws `encoder-unavailable` where the encoder's device cannot be opened. */
export function openPictureInput(ffmpeg: Ffmpeg, settings: VideoEncoderSettings, size: PictureSize): PictureInput {
  const planes = openPlanes(ffmpeg, settings, size);
  if (settings.input === "memory") return planes;
  try {
    return openSurfaces(ffmpeg, { kind: settings.input, planes, size, layout: settings.pixelFormat });
  } catch (error) {
    planes[Symbol.dispose]();
    throw error;
  }
}

function openPlanes({ av, names }: Ffmpeg, { pixelFormat }: VideoEncoderSettings, size: PictureSize): PictureInput {
  const { widthPixels: width, heightPixels: height } = size;
  const target = pixelFormat === "nv12" ? names.AV_PIX_FMT_NV12 : names.AV_PIX_FMT_YUV420P;
  const allocate = (format: typeof names.AV_PIX_FMT_RGBA | typeof target): Frame => {
    const frame = new av.Frame();
    frame.alloc();
    frame.format = format;
    frame.width = width;
    frame.height = height;
    av.FFmpegError.throwIfError(frame.getBuffer(), "allocate a picture");
    return frame;
  };
  const [rgba, planes] = [allocate(names.AV_PIX_FMT_RGBA), allocate(target)];
  const scale = new av.SoftwareScaleContext();
  scale.getContext(width, height, names.AV_PIX_FMT_RGBA, width, height, target, names.SWS_POINT);
  return {
    describe(context) {
      context.pixelFormat = target;
    },
    take(pixels) {
      const source = Buffer.from(pixels.buffer, pixels.byteOffset, pixels.byteLength);
      av.FFmpegError.throwIfError(rgba.fromBuffer(source), "take the pixels");
      if (!planes.isWritable) planes.makeWritable();
      av.FFmpegError.throwIfError(scale.scaleFrameSync(planes, rgba), "convert the colours");
      return planes;
    },
    [Symbol.dispose]() {
      rgba.free();
      planes.free();
      scale.freeContext();
    },
  };
}

interface SurfaceOptions {
  readonly kind: "vaapi" | "vulkan";
  readonly planes: PictureInput;
  readonly size: PictureSize;
  readonly layout: VideoEncoderSettings["pixelFormat"];
}

function openSurfaces({ av, names }: Ffmpeg, { kind, planes, size, layout }: SurfaceOptions): PictureInput {
  const isVaapi = kind === "vaapi";
  const device = new av.HardwareDeviceContext();
  const opened = device.create(isVaapi ? names.AV_HWDEVICE_TYPE_VAAPI : names.AV_HWDEVICE_TYPE_VULKAN, null, null);
  if (opened < 0) throw new Failure("encoder-unavailable", `no device for ${kind} can be opened (${opened})`);
  const frames = new av.HardwareFramesContext();
  frames.alloc(device);
  frames.format = isVaapi ? names.AV_PIX_FMT_VAAPI : names.AV_PIX_FMT_VULKAN;
  frames.swFormat = layout === "nv12" ? names.AV_PIX_FMT_NV12 : names.AV_PIX_FMT_YUV420P;
  frames.width = size.widthPixels;
  frames.height = size.heightPixels;
  frames.initialPoolSize = SURFACES;
  const surface = new av.Frame();
  surface.alloc();
  const dispose = (): void => {
    surface.free();
    frames.free();
    device.free();
    planes[Symbol.dispose]();
  };
  const ready = frames.init();
  if (ready < 0) {
    dispose();
    throw new Failure("encoder-unavailable", `${kind} gives no surfaces of ${size.widthPixels}×${size.heightPixels}`);
  }
  return {
    describe(context) {
      context.pixelFormat = frames.format;
      context.hwFramesCtx = frames;
    },
    take(pixels) {
      surface.unref();
      av.FFmpegError.throwIfError(frames.getBuffer(surface), "take a surface");
      av.FFmpegError.throwIfError(frames.transferDataSync(surface, planes.take(pixels)), "copy to the device");
      return surface;
    },
    [Symbol.dispose]: dispose,
  };
}
