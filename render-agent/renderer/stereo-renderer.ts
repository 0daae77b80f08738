/** Draws a scene for both eyes side by side and reads the pixels back; one frame at a time. */

import type { HoldNumbers } from "#contracts/media/held-object.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";
import type { DecodedImages } from "../gltf/decoded-images.ts";
import type { GltfScene } from "../gltf/gltf-scene.ts";
import { buildGeometry, type DetailRatio } from "./geometry.ts";
import { type ObjectRow, objectRowsOf, placeObjects, type Transforms } from "./objects.ts";
import { PbrModel } from "./pbr-model.ts";
import { eyePosition, viewProjection } from "./projection.ts";
import { COLOUR_FORMAT, createTargets, DEPTH_FORMAT, PIXEL_BYTES, type RenderTargets } from "./render-targets.ts";
import type { Scene, SceneInstance } from "./scene.ts";
import { SCENE_SHADER } from "./shader.ts";

const INSTANCE_FLOATS = 16;
const EYE_FLOATS = 20;
const PATTERNS = { plain: 0, checker: 1, stripes: 2 } as const;

export interface RenderedFrame extends Disposable {
  /** RGBA rows without padding; valid until disposed, which gives the buffer back. */
  readonly pixels: Uint8Array;
  /** Depth planes of both eyes, where the pose asks for them; as long valid. */
  readonly depth?: Uint8Array;
  /** The holds whose objects it is without. */
  readonly without?: HoldNumbers;
}

export interface RendererOptions {
  readonly device: GPUDevice;
  readonly scene: Scene;
  /** Drawn beside the instances of the scene, in its light. */
  readonly gltf?: { readonly scene: GltfScene; readonly images: DecodedImages } | undefined;
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
  readonly isDoubleSided: boolean;
  readonly objects: readonly ObjectRow[];
}

export class StereoRenderer implements Disposable {
  readonly #device: GPUDevice;
  readonly #options: RendererOptions;
  readonly #batches: readonly Batch[];
  readonly #model: PbrModel | undefined;
  readonly #eyes: readonly GPUBuffer[];
  readonly #bundles: readonly GPURenderBundle[];
  #targets: RenderTargets;
  readonly #owned: { destroy(): void }[] = [];
  #transforms: Transforms | undefined;
  #leftOut: ReadonlySet<number> | undefined;

  constructor(options: RendererOptions) {
    const { device, scene, eyeWidthPixels, eyeHeightPixels } = options;
    this.#device = device;
    // Geometry and images are on the GPU from here on.
    this.#options = { ...options, gltf: undefined };
    this.#targets = createTargets(device, { eyeWidthPixels, eyeHeightPixels });
    this.#batches = Object.keys(scene.meshes).flatMap((name) => this.#createBatch(name));
    const { gltf } = options;
    const formats = { colour: COLOUR_FORMAT, depth: DEPTH_FORMAT };
    this.#model = gltf === undefined ? undefined : new PbrModel({ device, formats, ...gltf });
    const light = this.#upload(lightValues(scene), GPUBufferUsage.UNIFORM);
    this.#eyes = [0, 1].map(() => this.#upload(new Float32Array(EYE_FLOATS), GPUBufferUsage.UNIFORM));
    const pipelines = createPipelines(device);
    this.#bundles = this.#eyes.map((eye) => this.#record(pipelines, eye, light));
  }

  /** The scene's objects stand there from the next frame on, but for those that are left out; the array is read then. */
  place(transforms: Transforms, leftOut?: ReadonlySet<number>): void {
    this.#transforms = transforms;
    this.#leftOut = leftOut;
  }

  /** `sceneSeconds` moves what moves. The frame before must have been disposed of. */
  async render(pose: PoseMessage, sceneSeconds: number): Promise<RenderedFrame> {
    const transforms = this.#transforms;
    for (const batch of this.#batches) {
      const isPlaced = transforms !== undefined && batch.objects.length > 0;
      if (!batch.moving && !isPlaced) continue;
      if (batch.moving) fillInstances(batch.values, batch.instances, sceneSeconds);
      if (isPlaced) placeObjects(batch.values, INSTANCE_FLOATS, batch.objects, transforms, this.#leftOut);
      this.#device.queue.writeBuffer(batch.buffer, 0, batch.values);
    }
    this.#model?.update(sceneSeconds);
    for (const [index, buffer] of this.#eyes.entries()) {
      this.#device.queue.writeBuffer(buffer, 0, eyeValues(pose, index));
    }
    const asksDepth = pose.asksDepth === true;
    this.#device.queue.submit([this.#commands(asksDepth)]);
    const { readback, pictureBytes, reducer } = this.#targets;
    await readback.mapAsync(GPUMapMode.READ);
    const mapped = readback.getMappedRange();
    return {
      pixels: this.#packed(new Uint8Array(mapped, 0, pictureBytes)),
      ...(asksDepth ? { depth: new Uint8Array(mapped, pictureBytes, reducer.cells) } : {}),
      [Symbol.dispose]: () => readback.unmap(),
    };
  }

  /** Of the frames from the next on. The frame before must have been disposed of. */
  resize(eyeWidthPixels: number, eyeHeightPixels: number): void {
    this.#targets[Symbol.dispose]();
    this.#targets = createTargets(this.#device, { eyeWidthPixels, eyeHeightPixels });
  }

  [Symbol.dispose](): void {
    this.#targets[Symbol.dispose]();
    for (const owned of this.#owned) owned.destroy();
    this.#model?.[Symbol.dispose]();
  }

  #packed(rows: Uint8Array): Uint8Array {
    const { eyeWidthPixels, eyeHeightPixels, rowBytes, packed } = this.#targets;
    if (packed === undefined) return rows;
    const packedRowBytes = eyeWidthPixels * 2 * PIXEL_BYTES;
    for (let row = 0; row < eyeHeightPixels; row += 1) {
      const start = row * rowBytes;
      packed.set(rows.subarray(start, start + packedRowBytes), row * packedRowBytes);
    }
    return packed;
  }

  #commands(asksDepth: boolean): GPUCommandBuffer {
    const { scene } = this.#options;
    const { eyeWidthPixels: width, eyeHeightPixels: height, colour, depth, readback, rowBytes } = this.#targets;
    const encoder = this.#device.createCommandEncoder();
    const [r, g, b] = scene.sky.map(Math.sqrt);
    const pass = encoder.beginRenderPass({
      colorAttachments: [
        {
          view: colour.createView(),
          loadOp: "clear",
          storeOp: "store",
          clearValue: [r ?? 0, g ?? 0, b ?? 0, 1],
        },
      ],
      depthStencilAttachment: {
        view: depth.createView(),
        depthLoadOp: "clear",
        depthClearValue: 1,
        depthStoreOp: asksDepth ? "store" : "discard",
      },
    });
    for (const [index, bundle] of this.#bundles.entries()) {
      pass.setViewport(index * width, 0, width, height, 0, 1);
      pass.setScissorRect(index * width, 0, width, height);
      pass.executeBundles([bundle]);
    }
    pass.end();
    encoder.copyTextureToBuffer({ texture: colour }, { buffer: readback, bytesPerRow: rowBytes }, [width * 2, height]);
    if (asksDepth) this.#targets.reducer.encode(encoder, readback, this.#targets.pictureBytes);
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
        isDoubleSided: mesh.doubleSided === true || mesh.shape === "plane",
        moving: instances.some((instance) => instance.turnDegreesPerSecond !== 0),
        objects: objectRowsOf(scene, name),
      },
    ];
  }

  #record({ bindings, outside, bothSides }: Pipelines, eye: GPUBuffer, light: GPUBuffer): GPURenderBundle {
    const bundle = this.#device.createRenderBundleEncoder({
      colorFormats: [COLOUR_FORMAT],
      depthStencilFormat: DEPTH_FORMAT,
    });
    const entries = [eye, light].map((buffer, binding) => ({ binding, resource: { buffer } }));
    bundle.setBindGroup(0, this.#device.createBindGroup({ layout: bindings, entries }));
    // What stands on a floor first: what it hides of it is not shaded.
    for (const batch of this.#batches.toSorted((a, b) => Number(a.isDoubleSided) - Number(b.isDoubleSided))) {
      bundle.setPipeline(batch.isDoubleSided ? bothSides : outside);
      bundle.setVertexBuffer(0, batch.vertices);
      bundle.setVertexBuffer(1, batch.buffer);
      bundle.setIndexBuffer(batch.indices, "uint32");
      bundle.drawIndexed(batch.indexCount, batch.instances.length);
    }
    this.#model?.record(bundle, eye, light);
    return bundle.finish();
  }

  #upload(values: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>, usage: GPUBufferUsageFlags): GPUBuffer {
    const buffer = this.#device.createBuffer({ size: values.byteLength, usage: usage | GPUBufferUsage.COPY_DST });
    this.#device.queue.writeBuffer(buffer, 0, values);
    this.#owned.push(buffer);
    return buffer;
  }
}

interface Pipelines {
  readonly bindings: GPUBindGroupLayout;
  /** Back faces are left out: a third of what software Vulkan shades. */
  readonly outside: GPURenderPipeline;
  readonly bothSides: GPURenderPipeline;
}

function createPipelines(device: GPUDevice): Pipelines {
  const bindings = device.createBindGroupLayout({
    entries: [0, 1].map((binding) => ({
      ...{ binding, buffer: { type: "uniform" } },
      visibility: GPUShaderStage.VERTEX | GPUShaderStage.FRAGMENT,
    })),
  });
  const layout = device.createPipelineLayout({ bindGroupLayouts: [bindings] });
  const module = device.createShaderModule({ code: SCENE_SHADER });
  const create = (cullMode: GPUCullMode): GPURenderPipeline =>
    device.createRenderPipeline({
      layout,
      vertex: { module, entryPoint: "vertexMain", buffers: VERTEX_BUFFERS },
      fragment: { module, entryPoint: "fragmentMain", targets: [{ format: COLOUR_FORMAT }] },
      primitive: { topology: "triangle-list", cullMode },
      depthStencil: { format: DEPTH_FORMAT, depthCompare: "less", depthWriteEnabled: true },
    });
  return { bindings, outside: create("back"), bothSides: create("none") };
}

const four = (shaderLocation: number, index: number): GPUVertexAttribute => ({
  shaderLocation,
  offset: index * 16,
  format: "float32x4",
});
const VERTEX_BUFFERS: readonly GPUVertexBufferLayout[] = [
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
];

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
