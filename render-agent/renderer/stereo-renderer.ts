/** Draws a scene for both eyes side by side and reads the pixels back; one frame at a time. */

import type { PoseMessage } from "#contracts/media/pose.ts";
import { buildGeometry, type DetailRatio } from "./geometry.ts";
import { eyePosition, viewProjection } from "./projection.ts";
import type { Scene, SceneInstance } from "./scene.ts";
import { SCENE_SHADER } from "./shader.ts";

const COLOUR: GPUTextureFormat = "rgba8unorm";
const DEPTH: GPUTextureFormat = "depth24plus";
const INSTANCE_FLOATS = 16;
const EYE_FLOATS = 20;
const PIXEL_BYTES = 4;
/** WebGPU's rule for rows that are copied to a buffer. */
const ROW_ALIGNMENT_BYTES = 256;
const PATTERNS = { plain: 0, checker: 1, stripes: 2 } as const;

export interface RenderedFrame extends Disposable {
  /** RGBA rows without padding; valid until disposed, which gives the buffer back. */
  readonly pixels: Uint8Array;
}

export interface RendererOptions {
  readonly device: GPUDevice;
  readonly scene: Scene;
  readonly eyeWidthPixels: number;
  readonly eyeHeightPixels: number;
  readonly detail: DetailRatio;
}

interface Batch {
  readonly vertices: GPUBuffer;
  readonly indices: GPUBuffer;
  readonly indexCount: number;
  readonly instances: readonly SceneInstance[];
  readonly values: Float32Array<ArrayBuffer>;
  readonly buffer: GPUBuffer;
  readonly moving: boolean;
}

export class StereoRenderer implements Disposable {
  readonly #device: GPUDevice;
  readonly #options: RendererOptions;
  readonly #batches: readonly Batch[];
  readonly #eyes: readonly GPUBuffer[];
  readonly #bundles: readonly GPURenderBundle[];
  readonly #colour: GPUTexture;
  readonly #depth: GPUTexture;
  readonly #readback: GPUBuffer;
  /** Of the buffer; longer than the picture's where that is not aligned. */
  readonly #rowBytes: number;
  readonly #owned: { destroy(): void }[] = [];

  constructor(options: RendererOptions) {
    const { device, scene, eyeWidthPixels, eyeHeightPixels } = options;
    const size = [eyeWidthPixels * 2, eyeHeightPixels];
    this.#device = device;
    this.#options = options;
    this.#colour = device.createTexture({
      size,
      format: COLOUR,
      usage: GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_SRC,
    });
    this.#depth = device.createTexture({ size, format: DEPTH, usage: GPUTextureUsage.RENDER_ATTACHMENT });
    this.#rowBytes = Math.ceil((eyeWidthPixels * 2 * PIXEL_BYTES) / ROW_ALIGNMENT_BYTES) * ROW_ALIGNMENT_BYTES;
    this.#readback = device.createBuffer({
      size: this.#rowBytes * eyeHeightPixels,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    this.#batches = Object.keys(scene.meshes).flatMap((name) => this.#createBatch(name));
    const light = this.#upload(lightValues(scene), GPUBufferUsage.UNIFORM);
    this.#eyes = [0, 1].map(() => this.#upload(new Float32Array(EYE_FLOATS), GPUBufferUsage.UNIFORM));
    const pipeline = createPipeline(device);
    this.#bundles = this.#eyes.map((eye) => this.#record(pipeline, eye, light));
  }

  /** `sceneSeconds` moves what moves. The frame before must have been disposed of. */
  async render(pose: PoseMessage, sceneSeconds: number): Promise<RenderedFrame> {
    for (const batch of this.#batches) {
      if (!batch.moving) continue;
      fillInstances(batch.values, batch.instances, sceneSeconds);
      this.#device.queue.writeBuffer(batch.buffer, 0, batch.values);
    }
    for (const [index, buffer] of this.#eyes.entries()) {
      this.#device.queue.writeBuffer(buffer, 0, eyeValues(pose, index));
    }
    this.#device.queue.submit([this.#commands()]);
    await this.#readback.mapAsync(GPUMapMode.READ);
    const rows = new Uint8Array(this.#readback.getMappedRange());
    return { pixels: this.#packed(rows), [Symbol.dispose]: () => this.#readback.unmap() };
  }

  [Symbol.dispose](): void {
    for (const owned of [this.#colour, this.#depth, this.#readback, ...this.#owned]) owned.destroy();
  }

  #packed(rows: Uint8Array): Uint8Array {
    const { eyeWidthPixels, eyeHeightPixels } = this.#options;
    const pictureRowBytes = eyeWidthPixels * 2 * PIXEL_BYTES;
    if (pictureRowBytes === this.#rowBytes) return rows;
    const pixels = new Uint8Array(pictureRowBytes * eyeHeightPixels);
    for (let row = 0; row < eyeHeightPixels; row += 1) {
      const start = row * this.#rowBytes;
      pixels.set(rows.subarray(start, start + pictureRowBytes), row * pictureRowBytes);
    }
    return pixels;
  }

  #commands(): GPUCommandBuffer {
    const { eyeWidthPixels: width, eyeHeightPixels: height, scene } = this.#options;
    const encoder = this.#device.createCommandEncoder();
    const [r, g, b] = scene.sky.map(Math.sqrt);
    const pass = encoder.beginRenderPass({
      colorAttachments: [
        {
          view: this.#colour.createView(),
          loadOp: "clear",
          storeOp: "store",
          clearValue: [r ?? 0, g ?? 0, b ?? 0, 1],
        },
      ],
      depthStencilAttachment: {
        view: this.#depth.createView(),
        depthLoadOp: "clear",
        depthClearValue: 1,
        depthStoreOp: "discard",
      },
    });
    for (const [index, bundle] of this.#bundles.entries()) {
      pass.setViewport(index * width, 0, width, height, 0, 1);
      pass.setScissorRect(index * width, 0, width, height);
      pass.executeBundles([bundle]);
    }
    pass.end();
    const target = { buffer: this.#readback, bytesPerRow: this.#rowBytes };
    encoder.copyTextureToBuffer({ texture: this.#colour }, target, [width * 2, height]);
    return encoder.finish();
  }

  #createBatch(name: string): Batch[] {
    const { scene, detail } = this.#options;
    const mesh = scene.meshes[name];
    const instances = scene.instances.filter((instance) => instance.mesh === name);
    if (mesh === undefined || instances.length === 0) return [];
    const geometry = buildGeometry(mesh, detail);
    const values = new Float32Array(instances.length * INSTANCE_FLOATS);
    fillInstances(values, instances, 0);
    return [
      {
        vertices: this.#upload(geometry.vertices, GPUBufferUsage.VERTEX),
        indices: this.#upload(geometry.indices, GPUBufferUsage.INDEX),
        indexCount: geometry.indices.length,
        instances,
        values,
        buffer: this.#upload(values, GPUBufferUsage.VERTEX),
        moving: instances.some((instance) => instance.turnDegreesPerSecond !== 0),
      },
    ];
  }

  #record(pipeline: GPURenderPipeline, eye: GPUBuffer, light: GPUBuffer): GPURenderBundle {
    const bundle = this.#device.createRenderBundleEncoder({ colorFormats: [COLOUR], depthStencilFormat: DEPTH });
    bundle.setPipeline(pipeline);
    const entries = [eye, light].map((buffer, binding) => ({ binding, resource: { buffer } }));
    bundle.setBindGroup(0, this.#device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    for (const batch of this.#batches) {
      bundle.setVertexBuffer(0, batch.vertices);
      bundle.setVertexBuffer(1, batch.buffer);
      bundle.setIndexBuffer(batch.indices, "uint32");
      bundle.drawIndexed(batch.indexCount, batch.instances.length);
    }
    return bundle.finish();
  }

  #upload(values: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>, usage: GPUBufferUsageFlags): GPUBuffer {
    const buffer = this.#device.createBuffer({ size: values.byteLength, usage: usage | GPUBufferUsage.COPY_DST });
    this.#device.queue.writeBuffer(buffer, 0, values);
    this.#owned.push(buffer);
    return buffer;
  }
}

function createPipeline(device: GPUDevice): GPURenderPipeline {
  const module = device.createShaderModule({ code: SCENE_SHADER });
  const four = (shaderLocation: number, index: number): GPUVertexAttribute => ({
    shaderLocation,
    offset: index * 16,
    format: "float32x4",
  });
  return device.createRenderPipeline({
    layout: "auto",
    vertex: {
      module,
      entryPoint: "vertexMain",
      buffers: [
        {
          arrayStride: 32,
          attributes: [
            { shaderLocation: 0, offset: 0, format: "float32x3" },
            { shaderLocation: 1, offset: 12, format: "float32x3" },
            { shaderLocation: 2, offset: 24, format: "float32x2" },
          ],
        },
        {
          arrayStride: INSTANCE_FLOATS * 4,
          stepMode: "instance",
          attributes: [four(3, 0), four(4, 1), four(5, 2), four(6, 3)],
        },
      ],
    },
    fragment: { module, entryPoint: "fragmentMain", targets: [{ format: COLOUR }] },
    primitive: { topology: "triangle-list", cullMode: "none" },
    depthStencil: { format: DEPTH, depthCompare: "less", depthWriteEnabled: true },
  });
}

function fillInstances(values: Float32Array, instances: readonly SceneInstance[], seconds: number): void {
  for (const [index, instance] of instances.entries()) {
    const half = ((instance.yawDegrees + instance.turnDegreesPerSecond * seconds) * Math.PI) / 360;
    const { position, scale, colour, pattern, glowRatio } = instance;
    const row = [
      ...position,
      1,
      0,
      Math.sin(half),
      0,
      Math.cos(half),
      ...scale,
      PATTERNS[pattern],
      ...colour,
      glowRatio,
    ];
    values.set(row, index * INSTANCE_FLOATS);
  }
}

function eyeValues(pose: PoseMessage, index: number): Float32Array<ArrayBuffer> {
  const eye = pose.eyes[index === 0 ? 0 : 1];
  const position = eyePosition(pose, eye);
  const values = new Float32Array(EYE_FLOATS);
  values.set(viewProjection(position, pose.orientation, eye.fieldOfView));
  values.set([position.x, position.y, position.z, 1], 16);
  return values;
}

function lightValues({ sun, ambient, sky, fogPerMetre }: Scene): Float32Array<ArrayBuffer> {
  const length = Math.hypot(...sun.towards) || 1;
  const towards = sun.towards.map((part) => part / length);
  return new Float32Array([
    ...[...towards, 0],
    ...[...sun.colour, 0],
    ...[...ambient.above, 0],
    ...[...ambient.below, 0],
    ...[...sky, fogPerMetre],
  ]);
}
