/** What is read of glTF 2.0's JSON (Khronos, section 5) as a schema with limits; the rest of a file is left alone. Pure. */
import Type, { type Static } from "typebox";

const NODES_MAX = 4096;
const GLTF_MESHES_MAX = 1024;
const PRIMITIVES_PER_MESH_MAX = 256;
const MATERIALS_MAX = 256;
const TEXTURES_MAX = 256;
const IMAGES_MAX = 64;
const ACCESSORS_MAX = 16_384;
const BUFFERS_MAX = 64;
const ANIMATIONS_MAX = 256;
const CHANNELS_MAX = 4096;
const EXTENSIONS_MAX = 64;
/** A float of 32 bits holds a millimetre at a kilometre; beyond this it holds less than a decimetre. */
const COORDINATE_MAX = 1_000_000;
/** Luminance of a screen that is looked at from near, in units of white. */
const EMISSIVE_STRENGTH_MAX = 1000;

const index = Type.Integer({ minimum: 0, maximum: 1_000_000 });
const bytes = Type.Integer({ minimum: 0, maximum: 0xff_ff_ff_ff });
const count = Type.Integer({ minimum: 1, maximum: 0xff_ff_ff_ff });
const ratio = Type.Number({ minimum: 0, maximum: 1 });
const unit = Type.Number({ minimum: -1, maximum: 1 });
const coordinate = Type.Number({ minimum: -COORDINATE_MAX, maximum: COORDINATE_MAX });
const uri = Type.String({ minLength: 1 });
const three = (item: typeof coordinate) => Type.Tuple([item, item, item]);
const four = (item: typeof coordinate) => Type.Tuple([item, item, item, item]);

const textureInfo = {
  index,
  texCoord: Type.Optional(Type.Integer({ minimum: 0, maximum: 1 })),
};
const texture = Type.Object(textureInfo);

const materialSchema = Type.Object({
  pbrMetallicRoughness: Type.Optional(
    Type.Object({
      baseColorFactor: Type.Optional(four(ratio)),
      baseColorTexture: Type.Optional(texture),
      metallicFactor: Type.Optional(ratio),
      roughnessFactor: Type.Optional(ratio),
      metallicRoughnessTexture: Type.Optional(texture),
    }),
  ),
  normalTexture: Type.Optional(Type.Object({ ...textureInfo, scale: Type.Optional(coordinate) })),
  occlusionTexture: Type.Optional(Type.Object({ ...textureInfo, strength: Type.Optional(ratio) })),
  emissiveTexture: Type.Optional(texture),
  emissiveFactor: Type.Optional(three(ratio)),
  alphaMode: Type.Optional(Type.Enum(["OPAQUE", "MASK", "BLEND"])),
  alphaCutoff: Type.Optional(Type.Number({ minimum: 0, maximum: COORDINATE_MAX })),
  doubleSided: Type.Optional(Type.Boolean()),
  extensions: Type.Optional(
    Type.Object({
      KHR_materials_unlit: Type.Optional(Type.Object({})),
      KHR_materials_emissive_strength: Type.Optional(
        Type.Object({
          emissiveStrength: Type.Optional(Type.Number({ minimum: 0, maximum: EMISSIVE_STRENGTH_MAX })),
        }),
      ),
    }),
  ),
});

const nodeSchema = Type.Object({
  children: Type.Optional(Type.Array(index, { maxItems: NODES_MAX })),
  matrix: Type.Optional(Type.Array(coordinate, { minItems: 16, maxItems: 16 })),
  translation: Type.Optional(three(coordinate)),
  rotation: Type.Optional(four(unit)),
  scale: Type.Optional(three(coordinate)),
  mesh: Type.Optional(index),
  skin: Type.Optional(index),
});

const primitiveSchema = Type.Object({
  attributes: Type.Object({
    POSITION: index,
    NORMAL: Type.Optional(index),
    TANGENT: Type.Optional(index),
    TEXCOORD_0: Type.Optional(index),
    TEXCOORD_1: Type.Optional(index),
    COLOR_0: Type.Optional(index),
  }),
  indices: Type.Optional(index),
  material: Type.Optional(index),
  mode: Type.Optional(Type.Integer({ minimum: 0, maximum: 6 })),
  targets: Type.Optional(Type.Array(Type.Object({}), { maxItems: NODES_MAX })),
});

const sparsePart = { bufferView: index, byteOffset: Type.Optional(bytes) };
const accessorSchema = Type.Object({
  bufferView: Type.Optional(index),
  byteOffset: Type.Optional(bytes),
  componentType: Type.Enum([5120, 5121, 5122, 5123, 5125, 5126]),
  normalized: Type.Optional(Type.Boolean()),
  count,
  type: Type.Enum(["SCALAR", "VEC2", "VEC3", "VEC4", "MAT2", "MAT3", "MAT4"]),
  sparse: Type.Optional(
    Type.Object({
      count,
      indices: Type.Object({ ...sparsePart, componentType: Type.Enum([5121, 5123, 5125]) }),
      values: Type.Object(sparsePart),
    }),
  ),
});

const animationSchema = Type.Object({
  channels: Type.Array(
    Type.Object({
      sampler: index,
      target: Type.Object({
        node: Type.Optional(index),
        path: Type.Enum(["translation", "rotation", "scale", "weights"]),
      }),
    }),
    { minItems: 1, maxItems: CHANNELS_MAX },
  ),
  samplers: Type.Array(
    Type.Object({
      input: index,
      output: index,
      interpolation: Type.Optional(Type.Enum(["LINEAR", "STEP", "CUBICSPLINE"])),
    }),
    { minItems: 1, maxItems: CHANNELS_MAX },
  ),
});

const samplerSchema = Type.Object({
  magFilter: Type.Optional(Type.Enum([9728, 9729])),
  minFilter: Type.Optional(Type.Enum([9728, 9729, 9984, 9985, 9986, 9987])),
  wrapS: Type.Optional(Type.Enum([33_071, 33_648, 10_497])),
  wrapT: Type.Optional(Type.Enum([33_071, 33_648, 10_497])),
});

const list = <Item extends Type.TSchema>(item: Item, maxItems: number) =>
  Type.Optional(Type.Array(item, { minItems: 1, maxItems }));

export const gltfSchema = Type.Object({
  asset: Type.Object({
    version: Type.String({ pattern: "^2\\.[0-9]{1,3}$" }),
    minVersion: Type.Optional(Type.Literal("2.0")),
  }),
  extensionsRequired: list(Type.String({ maxLength: 255 }), EXTENSIONS_MAX),
  scene: Type.Optional(index),
  scenes: Type.Array(
    Type.Object({
      nodes: list(index, NODES_MAX),
      extras: Type.Optional(Type.Unknown()),
    }),
    { minItems: 1, maxItems: NODES_MAX },
  ),
  nodes: list(nodeSchema, NODES_MAX),
  meshes: list(
    Type.Object({ primitives: Type.Array(primitiveSchema, { minItems: 1, maxItems: PRIMITIVES_PER_MESH_MAX }) }),
    GLTF_MESHES_MAX,
  ),
  materials: list(materialSchema, MATERIALS_MAX),
  textures: list(Type.Object({ source: Type.Optional(index), sampler: Type.Optional(index) }), TEXTURES_MAX),
  samplers: list(samplerSchema, TEXTURES_MAX),
  images: list(
    Type.Object({
      uri: Type.Optional(uri),
      mimeType: Type.Optional(Type.String({ maxLength: 255 })),
      bufferView: Type.Optional(index),
    }),
    IMAGES_MAX,
  ),
  accessors: list(accessorSchema, ACCESSORS_MAX),
  bufferViews: list(
    Type.Object({
      buffer: index,
      byteOffset: Type.Optional(bytes),
      byteLength: Type.Integer({ minimum: 1, maximum: 0xff_ff_ff_ff }),
      byteStride: Type.Optional(Type.Integer({ minimum: 4, maximum: 252, multipleOf: 4 })),
    }),
    ACCESSORS_MAX,
  ),
  buffers: list(
    Type.Object({
      uri: Type.Optional(uri),
      byteLength: Type.Integer({ minimum: 1, maximum: 0xff_ff_ff_ff }),
    }),
    BUFFERS_MAX,
  ),
  animations: list(animationSchema, ANIMATIONS_MAX),
});

export type Gltf = Static<typeof gltfSchema>;
export type GltfAccessor = Static<typeof accessorSchema>;
export type GltfPrimitive = Static<typeof primitiveSchema>;
export type GltfMaterial = Static<typeof materialSchema>;
export type GltfNode = Static<typeof nodeSchema>;
export type GltfSampler = Static<typeof samplerSchema>;
export type GltfAnimation = Static<typeof animationSchema>;
