/** glTF scenes are read as the specification has them; what is wrong is refused by the place in the JSON that it is at. */
import fc from "fast-check";
import t from "tap";
import { makeGallery } from "#deploy/one-machine/sample/scene/gallery.ts";
import { GlbBuilder, glbOf } from "#deploy/one-machine/sample/scene/glb-builder.ts";
import { isFailure } from "#domain/failure.ts";
import { decodeImages } from "./decoded-images.ts";
import { openGltfFile } from "./gltf-file.ts";
import { type GltfScene, readGltfScene } from "./gltf-scene.ts";
import { VERTEX_BYTES } from "./mesh-parts.ts";
import { nodeMatrices } from "./node-poses.ts";

type Json = Record<string, unknown>;

const gallery = makeGallery();
const read = (bytes: Uint8Array): GltfScene => readGltfScene(openGltfFile(bytes), new Map());

/** Of the gallery: JSON that a test may spoil, and its buffer. */
function takeApart(): { readonly json: Json; readonly binary: Uint8Array } {
  const { json, binaryChunk = new Uint8Array() } = openGltfFile(gallery);
  return { json: structuredClone(json), binary: binaryChunk };
}

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null;
}

/** At a place as in `nodes.0.mesh`; `undefined` takes away what is there. */
function put(json: Json, at: string, value: unknown): void {
  const steps = at.split(".");
  const last = steps.pop() ?? "";
  const holder = steps.reduce<unknown>((found, step) => (isJson(found) ? found[step] : undefined), json);
  if (!isJson(holder)) throw new Error(`nothing at ${at}`);
  if (value === undefined) delete holder[last];
  else holder[last] = value;
}

function messageOf(bytes: Uint8Array): string {
  try {
    read(bytes);
    return "nothing was wrong";
  } catch (error) {
    if (!isFailure(error, "scene-invalid")) throw error;
    return error.message;
  }
}

t.test("the gallery: its nodes, its meshes once each, its image, its light", async (t) => {
  const scene = read(gallery);
  t.equal(scene.nodes.length, 10);
  t.equal(scene.meshes.size, 7);
  t.equal(scene.materials.length, 7);
  t.match(scene.images.get(0), { kind: "png", widthPixels: 128, heightPixels: 128 });
  t.equal(scene.environment.fogPerMetre, 0.01);
  t.equal(scene.animation?.seconds, 8);
  const [matrix] = nodeMatrices(scene.nodes, undefined, 0);
  t.same(matrix?.slice(12, 15), [-2.25, 1.5, -4]);
});

t.test("what a file does not say is as the specification has it", async (t) => {
  const glb = new GlbBuilder();
  const mesh = { primitives: [glb.primitive({ positions: [0, 0, 0, 1, 0, 0, 0, 1, 0] }, undefined)] };
  const scene = read(glb.build({ scenes: [{ nodes: [0] }], nodes: [{ mesh: 0 }], meshes: [mesh] }));
  const [part] = scene.meshes.get(0) ?? [];
  t.same([...(part?.indices ?? [])], [0, 1, 2], "corners in their order");
  t.equal(part?.material, undefined);
  const bytes = new Uint8Array(part?.vertices.buffer ?? new ArrayBuffer());
  t.same([...bytes.subarray(VERTEX_BYTES - 8, VERTEX_BYTES)], [0, 0, 0, 0, 255, 255, 255, 255], "no tangent, white");
  t.ok(scene.environment.sun.colour[0] > 0, "daylight");
});

t.test("children stand within their parents, wherever they are in the file", async (t) => {
  const nodes = [
    { translation: [1, 0, 0] },
    { children: [0], rotation: [0, Math.SQRT1_2, 0, Math.SQRT1_2], scale: [2, 2, 2] },
    { children: [1], matrix: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 5, 0, 1] },
  ];
  const glb = new GlbBuilder();
  glb.floats([0], 1);
  const scene = read(glb.build({ scenes: [{ nodes: [2] }], nodes }));
  t.same(
    scene.nodes.map(({ source, parent }) => [source, parent]),
    [
      [2, -1],
      [1, 0],
      [0, 1],
    ],
  );
  const at = nodeMatrices(scene.nodes, undefined, 0)[2]?.slice(12, 15) ?? [];
  for (const [axis, expected] of [0, 5, -2].entries()) {
    t.ok(Math.abs((at[axis] ?? 9) - expected) < 1e-9, `axis ${axis} at ${at[axis]}`);
  }
});

t.test("sparse and strided accessors, and small integers, give the numbers that they mean", async (t) => {
  const glb = new GlbBuilder();
  const positions = glb.floats([0, 0, 0, 1, 0, 0, 0, 1, 0], 3);
  const places = glb.bytes(Uint8Array.of(2, 0, 0, 0));
  const values = glb.bytes(new Uint8Array(Float32Array.of(7, 8, 9).buffer));
  // Colours of three bytes, four apart.
  const colours = glb.bytes(Uint8Array.of(255, 0, 0, 9, 0, 255, 0, 9, 0, 0, 51, 9));
  const json = structuredClone(
    glb.json({
      scenes: [{ nodes: [0] }],
      nodes: [{ mesh: 0 }],
      meshes: [{ primitives: [{ attributes: { POSITION: positions, COLOR_0: 1 } }] }],
    }),
  );
  put(json, "bufferViews.3.byteStride", 4);
  put(json, "accessors.0.sparse", {
    count: 1,
    indices: { bufferView: places, componentType: 5121 },
    values: { bufferView: values },
  });
  put(json, "accessors.1", { bufferView: colours, componentType: 5121, normalized: true, count: 3, type: "VEC3" });
  const [part] = read(glbOf(json, glb.binary())).meshes.get(0) ?? [];
  const floats = part?.vertices ?? new Float32Array();
  t.same([...floats.subarray(24, 27)], [7, 8, 9], "the third position is another");
  t.same([...floats.subarray(12, 15)], [1, 0, 0], "the second is not");
  const bytes = new Uint8Array(floats.buffer);
  t.same([...bytes.subarray(2 * VERTEX_BYTES + 44, 3 * VERTEX_BYTES)], [0, 0, 51, 255]);
});

t.test("strips and fans are the triangles that they stand for", async (t) => {
  const square = { positions: [0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 0] };
  for (const [mode, expected] of [
    [5, [0, 1, 2, 1, 3, 2]],
    [6, [0, 1, 2, 0, 2, 3]],
  ] as const) {
    const glb = new GlbBuilder();
    const meshes = [{ primitives: [{ ...glb.primitive(square, undefined), mode }] }];
    const scene = read(glb.build({ scenes: [{ nodes: [0] }], nodes: [{ mesh: 0 }], meshes }));
    t.same([...(scene.meshes.get(0)?.[0]?.indices ?? [])], expected, `mode ${mode}`);
  }
});

/** Done to the gallery's JSON, and what is said of it. */
const WRONG: readonly (readonly [at: string, value: unknown, says: RegExp])[] = [
  ["asset.version", "1.0", /asset\.version/],
  ["asset", undefined, /lacks the field asset/],
  ["extensionsRequired", ["KHR_draco_mesh_compression"], /extensionsRequired\[0\] must be one of/],
  ["scene", 3, /scene must be one of 1 scenes, got 3/],
  ["scenes.0.nodes.0", 99, /scenes\[0\]\.nodes\[0\] must be one of 10 nodes, got 99/],
  ["scenes.0.nodes", [1, 1], /scenes\[0\]\.nodes\[1\] must not be named twice/],
  ["scenes.0.extras.perigee.sky", [2, 0, 0], /scenes\[0\]\.extras\.perigee: sky\[0\]/],
  ["nodes.0.children", [0], /nodes\[0\] must not be its own ancestor/],
  [
    "nodes",
    [{ children: [1] }, { children: [2] }, { children: [1] }],
    /nodes\[2\]\.children\[0\] must have one parent only/,
  ],
  ["nodes.10", { children: [11] }, /nodes\[10\]\.children\[0\] must be one of 11 nodes/],
  ["nodes.0.children", [1], /scenes\[0\]\.nodes\[1\] must be a root/],
  ["nodes.0.children", Array(5000).fill(1), /nodes\[0\]\.children must not have more than 4096/],
  ["nodes", Array(5000).fill({}), /nodes must not have more than 4096/],
  ["nodes.0.mesh", 70, /nodes\[0\]\.mesh must be one of 7 meshes/],
  ["nodes.0.translation", [1e9, 0, 0], /nodes\[0\]\.translation\[0\]/],
  ["nodes.0.rotation", [0, 0, 0], /nodes\[0\]\.rotation/],
  ["nodes.0.skin", 0, /nodes\[0\]\.skin must not be there: skins are not supported/],
  ["nodes.0.matrix", Array(15).fill(0), /nodes\[0\]\.matrix/],
  ["meshes.0.primitives.0.mode", 1, /meshes\[0\]\.primitives\[0\]\.mode must be triangles/],
  ["meshes.0.primitives.0.targets", [{}], /targets must not be there: morph targets/],
  ["meshes.0.primitives.0.attributes", {}, /meshes\[0\]\.primitives\[0\]\.attributes lacks the field POSITION/],
  ["meshes.0.primitives.0.attributes.NORMAL", 77, /attributes\.NORMAL must be one of \d+ accessors/],
  ["meshes.0.primitives.0.attributes.NORMAL", 4, /attributes\.NORMAL must have as many values as POSITION/],
  ["meshes.0.primitives.0.attributes.TEXCOORD_0", 0, /accessors\[0\]\.type must be VEC2/],
  ["meshes.0.primitives.0.indices", 0, /accessors\[0\]\.type must be SCALAR/],
  ["meshes.0.primitives.0.material", 12, /primitives\[0\]\.material must be one of 7 materials/],
  ["accessors.0.count", 4_000_000_000, /accessors\[0\]\.count must be at most 1000000/],
  ["accessors.0.count", 100_000, /accessors\[0\] must end within the \d+ bytes of its view/],
  ["accessors.0.count", 1.5, /accessors\[0\]\.count/],
  ["accessors.0.count", -1, /accessors\[0\]\.count/],
  [
    "accessors.0.count",
    20,
    /accessors\[1\]\.count must be at most 20 for meshes\[0\]\.primitives\[0\]\.attributes\.NORMAL/,
  ],
  ["accessors.0.byteOffset", 2, /accessors\[0\]\.byteOffset must be aligned to 4/],
  ["accessors.0.byteOffset", 4, /accessors\[0\] must end within/],
  ["accessors.0.bufferView", 90, /accessors\[0\]\.bufferView must be one of/],
  ["accessors.0.componentType", 5124, /accessors\[0\]\.componentType/],
  ["accessors.3.componentType", 5126, /accessors\[3\]\.componentType must be an unsigned integer/],
  [
    "accessors.0.sparse",
    { count: 9999, indices: { bufferView: 1, componentType: 5121 }, values: { bufferView: 1 } },
    /accessors\[0\]\.sparse\.count/,
  ],
  [
    "accessors.0.sparse",
    { count: 2, indices: { bufferView: 5, componentType: 5121 }, values: { bufferView: 1 } },
    /sparse\.indices must grow/,
  ],
  ["bufferViews.1.buffer", 3, /bufferViews\[1\]\.buffer must be one of 1 buffers/],
  ["bufferViews.1.byteOffset", 4_000_000_000, /bufferViews\[1\] must end within/],
  ["bufferViews.1.byteLength", 4_000_000_000, /bufferViews\[1\] must end within/],
  ["bufferViews.1.byteStride", 8, /bufferViews\[1\]\.byteStride must be at least 12/],
  ["bufferViews.1.byteStride", 6, /bufferViews\[1\]\.byteStride/],
  ["buffers.0.byteLength", 4_000_000_000, /buffers\[0\]\.byteLength must be at most/],
  ["buffers", undefined, /buffer must be one of 0 buffers/],
  ["buffers.0.uri", "http://example.com/a.bin", /buffers\[0\]\.uri must be a file of the scene's bundle/],
  ["buffers.0.uri", "data:;base64,####", /buffers\[0\]\.uri must be data in base64/],
  ["images.0.bufferView", undefined, /images\[0\] must have a uri or a bufferView/],
  ["images.0.bufferView", 1, /images\[0\] must be a PNG or JPEG/],
  ["textures.0.source", 5, /textures\[0\]\.source must be one of 1 images/],
  ["textures.0.sampler", 5, /textures\[0\]\.sampler must be one of 1 samplers/],
  ["materials.4.pbrMetallicRoughness.baseColorTexture.index", 9, /materials\[4\].* must be one of 1 textures/],
  ["materials.0.pbrMetallicRoughness.baseColorFactor", [1, 1, 1, 2], /baseColorFactor\[3\]/],
  ["animations.0.channels.0.sampler", 9, /animations\[0\]\.channels\[0\]\.sampler must be one of 2 samplers/],
  ["animations.0.channels.0.target.node", 90, /channels\[0\]\.target\.node must be one of 10 nodes/],
  ["animations.0.channels.0.target.path", "weights", /morph targets are not supported/],
  [
    "animations.0.channels.1.target.path",
    "rotation",
    /animations\[0\]\.channels\[1\]\.target must not be animated twice/,
  ],
  ["animations.0.samplers.0.input", 0, /accessors\[0\]\.type must be SCALAR/],
  ["animations.0.samplers.0.interpolation", "CUBICSPLINE", /samplers\[0\]\.output must have 15 values/],
  ["animations.0.samplers.1.interpolation", "LINEAR", /accessors\[\d+\]\.count must be at most 5/],
  ["nodes.9.matrix", [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], /target\.node must have no matrix/],
];

t.test("each fault is named by its place", async (t) => {
  for (const [at, value, says] of WRONG) {
    const { json, binary } = takeApart();
    put(json, at, value);
    t.match(messageOf(glbOf(json, binary)), says, `${at} = ${JSON.stringify(value)?.slice(0, 40)}`);
  }
});

t.test("numbers that are none, and times that go back, are refused", async (t) => {
  const { json, binary } = takeApart();
  const spoiled = Uint8Array.from(binary);
  const view = new DataView(spoiled.buffer);
  const { bufferViews = [], accessors = [] } = openGltfFile(gallery).json;
  const startOf = (accessor: number): number => bufferViews[accessors[accessor]?.bufferView ?? -1]?.byteOffset ?? 0;
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    view.setFloat32(startOf(0), value, true);
    t.match(messageOf(glbOf(json, spoiled)), /accessors\[0\] must be of finite numbers/);
  }
  view.setFloat32(startOf(0), 0, true);
  const keys = accessors.findIndex(({ type, count }) => type === "SCALAR" && count === 5);
  view.setFloat32(startOf(keys) + 8, 0.5, true);
  t.match(messageOf(glbOf(json, spoiled)), /animations\[0\]\.samplers\[0\]\.input must grow from 0/);
});

t.test("an index beyond the vertices is refused", async (t) => {
  const glb = new GlbBuilder();
  const triangle = glb.primitive({ positions: [0, 0, 0, 1, 0, 0, 0, 1, 0], indices: [0, 1, 3] }, undefined);
  const file = glb.build({ scenes: [{ nodes: [0] }], nodes: [{ mesh: 0 }], meshes: [{ primitives: [triangle] }] });
  t.match(messageOf(file), /accessors\[1\] must be of indices below 3, got 3 at 2/);
});

t.test("what is drawn is bounded by all instances together", async (t) => {
  const { json, binary } = takeApart();
  put(
    json,
    "nodes",
    Array.from({ length: 1100 }, () => ({ mesh: 0 })),
  );
  put(json, "scenes.0.nodes", [...Array(1100).keys()]);
  put(json, "animations", undefined);
  t.match(messageOf(glbOf(json, binary)), /meshes\[0\]\.primitives\[0\] draws more than 1000000 triangles/);
});

t.test("a container whose lengths are not those of the file is refused", async (t) => {
  const spoiled = (offset: number, value: number): Uint8Array => {
    const bytes = Uint8Array.from(gallery);
    new DataView(bytes.buffer).setUint32(offset, value, true);
    return bytes;
  };
  t.match(messageOf(spoiled(4, 1)), /must be of version 2, got 1/);
  t.match(messageOf(spoiled(8, 12)), /says 12 bytes, the file has/);
  t.match(messageOf(spoiled(12, 0xff_ff_ff_fc)), /the JSON chunk has 4294967292 bytes/);
  t.match(messageOf(spoiled(12, 6)), /must have a multiple of 4 bytes/);
  t.match(messageOf(spoiled(16, 0)), /the JSON chunk must come first/);
  t.match(messageOf(gallery.subarray(0, gallery.byteLength - 4)), /says \d+ bytes/);
  t.match(messageOf(gallery.subarray(0, 8)), /the GLB header must have 12 bytes/);
});

t.test("JSON of too many values, or too deep, is refused before it is read", async (t) => {
  const nested = `{"asset":{"version":"2.0"},"scenes":[{"extras":${"[".repeat(70)}${"]".repeat(70)}}]}`;
  t.match(messageOf(Buffer.from(nested)), /must be at most 64 deep, got 73/);
  t.match(messageOf(Buffer.from(`{"nodes":[${"1,".repeat(300_000)}1]}`)), /must have at most 262144 values/);
});

/** What a file that is read promises. */
function checkScene(scene: GltfScene): void {
  for (const [place, { parent }] of scene.nodes.entries()) {
    if (parent >= place) throw new Error(`node ${place} comes before its parent ${parent}`);
  }
  for (const { vertices, indices } of [...scene.meshes.values()].flat()) {
    const count = vertices.byteLength / VERTEX_BYTES;
    if (indices.some((index) => index >= count)) throw new Error("an index is beyond the vertices");
  }
  for (const seconds of [0, 1.3, 1e7]) nodeMatrices(scene.nodes, scene.animation, seconds);
}

async function survives(bytes: Uint8Array): Promise<void> {
  try {
    const scene = read(bytes);
    checkScene(scene);
    await decodeImages(scene);
  } catch (error) {
    if (!isFailure(error, "scene-invalid")) throw error;
  }
}

t.test("whatever bytes are changed, there is a scene or a failure", async (t) => {
  const change = fc.record({ at: fc.nat(gallery.byteLength - 1), byte: fc.nat(255) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 8 }),
      fc.nat(gallery.byteLength),
      async (changes, cut) => {
        const bytes = Uint8Array.from(gallery);
        for (const { at, byte } of changes) bytes[at] = byte;
        await survives(bytes);
        await survives(bytes.subarray(0, cut));
      },
    ),
    { numRuns: 200 },
  );
  t.pass("every generated case held");
});

/** Every place of a JSON value, as `put` takes it. */
function placesOf(value: unknown, at: string): string[] {
  if (!isJson(value)) return [at];
  return Object.entries(value).flatMap(([key, part]) => [
    `${at}${at === "" ? "" : "."}${key}`,
    ...placesOf(part, `${at}${at === "" ? "" : "."}${key}`),
  ]);
}

t.test("whatever the JSON says instead, there is a scene or a failure", async (t) => {
  const places = [...new Set(placesOf(takeApart().json, ""))];
  const value = fc.oneof(
    fc.constantFrom<unknown>(
      undefined,
      null,
      true,
      "",
      "..",
      {},
      [],
      [[]],
      "__proto__",
      5126,
      5121,
      5125,
      "VEC3",
      "SCALAR",
    ),
    fc.integer({ min: -2, max: 20 }),
    fc.constantFrom(2 ** 31, 2 ** 32 - 1, 2 ** 32, 1e308, -1e308, 0.5, 1_000_000, 65_536),
    fc.array(fc.integer({ min: -1, max: 12 }), { maxLength: 16 }),
    fc.jsonValue(),
  );
  const change = fc.record({ at: fc.constantFrom(...places), value });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
      const { json, binary } = takeApart();
      for (const { at, value } of changes) {
        try {
          put(json, at, value);
        } catch {
          // An earlier change took the place away.
        }
      }
      await survives(glbOf(json, binary));
    }),
    { numRuns: 400 },
  );
  t.pass("every generated case held");
});
