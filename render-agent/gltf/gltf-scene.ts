/** A glTF 2.0 scene as it is drawn: bounded, every reference followed, every number finite; images are not decoded yet. Pure. */
import { Value } from "typebox/value";
import { Failure } from "#domain/failure.ts";
import { faultsOf } from "#domain/schema-faults.ts";
import { type Environment, environmentSchema } from "../renderer/scene.ts";
import { AccessorReader } from "./accessors.ts";
import { type Animation, readAnimation } from "./animation.ts";
import { entryOf, refuse } from "./gltf-fault.ts";
import { FAULTS_SHOWN_MAX, type GltfFile } from "./gltf-file.ts";
import type { Gltf } from "./gltf-schema.ts";
import { orderNodes, type PlacedNode } from "./hierarchy.ts";
import { type ImageHeader, readImageHeader } from "./image-header.ts";
import {
  type ImageUse,
  imageUsesOf,
  type Material,
  readMaterials,
  readTextures,
  type TextureSource,
} from "./materials.ts";
import { type MeshPart, MeshReader } from "./mesh-parts.ts";
import { nodeMatrices } from "./node-poses.ts";
import { type ResourceBytes, resourceBytesOf } from "./resource-uris.ts";

/** 64 MB, and a third more for the smaller sizes of each. */
const TEXTURE_PIXELS_MAX = 16 * 1024 * 1024;

const EXTENSIONS = ["KHR_mesh_quantization", "KHR_materials_unlit", "KHR_materials_emissive_strength"];

/** Of a scene that does not say: daylight from the front and the right. */
const DAYLIGHT: Environment = {
  sky: [0.55, 0.68, 0.85],
  sun: { towards: [0.5, 1, 0.7], colour: [0.85, 0.82, 0.75] },
  ambient: { above: [0.4, 0.42, 0.46], below: [0.2, 0.19, 0.18] },
  fogPerMetre: 0,
};

export interface EncodedImage extends ImageHeader {
  readonly bytes: Uint8Array;
  /** As in `images[0]`, for messages. */
  readonly path: string;
}

export interface GltfScene {
  readonly environment: Environment;
  readonly nodes: readonly PlacedNode[];
  readonly animation: Animation | undefined;
  /** Those that a node draws, by their number in the file. */
  readonly meshes: ReadonlyMap<number, readonly MeshPart[]>;
  readonly materials: readonly Material[];
  readonly textures: readonly (TextureSource | undefined)[];
  /** Those that a material uses, by their number in the file. */
  readonly images: ReadonlyMap<number, EncodedImage>;
}

/** Throws `scene-invalid`, naming the place in the JSON. */
export function readGltfScene(file: GltfFile, files: ResourceBytes): GltfScene {
  const { json } = file;
  for (const [index, name] of (json.extensionsRequired ?? []).entries()) {
    if (!EXTENSIONS.includes(name))
      refuse(`extensionsRequired[${index}]`, `must be one of ${EXTENSIONS.join(", ")}, got ${name}`);
  }
  const resources = resourceBytesOf(file, files);
  const reader = new AccessorReader(json, resources);
  const nodes = orderNodes(json);
  const materials = readMaterials(json);
  const textures = readTextures(json);
  const scene: GltfScene = {
    environment: environmentOf(json),
    nodes,
    animation: readAnimation(json, nodes, reader),
    meshes: readMeshes(json, nodes, reader),
    materials,
    textures,
    images: readImages(json, imageUsesOf(materials, textures), resources, reader),
  };
  refuseInfinite(scene);
  return scene;
}

function environmentOf({ scenes, scene = 0 }: Gltf): Environment {
  const extras = scenes[scene]?.extras;
  const own: unknown = isRecord(extras) ? extras["perigee"] : undefined;
  if (own === undefined) return DAYLIGHT;
  if (Value.Check(environmentSchema, own)) return own;
  const faults = faultsOf(Value.Errors(environmentSchema, own), own).slice(0, FAULTS_SHOWN_MAX);
  const path = `scenes[${scene}].extras.perigee`;
  throw new Failure("scene-invalid", `scene: ${faults.map(({ message }) => `${path}: ${message}`).join("; ")}`);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function readMeshes(json: Gltf, nodes: readonly PlacedNode[], reader: AccessorReader) {
  const instances = new Map<number, number>();
  for (const { node, source } of nodes) {
    if (node.skin !== undefined) refuse(`nodes[${source}].skin`, "must not be there: skins are not supported");
    if (node.mesh === undefined) continue;
    entryOf(json.meshes, node.mesh, `nodes[${source}].mesh`, "meshes");
    instances.set(node.mesh, (instances.get(node.mesh) ?? 0) + 1);
  }
  const meshes = new MeshReader(json, reader);
  return new Map([...instances].map(([mesh, count]) => [mesh, meshes.read(mesh, count)]));
}

function readImages(json: Gltf, uses: readonly ImageUse[], resources: ResourceBytes, reader: AccessorReader) {
  const images = new Map<number, EncodedImage>();
  let pixelsLeft = TEXTURE_PIXELS_MAX;
  for (const { image } of uses) {
    const path = `images[${image}]`;
    const read = images.get(image) ?? readImage(json, image, resources, reader);
    pixelsLeft -= read.widthPixels * read.heightPixels;
    if (pixelsLeft < 0) refuse(path, `makes more than ${TEXTURE_PIXELS_MAX} pixels of textures`);
    images.set(image, read);
  }
  return images;
}

function readImage(json: Gltf, index: number, resources: ResourceBytes, reader: AccessorReader): EncodedImage {
  const path = `images[${index}]`;
  const { uri, bufferView } = entryOf(json.images, index, path, "images");
  const inView = bufferView === undefined ? undefined : reader.bufferView(bufferView, `${path}.bufferView`);
  const bytes = inView ?? (uri === undefined ? undefined : resources.get(uri));
  if (bytes === undefined) refuse(path, "must have a uri or a bufferView");
  return { ...readImageHeader(bytes, path), bytes, path };
}

/** Each number may be right, and their product too large. */
function refuseInfinite({ nodes, animation }: Pick<GltfScene, "nodes" | "animation">): void {
  for (const [place, matrix] of nodeMatrices(nodes, animation, 0).entries()) {
    const path = `nodes[${nodes[place]?.source}]`;
    if (!matrix.every((value) => Math.abs(value) < Number.MAX_SAFE_INTEGER))
      refuse(path, "must be at a place of finite numbers");
  }
}
