/** The pipelines of glTF materials: how a surface covers what is behind it, and whether its back is seen. */
import { VERTEX_BYTES } from "../gltf/mesh-parts.ts";
import { PBR_SHADER } from "./pbr-shader.ts";

export const INSTANCE_BYTES = 48;
const TEXTURES = 5;

export type Alpha = "opaque" | "mask" | "blend";

export interface TargetFormats {
  readonly colour: GPUTextureFormat;
  readonly depth: GPUTextureFormat;
}

export interface PbrPipelines {
  readonly eyeLayout: GPUBindGroupLayout;
  readonly materialLayout: GPUBindGroupLayout;
  /** Compiled when it is first asked for. */
  find(alpha: Alpha, isDoubleSided: boolean): GPURenderPipeline;
}

export function createPbrPipelines(device: GPUDevice, formats: TargetFormats): PbrPipelines {
  const module = device.createShaderModule({ code: PBR_SHADER });
  const eyeLayout = device.createBindGroupLayout({ entries: [0, 1].map(uniformAt) });
  const materialLayout = device.createBindGroupLayout({ entries: [uniformAt(0), ...textureEntries()] });
  const layout = device.createPipelineLayout({ bindGroupLayouts: [eyeLayout, materialLayout] });
  const made = new Map<string, GPURenderPipeline>();
  return {
    eyeLayout,
    materialLayout,
    find(alpha, isDoubleSided) {
      const key = `${alpha} ${isDoubleSided}`;
      const found =
        made.get(key) ?? device.createRenderPipeline(describe({ module, layout, formats, alpha, isDoubleSided }));
      made.set(key, found);
      return found;
    },
  };
}

function uniformAt(binding: number): GPUBindGroupLayoutEntry {
  return { binding, visibility: GPUShaderStage.VERTEX | GPUShaderStage.FRAGMENT, buffer: {} };
}

function textureEntries(): GPUBindGroupLayoutEntry[] {
  const places = Array.from({ length: TEXTURES }, (_, place) => place + 1);
  const visibility = GPUShaderStage.FRAGMENT;
  return [
    ...places.map((binding) => ({ binding, visibility, texture: {} })),
    ...places.map((place) => ({ binding: place + TEXTURES, visibility, sampler: {} })),
  ];
}

interface Variant {
  readonly module: GPUShaderModule;
  readonly layout: GPUPipelineLayout;
  readonly formats: TargetFormats;
  readonly alpha: Alpha;
  readonly isDoubleSided: boolean;
}

function describe({ module, layout, formats, alpha, isDoubleSided }: Variant): GPURenderPipelineDescriptor {
  const over: GPUBlendComponent = { srcFactor: "one", dstFactor: "one-minus-src-alpha" };
  const blend: GPUBlendState = { color: { ...over, srcFactor: "src-alpha" }, alpha: over };
  const target = alpha === "blend" ? { format: formats.colour, blend } : { format: formats.colour };
  return {
    layout,
    vertex: { module, entryPoint: "vertexMain", buffers: VERTEX_BUFFERS },
    fragment: {
      module,
      entryPoint: "fragmentMain",
      targets: [target],
      constants: { IS_MASKED: alpha === "mask" ? 1 : 0, IS_BLENDED: alpha === "blend" ? 1 : 0 },
    },
    primitive: { topology: "triangle-list", cullMode: isDoubleSided ? "none" : "back" },
    depthStencil: { format: formats.depth, depthCompare: "less", depthWriteEnabled: alpha !== "blend" },
  };
}

const VERTEX_BUFFERS: readonly GPUVertexBufferLayout[] = [
  {
    arrayStride: VERTEX_BYTES,
    attributes: [
      { shaderLocation: 0, offset: 0, format: "float32x3" },
      { shaderLocation: 1, offset: 12, format: "float32x3" },
      { shaderLocation: 2, offset: 24, format: "float32x4" },
      { shaderLocation: 3, offset: 40, format: "snorm8x4" },
      { shaderLocation: 4, offset: 44, format: "unorm8x4" },
    ],
  },
  {
    arrayStride: INSTANCE_BYTES,
    stepMode: "instance",
    attributes: [0, 1, 2].map((row) => ({ shaderLocation: 5 + row, offset: row * 16, format: "float32x4" as const })),
  },
];
