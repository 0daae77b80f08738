/** A glTF scene on the GPU: what a renderer records into its pass, and moves from frame to frame. */
import type { DecodedImages } from "../gltf/decoded-images.ts";
import type { GltfScene } from "../gltf/gltf-scene.ts";
import { DEFAULT_MATERIAL } from "../gltf/materials.ts";
import { type MeshPart, VERTEX_BYTES } from "../gltf/mesh-parts.ts";
import { nodeMatrices } from "../gltf/node-poses.ts";
import { determinantOf, type Matrix } from "../gltf/transforms.ts";
import { PbrMaterials } from "./pbr-materials.ts";
import {
  type Alpha,
  createPbrPipelines,
  INSTANCE_BYTES,
  type PbrPipelines,
  type TargetFormats,
} from "./pbr-pipelines.ts";

const INSTANCE_FLOATS = INSTANCE_BYTES / 4;
/** What lets through what is behind it comes after that. */
const ORDER: readonly Alpha[] = ["opaque", "mask", "blend"];

export interface PbrModelOptions {
  readonly device: GPUDevice;
  readonly formats: TargetFormats;
  readonly scene: GltfScene;
  readonly images: DecodedImages;
}

/** Instances of one part of a mesh, all mirrored or none. */
interface Draw {
  readonly pipeline: GPURenderPipeline;
  readonly rank: number;
  readonly material: GPUBindGroup;
  readonly indexCount: number;
  readonly firstIndex: number;
  readonly baseVertex: number;
  readonly firstInstance: number;
  readonly instances: number;
}

/** Nodes that draw a mesh, and where their instances begin. */
interface Group {
  readonly mesh: number;
  readonly isMirrored: boolean;
  readonly nodes: readonly number[];
  readonly firstInstance: number;
}

export class PbrModel implements Disposable {
  readonly #device: GPUDevice;
  readonly #moving: Pick<GltfScene, "nodes" | "animation">;
  readonly #pipelines: PbrPipelines;
  readonly #materials: PbrMaterials;
  readonly #groups: readonly Group[];
  readonly #draws: readonly Draw[];
  readonly #vertices: GPUBuffer;
  readonly #indices: GPUBuffer;
  readonly #instances: GPUBuffer;
  readonly #values: Float32Array<ArrayBuffer>;

  constructor(options: PbrModelOptions) {
    const { device, scene, images, formats } = options;
    this.#device = device;
    this.#moving = { nodes: scene.nodes, animation: scene.animation };
    this.#pipelines = createPbrPipelines(device, formats);
    this.#materials = new PbrMaterials(device);
    const matrices = nodeMatrices(scene.nodes, scene.animation, 0);
    this.#groups = groupsOf(scene, matrices);
    const parts = [...scene.meshes.values()].flat();
    this.#vertices = this.#upload(
      parts.map(({ vertices }) => vertices),
      GPUBufferUsage.VERTEX,
    );
    this.#indices = this.#upload(
      parts.map(({ indices }) => indices),
      GPUBufferUsage.INDEX,
    );
    this.#values = new Float32Array(this.#groups.reduce((sum, { nodes }) => sum + nodes.length, 0) * INSTANCE_FLOATS);
    this.#fill(matrices);
    this.#instances = this.#upload([this.#values], GPUBufferUsage.VERTEX);
    const bindGroupOf = this.#materials.upload(scene, images, this.#pipelines.materialLayout);
    this.#draws = this.#drawsOf(scene, bindGroupOf);
  }

  /** `seconds` since the scene began; moves what is animated. */
  update(seconds: number): void {
    const { nodes, animation } = this.#moving;
    if (animation === undefined) return;
    this.#fill(nodeMatrices(nodes, animation, seconds));
    this.#device.queue.writeBuffer(this.#instances, 0, this.#values);
  }

  /** For the eye and light of these buffers. */
  record(bundle: GPURenderBundleEncoder, eye: GPUBuffer, light: GPUBuffer): void {
    if (this.#draws.length === 0) return;
    const entries = [eye, light].map((buffer, binding) => ({ binding, resource: { buffer } }));
    bundle.setBindGroup(0, this.#device.createBindGroup({ layout: this.#pipelines.eyeLayout, entries }));
    bundle.setVertexBuffer(0, this.#vertices);
    bundle.setVertexBuffer(1, this.#instances);
    bundle.setIndexBuffer(this.#indices, "uint32");
    for (const { pipeline, material, indexCount, firstIndex, baseVertex, firstInstance, instances } of this.#draws) {
      bundle.setPipeline(pipeline);
      bundle.setBindGroup(1, material);
      bundle.drawIndexed(indexCount, instances, firstIndex, baseVertex, firstInstance);
    }
  }

  [Symbol.dispose](): void {
    for (const buffer of [this.#vertices, this.#indices, this.#instances]) buffer.destroy();
    this.#materials[Symbol.dispose]();
  }

  #drawsOf(scene: GltfScene, bindGroupOf: (material: number | undefined) => GPUBindGroup): readonly Draw[] {
    const starts = startsOf([...scene.meshes.values()].flat());
    const draws = this.#groups.flatMap(({ mesh, isMirrored, nodes, firstInstance }) =>
      (scene.meshes.get(mesh) ?? []).map((part): Draw => {
        const { alpha, isDoubleSided } = scene.materials[part.material ?? -1] ?? DEFAULT_MATERIAL;
        return {
          // A mirrored one turns its corners the other way: both sides are drawn, of which the nearer stays.
          pipeline: this.#pipelines.find(alpha, isDoubleSided || isMirrored),
          rank: ORDER.indexOf(alpha),
          material: bindGroupOf(part.material),
          indexCount: part.indices.length,
          firstInstance,
          instances: nodes.length,
          ...(starts.get(part) ?? { firstIndex: 0, baseVertex: 0 }),
        };
      }),
    );
    return draws.toSorted((a, b) => a.rank - b.rank);
  }

  #fill(matrices: readonly Matrix[]): void {
    for (const { nodes, firstInstance } of this.#groups) {
      for (const [order, node] of nodes.entries()) {
        const matrix = matrices[node] ?? [];
        for (let row = 0; row < 3; row += 1) {
          for (let column = 0; column < 4; column += 1) {
            const to = (firstInstance + order) * INSTANCE_FLOATS + row * 4 + column;
            this.#values[to] = matrix[column * 4 + row] ?? 0;
          }
        }
      }
    }
  }

  /** One after the other. */
  #upload(
    parts: readonly (Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>)[],
    usage: GPUBufferUsageFlags,
  ): GPUBuffer {
    const bytes = parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const buffer = this.#device.createBuffer({ size: Math.max(bytes, 4), usage: usage | GPUBufferUsage.COPY_DST });
    let offset = 0;
    for (const part of parts) {
      this.#device.queue.writeBuffer(buffer, offset, part);
      offset += part.byteLength;
    }
    return buffer;
  }
}

function groupsOf({ nodes, meshes }: GltfScene, matrices: readonly Matrix[]): readonly Group[] {
  let firstInstance = 0;
  return [...meshes.keys()].flatMap((mesh) => {
    const drawing = [...nodes.keys()].filter((place) => nodes[place]?.node.mesh === mesh);
    const isMirrored = (place: number): boolean => determinantOf(matrices[place] ?? []) < 0;
    return [false, true].flatMap((mirrored): Group[] => {
      const own = drawing.filter((place) => isMirrored(place) === mirrored);
      if (own.length === 0) return [];
      const group = { mesh, isMirrored: mirrored, nodes: own, firstInstance };
      firstInstance += own.length;
      return [group];
    });
  });
}

function startsOf(parts: readonly MeshPart[]) {
  const starts = new Map<MeshPart, { readonly firstIndex: number; readonly baseVertex: number }>();
  let firstIndex = 0;
  let baseVertex = 0;
  for (const part of parts) {
    starts.set(part, { firstIndex, baseVertex });
    firstIndex += part.indices.length;
    baseVertex += part.vertices.byteLength / VERTEX_BYTES;
  }
  return starts;
}
