/** The scene format "perigee-scene/1": a JSON document of primitives, parsed and bounded. Pure. */
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { Failure } from "#domain/failure.ts";
import { faultsOf } from "#domain/schema-faults.ts";
import { checkSounds } from "../audio/scene-sounds.ts";
import { SOUNDS_MAX, soundSchema } from "../audio/sound-schema.ts";
import { parseBoundedJson } from "../gltf/bounded-json.ts";

/** 20 MB of GPU memory at 64 bytes each, and far more than software rendering can draw. */
const INSTANCES_MAX = 20_000;
const MESHES_MAX = 64;
/** What an app may move: 44 bytes each, each tick. */
const OBJECTS_MAX = 2_000;
export const SEGMENTS_DEFAULT = 16;
export const SCENE_BYTES_MAX = 16 * 1024 * 1024;
/** 32 of each instance. */
const SCENE_VALUES_MAX = 640_000;

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
    /** Seen from inside too, and where an instance is mirrored; planes always are. Costs half as much again. */
    doubleSided: Type.Optional(Type.Boolean()),
  },
  closed,
);

const instanceSchema = Type.Object(
  {
    /** Makes it an object, which the bundle's app may move. */
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 63 })),
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

const environment = {
  sky: colour,
  sun: Type.Object({ towards: vector, colour }, closed),
  ambient: Type.Object({ above: colour, below: colour }, closed),
  fogPerMetre: Type.Number({ minimum: 0, maximum: 1 }),
};
export const environmentSchema = Type.Object(environment, closed);

const sceneSchema = Type.Object(
  {
    format: Type.Literal("perigee-scene/1"),
    ...environment,
    meshes: Type.Record(Type.String({ minLength: 1, maxLength: 63 }), meshSchema, { maxProperties: MESHES_MAX }),
    instances: Type.Array(instanceSchema, { minItems: 1, maxItems: INSTANCES_MAX }),
    sounds: Type.Optional(Type.Array(soundSchema, { maxItems: SOUNDS_MAX })),
  },
  closed,
);

/** Light and air around what is drawn. */
export type Environment = Static<typeof environmentSchema>;
export type Scene = Static<typeof sceneSchema>;
export type SceneMesh = Static<typeof meshSchema>;
export type SceneInstance = Static<typeof instanceSchema>;

/** Throws `scene-invalid` with every fault. */
export function parseScene(bytes: Uint8Array): Scene {
  const json = parseBoundedJson(bytes, { bytesMax: SCENE_BYTES_MAX, valuesMax: SCENE_VALUES_MAX });
  const value = Value.Default(sceneSchema, json);
  if (!Value.Check(sceneSchema, value)) {
    const faults = faultsOf(Value.Errors(sceneSchema, value), value).slice(0, 10);
    throw new Failure("scene-invalid", `scene: ${faults.map((fault) => fault.message).join("; ")}`);
  }
  for (const [index, { mesh }] of value.instances.entries()) {
    if (Object.hasOwn(value.meshes, mesh)) continue;
    throw new Failure("scene-invalid", `scene: instances[${index}].mesh must be one of its meshes, got ${mesh}`);
  }
  checkNames(value.instances);
  checkSounds(value.sounds ?? []);
  return value;
}

function checkNames(instances: readonly SceneInstance[]): void {
  const names = new Set<string>();
  for (const [index, { name }] of instances.entries()) {
    if (name === undefined) continue;
    if (names.has(name))
      throw new Failure("scene-invalid", `scene: instances[${index}].name must be unique, got ${name}`);
    names.add(name);
  }
  if (names.size <= OBJECTS_MAX) return;
  throw new Failure("scene-invalid", `scene: must have at most ${OBJECTS_MAX} named instances, got ${names.size}`);
}
