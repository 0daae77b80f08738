/** Materials on the GPU: numbers, textures with their smaller sizes, samplers. */
import type { DecodedImages, Level } from "../gltf/decoded-images.ts";
import type { GltfScene } from "../gltf/gltf-scene.ts";
import type { GltfSampler } from "../gltf/gltf-schema.ts";
import { DEFAULT_MATERIAL, isColourSlot, type Material, TEXTURE_SLOTS, type TextureSlot } from "../gltf/materials.ts";

const WHITE: Level = { widthPixels: 1, heightPixels: 1, pixels: new Uint8Array([255, 255, 255, 255]) };
const WRAPS = { 33071: "clamp-to-edge", 33648: "mirror-repeat", 10497: "repeat" } as const;
const NEAREST = 9728;
/** Minifications by the nearest pixel, and those that mix two sizes or have only the largest. */
const NEAREST_MINIFICATIONS = [9728, 9984, 9986];
const MIXING_MINIFICATIONS = [9986, 9987];
const LARGEST_ONLY = [9728, 9729];

export class PbrMaterials implements Disposable {
  readonly #device: GPUDevice;
  readonly #owned: { destroy(): void }[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Gives what is bound for a material, by its number in the file. */
  upload(
    { materials, textures: sources }: Pick<GltfScene, "materials" | "textures">,
    images: DecodedImages,
    layout: GPUBindGroupLayout,
  ): (material: number | undefined) => GPUBindGroup {
    const textures = new Map<string, GPUTexture>();
    const samplers = new Map<string, GPUSampler>();
    const textureOf = (image: number | undefined, slot: TextureSlot): GPUTexture => {
      const format = isColourSlot(slot) ? "rgba8unorm-srgb" : "rgba8unorm";
      const levels = (image === undefined ? undefined : images.get(image)) ?? [WHITE];
      return madeOnce(textures, `${image} ${format}`, () => this.#upload(levels, format));
    };
    const bind = (material: Material): GPUBindGroup => {
      const used = TEXTURE_SLOTS.map((slot) => sources[material.textures[slot]?.texture ?? -1]);
      const entries: readonly GPUBindingResource[] = [
        { buffer: this.#uploadNumbers(material) },
        ...TEXTURE_SLOTS.map((slot, place) => textureOf(used[place]?.image, slot).createView()),
        ...used.map((source) => {
          const described = describeSampler(source?.sampler ?? {});
          return madeOnce(samplers, JSON.stringify(described), () => this.#device.createSampler(described));
        }),
      ];
      return this.#device.createBindGroup({
        layout,
        entries: entries.map((resource, binding) => ({ binding, resource })),
      });
    };
    const made = new Map<number | undefined, GPUBindGroup>();
    return (material) => madeOnce(made, material, () => bind(materials[material ?? -1] ?? DEFAULT_MATERIAL));
  }

  [Symbol.dispose](): void {
    for (const owned of this.#owned) owned.destroy();
  }

  #uploadNumbers(material: Material): GPUBuffer {
    const values = materialValues(material);
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    const buffer = this.#device.createBuffer({ size: values.byteLength, usage });
    this.#device.queue.writeBuffer(buffer, 0, values);
    this.#owned.push(buffer);
    return buffer;
  }

  #upload(levels: readonly Level[], format: GPUTextureFormat): GPUTexture {
    const [{ widthPixels, heightPixels } = WHITE] = levels;
    const texture = this.#device.createTexture({
      size: [widthPixels, heightPixels],
      format,
      mipLevelCount: levels.length,
      usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST,
    });
    for (const [mipLevel, level] of levels.entries()) {
      const layout = { bytesPerRow: level.widthPixels * 4 };
      this.#device.queue.writeTexture({ texture, mipLevel }, level.pixels, layout, [
        level.widthPixels,
        level.heightPixels,
      ]);
    }
    this.#owned.push(texture);
    return texture;
  }
}

function madeOnce<Key, Value>(made: Map<Key, Value>, key: Key, make: () => Value): Value {
  const found = made.get(key) ?? make();
  made.set(key, found);
  return found;
}

function describeSampler({ magFilter, minFilter, wrapS = 10497, wrapT = 10497 }: GltfSampler): GPUSamplerDescriptor {
  const isIn = (list: readonly number[]): boolean => minFilter !== undefined && list.includes(minFilter);
  return {
    addressModeU: WRAPS[wrapS],
    addressModeV: WRAPS[wrapT],
    magFilter: magFilter === NEAREST ? "nearest" : "linear",
    minFilter: isIn(NEAREST_MINIFICATIONS) ? "nearest" : "linear",
    mipmapFilter: minFilter === undefined || isIn(MIXING_MINIFICATIONS) ? "linear" : "nearest",
    ...(isIn(LARGEST_ONLY) ? { lodMaxClamp: 0 } : {}),
  };
}

/** As `Material` of the shader has them. */
function materialValues(material: Material): Float32Array<ArrayBuffer> {
  const { baseColour, emissive, metallic, roughness, normalScale, occlusionStrength, textures } = material;
  const useOf = (slot: TextureSlot): number => {
    const use = textures[slot];
    return use === undefined ? 0 : 1 + use.texCoord;
  };
  return new Float32Array([
    ...baseColour,
    ...[...emissive, material.isUnlit ? 1 : 0],
    ...[metallic, roughness, normalScale, occlusionStrength],
    ...[material.alphaCutoff, material.isDoubleSided ? 1 : 0, 0, 0],
    ...[useOf("baseColour"), 0, 0, 0],
    ...[useOf("metallicRoughness"), useOf("normal"), useOf("occlusion"), useOf("emissive")],
  ]);
}
