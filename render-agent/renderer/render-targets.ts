/** What a renderer of one size draws into and reads back from: both eyes' colours and depths, and the buffer of a frame. */
import { DepthReducer } from "./depth-reducer.ts";

export const COLOUR_FORMAT: GPUTextureFormat = "rgba8unorm";
export const DEPTH_FORMAT: GPUTextureFormat = "depth24plus";
export const PIXEL_BYTES = 4;
/** WebGPU's rule for rows that are copied to a buffer. */
const ROW_ALIGNMENT_BYTES = 256;

export interface EyeSize {
  readonly eyeWidthPixels: number;
  readonly eyeHeightPixels: number;
}

export interface RenderTargets extends EyeSize, Disposable {
  readonly colour: GPUTexture;
  readonly depth: GPUTexture;
  readonly reducer: DepthReducer;
  /** The picture's rows, then the depth planes. */
  readonly readback: GPUBuffer;
  /** Of the buffer; longer than the picture's where that is not aligned. */
  readonly rowBytes: number;
  readonly pictureBytes: number;
  /** For the picture's rows without what aligns them; not there where nothing does. */
  readonly packed: Uint8Array | undefined;
}

export function createTargets(device: GPUDevice, eye: EyeSize): RenderTargets {
  const { eyeWidthPixels, eyeHeightPixels } = eye;
  const size = [eyeWidthPixels * 2, eyeHeightPixels];
  const packedRowBytes = eyeWidthPixels * 2 * PIXEL_BYTES;
  const rowBytes = Math.ceil(packedRowBytes / ROW_ALIGNMENT_BYTES) * ROW_ALIGNMENT_BYTES;
  const pictureBytes = rowBytes * eyeHeightPixels;
  const colour = device.createTexture({
    size,
    format: COLOUR_FORMAT,
    usage: GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_SRC,
  });
  const depth = device.createTexture({
    size,
    format: DEPTH_FORMAT,
    usage: GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.TEXTURE_BINDING,
  });
  const reducer = new DepthReducer({ device, depth, ...eye });
  const readback = device.createBuffer({
    size: pictureBytes + reducer.readbackBytes,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  return {
    ...{ eyeWidthPixels, eyeHeightPixels, colour, depth, reducer, readback, rowBytes, pictureBytes },
    packed: packedRowBytes === rowBytes ? undefined : new Uint8Array(packedRowBytes * eyeHeightPixels),
    [Symbol.dispose]() {
      reducer[Symbol.dispose]();
      for (const owned of [colour, depth, readback]) owned.destroy();
    },
  };
}
