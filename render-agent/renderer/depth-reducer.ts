/** Reduces the depth buffer of both eyes to planes of inverse depth, the nearest of each block, by a compute pass. */
import {
  type DepthShape,
  depthCellsOf,
  depthShapeOf,
  INVERSE_DEPTH_PER_METRE_MAX,
} from "#contracts/media/depth-shape.ts";
import { FAR_METRES, NEAR_METRES } from "./projection.ts";

const WORKGROUP_SIZE = 64;
const WORD_CELLS = 4;
const WORD_BYTES = 4;

/**
 * A buffer's depth is linear in inverse depth: 0 at the near plane, 1 at the far one. Four pixels are read at once, which
 * software Vulkan does in 6 ns and one in 16; sizes of eyes and blocks are even, so that no four are of two of them.
 */
const REDUCE_SHADER = /* wgsl */ `
struct Shape { columns: u32, rows: u32, block: u32, width: u32, height: u32 };
@group(0) @binding(0) var depth: texture_depth_2d;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
@group(0) @binding(2) var<uniform> shape: Shape;
@group(0) @binding(3) var taps: sampler;
fn nearest(cell: u32) -> f32 {
  let eye = cell / (shape.columns * shape.rows);
  let row = cell / shape.columns - eye * shape.rows;
  let first = vec2u(cell % shape.columns, row) * shape.block;
  let end = min(first + shape.block, vec2u(shape.width, shape.height));
  var least = 1.0;
  let size = vec2f(f32(shape.width) * 2.0, f32(shape.height));
  for (var y = first.y; y < end.y; y += 2u) {
    for (var x = first.x; x < end.x; x += 2u) {
      let four = textureGather(depth, taps, (vec2f(f32(x + eye * shape.width), f32(y)) + 1.0) / size);
      least = min(least, min(min(four.x, four.y), min(four.z, four.w)));
    }
  }
  return least;
}
@compute @workgroup_size(${WORKGROUP_SIZE}) fn reduce(@builtin(global_invocation_id) id: vec3u) {
  let cells = shape.columns * shape.rows * 2u;
  var word = 0u;
  for (var part = 0u; part < ${WORD_CELLS}u; part++) {
    let cell = id.x * ${WORD_CELLS}u + part;
    if (cell >= cells) { continue; }
    let inverse = ${1 / NEAR_METRES} - nearest(cell) * ${1 / NEAR_METRES - 1 / FAR_METRES};
    let level = clamp(inverse * ${255 / INVERSE_DEPTH_PER_METRE_MAX} + 0.5, 0.0, 255.0);
    word |= u32(level) << (8u * part);
  }
  if (id.x * ${WORD_CELLS}u < cells) { words[id.x] = word; }
}`;

export interface DepthReducerOptions {
  readonly device: GPUDevice;
  /** Both eyes side by side. */
  readonly depth: GPUTexture;
  readonly eyeWidthPixels: number;
  readonly eyeHeightPixels: number;
}

export class DepthReducer implements Disposable {
  readonly #pipeline: GPUComputePipeline;
  readonly #bindings: GPUBindGroup;
  readonly #words: GPUBuffer;
  readonly #uniform: GPUBuffer;
  readonly #shape: DepthShape;

  constructor({ device, depth, ...eye }: DepthReducerOptions) {
    this.#shape = depthShapeOf(eye);
    const module = device.createShaderModule({ code: REDUCE_SHADER });
    this.#pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "reduce" } });
    this.#words = device.createBuffer({
      size: this.readbackBytes,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
    });
    const { columns, rows, blockPixels } = this.#shape;
    const shape = new Uint32Array([columns, rows, blockPixels, eye.eyeWidthPixels, eye.eyeHeightPixels]);
    this.#uniform = device.createBuffer({ size: 32, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    device.queue.writeBuffer(this.#uniform, 0, shape);
    this.#bindings = device.createBindGroup({
      layout: this.#pipeline.getBindGroupLayout(0),
      entries: [
        { binding: 0, resource: depth.createView() },
        { binding: 1, resource: { buffer: this.#words } },
        { binding: 2, resource: { buffer: this.#uniform } },
        { binding: 3, resource: device.createSampler() },
      ],
    });
  }

  /** Whole words. */
  get readbackBytes(): number {
    return Math.ceil(depthCellsOf(this.#shape) / WORD_CELLS) * WORD_BYTES;
  }

  /** Of `readbackBytes`. */
  get cells(): number {
    return depthCellsOf(this.#shape);
  }

  /** After the pass that drew; the planes lie in `target` from `offset` on. */
  encode(encoder: GPUCommandEncoder, target: GPUBuffer, offset: number): void {
    const pass = encoder.beginComputePass();
    pass.setPipeline(this.#pipeline);
    pass.setBindGroup(0, this.#bindings);
    pass.dispatchWorkgroups(Math.ceil(this.readbackBytes / WORD_BYTES / WORKGROUP_SIZE));
    pass.end();
    encoder.copyBufferToBuffer(this.#words, 0, target, offset, this.readbackBytes);
  }

  [Symbol.dispose](): void {
    this.#words.destroy();
    this.#uniform.destroy();
  }
}
