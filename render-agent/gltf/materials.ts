/** Materials of the metallic-roughness model with glTF's defaults filled in (glTF 2.0 section 3.9). Pure. */
import { entryOf } from "./gltf-fault.ts";
import type { Gltf, GltfMaterial, GltfSampler } from "./gltf-schema.ts";

export interface TextureUse {
  /** Number of the texture in the file. */
  readonly texture: number;
  readonly texCoord: 0 | 1;
}

export interface Material {
  readonly baseColour: readonly number[];
  readonly emissive: readonly number[];
  readonly metallic: number;
  readonly roughness: number;
  readonly normalScale: number;
  readonly occlusionStrength: number;
  readonly alpha: "opaque" | "mask" | "blend";
  readonly alphaCutoff: number;
  readonly isDoubleSided: boolean;
  readonly isUnlit: boolean;
  readonly textures: Readonly<Record<TextureSlot, TextureUse | undefined>>;
}

export const TEXTURE_SLOTS = ["baseColour", "metallicRoughness", "normal", "occlusion", "emissive"] as const;
export type TextureSlot = (typeof TEXTURE_SLOTS)[number];

export interface TextureSource {
  /** Number of the image in the file. */
  readonly image: number;
  readonly sampler: GltfSampler;
}

/** An image of colours and one of numbers are textures of their own on the GPU. */
export interface ImageUse {
  readonly image: number;
  readonly isColour: boolean;
}

const ALPHA = { OPAQUE: "opaque", MASK: "mask", BLEND: "blend" } as const;
export const DEFAULT_MATERIAL: Material = materialOf({});

/** Throws `scene-invalid` where a texture is not there. */
export function readMaterials(json: Gltf): readonly Material[] {
  return (json.materials ?? []).map((raw, index) => {
    const material = materialOf(raw);
    for (const slot of TEXTURE_SLOTS) {
      const use = material.textures[slot];
      if (use !== undefined)
        entryOf(json.textures, use.texture, `materials[${index}] (its ${slot} texture)`, "textures");
    }
    return material;
  });
}

/** `undefined` of a texture without an image, which is white. Throws `scene-invalid`. */
export function readTextures(json: Gltf): readonly (TextureSource | undefined)[] {
  return (json.textures ?? []).map(({ source, sampler }, index) => {
    const path = `textures[${index}]`;
    const found = sampler === undefined ? {} : entryOf(json.samplers, sampler, `${path}.sampler`, "samplers");
    if (source === undefined) return undefined;
    entryOf(json.images, source, `${path}.source`, "images");
    return { image: source, sampler: found };
  });
}

export function isColourSlot(slot: TextureSlot): boolean {
  return slot === "baseColour" || slot === "emissive";
}

/** Each once. */
export function imageUsesOf(
  materials: readonly Material[],
  textures: readonly (TextureSource | undefined)[],
): readonly ImageUse[] {
  const uses = new Map<string, ImageUse>();
  for (const material of materials) {
    for (const slot of TEXTURE_SLOTS) {
      const source = textures[material.textures[slot]?.texture ?? -1];
      const use = source === undefined ? undefined : { image: source.image, isColour: isColourSlot(slot) };
      if (use !== undefined) uses.set(`${use.image} ${use.isColour}`, use);
    }
  }
  return [...uses.values()];
}

function materialOf(raw: GltfMaterial): Material {
  const { pbrMetallicRoughness: pbr = {}, normalTexture, occlusionTexture, emissiveTexture, extensions = {} } = raw;
  const strength = extensions.KHR_materials_emissive_strength?.emissiveStrength ?? 1;
  return {
    baseColour: pbr.baseColorFactor ?? [1, 1, 1, 1],
    emissive: (raw.emissiveFactor ?? [0, 0, 0]).map((part) => part * strength),
    metallic: pbr.metallicFactor ?? 1,
    roughness: pbr.roughnessFactor ?? 1,
    normalScale: normalTexture?.scale ?? 1,
    occlusionStrength: occlusionTexture?.strength ?? 1,
    alpha: ALPHA[raw.alphaMode ?? "OPAQUE"],
    alphaCutoff: raw.alphaCutoff ?? 0.5,
    isDoubleSided: raw.doubleSided ?? false,
    isUnlit: extensions.KHR_materials_unlit !== undefined,
    textures: {
      baseColour: useOf(pbr.baseColorTexture),
      metallicRoughness: useOf(pbr.metallicRoughnessTexture),
      normal: useOf(normalTexture),
      occlusion: useOf(occlusionTexture),
      emissive: useOf(emissiveTexture),
    },
  };
}

function useOf(info: { readonly index: number; readonly texCoord?: number } | undefined): TextureUse | undefined {
  return info === undefined ? undefined : { texture: info.index, texCoord: info.texCoord === 1 ? 1 : 0 };
}
