/** The scene format "perigee-scene/1": a JSON document of primitives, parsed and bounded. Pure. */
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { Failure } from "#domain/failure.ts";
import { faultsOf } from "#domain/schema-faults.ts";

/** 20 MB of GPU memory at 64 bytes each, and far more than software rendering can draw. */
const INSTANCES_MAX = 20_000;
const MESHES_MAX = 64;
export const SEGMENTS_DEFAULT = 16;
export const SCENE_BYTES_MAX = 16 * 1024 * 1024;

const closed = { additionalProperties: false };
const metres = Type.Number({ minimum: -10_000, maximum: 10_000 });
const ratio = Type.Number({ minimum: 0, maximum: 1 });
const vector = Type.Tuple([metres, metres, metres]);
const colour = Type.Tuple([ratio, ratio, ratio]);

const meshSchema = Type.Object(
  {
    shape: Type.Enum(["box", "sphere", "cylinder", "plane"]),
    /** Around a sphere or cylinder at full detail; SEGMENTS_DEFAULT where not said. */
    segments: Type.Optional(Type.Integer({ minimum: 3, maximum: 64 })),
  },
  closed,
);

const instanceSchema = Type.Object(
  {
    mesh: Type.String({ minLength: 1, maxLength: 63 }),
    position: vector,
    yawDegrees: Type.Number({ minimum: -360, maximum: 360, default: 0 }),
    /** Half extents: a mesh of scale 1 reaches from -1 to 1. */
    scale: vector,
    colour,
    pattern: Type.Enum(["plain", "checker", "stripes"], { default: "plain" }),
    /** How much of its colour it shines with by itself. */
    glowRatio: Type.Number({ minimum: 0, maximum: 1, default: 0 }),
    turnDegreesPerSecond: Type.Number({ minimum: -720, maximum: 720, default: 0 }),
  },
  closed,
);

const sceneSchema = Type.Object(
  {
    format: Type.Literal("perigee-scene/1"),
    sky: colour,
    sun: Type.Object({ towards: vector, colour }, closed),
    ambient: Type.Object({ above: colour, below: colour }, closed),
    fogPerMetre: Type.Number({ minimum: 0, maximum: 1 }),
    meshes: Type.Record(Type.String({ minLength: 1, maxLength: 63 }), meshSchema, { maxProperties: MESHES_MAX }),
    instances: Type.Array(instanceSchema, { minItems: 1, maxItems: INSTANCES_MAX }),
  },
  closed,
);

export type Scene = Static<typeof sceneSchema>;
export type SceneMesh = Static<typeof meshSchema>;
export type SceneInstance = Static<typeof instanceSchema>;

/** Throws `scene-invalid` with every fault. */
export function parseScene(bytes: Uint8Array): Scene {
  if (bytes.byteLength > SCENE_BYTES_MAX) {
    throw new Failure("scene-invalid", `scene: must have at most ${SCENE_BYTES_MAX} bytes, got ${bytes.byteLength}`);
  }
  const value = Value.Default(sceneSchema, parseJson(bytes));
  if (!Value.Check(sceneSchema, value)) {
    const faults = faultsOf(Value.Errors(sceneSchema, value), value).slice(0, 10);
    throw new Failure("scene-invalid", `scene: ${faults.map((fault) => fault.message).join("; ")}`);
  }
  for (const [index, { mesh }] of value.instances.entries()) {
    if (Object.hasOwn(value.meshes, mesh)) continue;
    throw new Failure("scene-invalid", `scene: instances[${index}].mesh must be one of its meshes, got ${mesh}`);
  }
  return value;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new Failure("scene-invalid", "scene: must be JSON in UTF-8", { cause });
  }
}
