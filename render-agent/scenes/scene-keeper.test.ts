/** Scenes come by signed manifests and digests, stay until the next is whole, and are there again without an edge. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { decodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { makeGallery } from "#deploy/one-machine/sample/scene/gallery.ts";
import { Failure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { digestOf, PoolWorld } from "#test/render-agent/pool-world.ts";
import { wavOf } from "#test/render-agent/wav-file.ts";
import { testFolder } from "#test/test-folder.ts";
import { makeSounds } from "../audio/scene-sounds.ts";
import { openGltfFile } from "../gltf/gltf-file.ts";
import { readSceneFile } from "./scene-file.ts";
import { openSceneFolder } from "./scene-folder.ts";
import { SceneKeeper } from "./scene-keeper.ts";

const hall = readFileSync(new URL("../../deploy/one-machine/sample/scene/hall.json", import.meta.url));
const other = Buffer.from(hall.toString().replace('"fogPerMetre": 0.012', '"fogPerMetre": 0.02'));
const CLASSES = [{ name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 }];
const NEEDS = { gpuShareRatio: 0.5, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 1 };

async function openWorld() {
  const world = await PoolWorld.open();
  world.setResource("RenderApp/hall", {
    bundle: { site: "scenes", path: "/hall.json" },
    needs: NEEDS,
    classes: CLASSES,
  });
  return world;
}

async function openKeeper(t: Test, world: PoolWorld, folder = testFolder(t)) {
  const state = { isReachable: true, fetched: 0, delayed: [] as string[] };
  const resourcesOf = () =>
    new Map(
      decodePoolBatch(world.batch().payload).rows.flatMap(({ kind, name, resource }) =>
        resource === undefined ? [] : [[`${kind}/${name}`, resource] as const],
      ),
    );
  let resources = resourcesOf();
  const keeper = new SceneKeeper({
    folder: await openSceneFolder(join(folder, "scenes")),
    resources: () => resources,
    publishKeys: () => new Map([[world.publishKey.keyId, world.publishKey.publicKey]]),
    fetchBlob: async (digest) => {
      const bytes = state.isReachable ? world.blobs.get(digest) : undefined;
      if (bytes === undefined) throw new Failure("unavailable", `no ${digest}`, { retryable: true });
      state.fetched += 1;
      return bytes;
    },
    clock: systemClock,
    random: systemRandom,
    onChange() {},
    events: {
      sceneReady() {},
      sceneDelayed: (_app, { code }) => void state.delayed.push(code),
      storageFailed: (error) => t.fail(String(error)),
    },
  });
  t.teardown(() => keeper[Symbol.asyncDispose]());
  const update = () => {
    resources = resourcesOf();
    keeper.update();
  };
  update();
  return { keeper, state, update, folder };
}

t.test(
  "an app's scene is ready once manifest and file are verified; a newer one takes its place when whole",
  async (t) => {
    const world = await openWorld();
    const { keeper, update, state } = await openKeeper(t, world);
    t.equal(keeper.get("hall"), undefined);
    world.publish("scenes", 1, { "/hall.json": hall });
    update();
    await patiently(() => keeper.get("hall") !== undefined, "ready");
    t.match(keeper.get("hall"), { digest: digestOf(hall), generation: 1 });
    t.equal(digestOf(readFileSync(keeper.get("hall")?.file ?? "")), digestOf(hall));
    state.isReachable = false;
    world.publish("scenes", 2, { "/hall.json": other });
    update();
    await patiently(() => state.delayed.length > 0, "tried in vain");
    t.match(keeper.get("hall"), { generation: 1 });
    state.isReachable = true;
    await patiently(() => keeper.get("hall")?.generation === 2, "the newer one");
    world.setResource("RenderApp/hall", undefined);
    update();
    t.equal(keeper.get("hall"), undefined);
    await keeper[Symbol.asyncDispose]();
  },
);

t.test("another path of the same release is another scene, and one that is not there changes nothing", async (t) => {
  const world = await openWorld();
  world.publish("scenes", 1, { "/hall.json": hall, "/other.json": other });
  const { keeper, update, state } = await openKeeper(t, world);
  await patiently(() => keeper.get("hall") !== undefined, "ready");
  const pathIs = (path: string): void => {
    world.setResource("RenderApp/hall", { bundle: { site: "scenes", path }, needs: NEEDS, classes: CLASSES });
    update();
  };
  pathIs("/other.json");
  await patiently(() => keeper.get("hall")?.digest === digestOf(other), "the other one");
  pathIs("/none.json");
  await patiently(() => state.delayed.length > 0, "refused");
  t.equal(state.delayed[0], "scene-invalid");
  t.equal(keeper.get("hall")?.digest, digestOf(other), "the one before stays");
  await keeper[Symbol.asyncDispose]();
});

t.test("what was ready is ready again without an edge, and what rots on disk is not used", async (t) => {
  const world = await openWorld();
  world.publish("scenes", 1, { "/hall.json": hall });
  const first = await openKeeper(t, world);
  await patiently(() => first.keeper.get("hall") !== undefined, "ready");
  await first.keeper[Symbol.asyncDispose]();
  world.publish("scenes", 2, { "/hall.json": other });
  const second = await openKeeper(t, world, first.folder);
  second.state.isReachable = false;
  second.update();
  await patiently(() => second.keeper.get("hall") !== undefined, "ready again");
  t.match(second.keeper.get("hall"), { generation: 1 }, "the newest that is here");
  await second.keeper[Symbol.asyncDispose]();
  writeFileSync(join(first.folder, "scenes", digestOf(hall)), "rotten");
  const third = await openKeeper(t, world, first.folder);
  third.state.isReachable = false;
  third.update();
  await patiently(() => third.state.delayed.length > 0, "tried");
  t.equal(third.keeper.get("hall"), undefined);
  await third.keeper[Symbol.asyncDispose]();
});

/** A .gltf whose buffer and image are files beside it. */
function galleryInFiles(imageUri = "tiles%20of%20stone.png"): Readonly<Record<string, Uint8Array>> {
  const { json, binaryChunk = new Uint8Array() } = openGltfFile(makeGallery());
  const { byteOffset = 0, byteLength } = json.bufferViews?.[json.images?.[0]?.bufferView ?? -1] ?? { byteLength: 0 };
  const buffers = [{ byteLength: binaryChunk.byteLength, uri: "data/gallery.bin" }];
  return {
    "/scenes/gallery.gltf": Buffer.from(JSON.stringify({ ...json, buffers, images: [{ uri: imageUri }] })),
    "/scenes/data/gallery.bin": binaryChunk,
    "/scenes/tiles of stone.png": binaryChunk.subarray(byteOffset, byteOffset + byteLength),
  };
}

async function openGltfWorld(path: string) {
  const world = await PoolWorld.open();
  world.setResource("RenderApp/hall", { bundle: { site: "scenes", path }, needs: NEEDS, classes: CLASSES });
  return world;
}

t.test("a .glb is used as it is; a .gltf and its files become one, and are one again without an edge", async (t) => {
  const single = await openGltfWorld("/gallery.glb");
  single.publish("scenes", 1, { "/gallery.glb": makeGallery() });
  const first = await openKeeper(t, single, testFolder(t));
  await patiently(() => first.keeper.get("hall") !== undefined, "the .glb");
  t.equal(first.keeper.get("hall")?.digest, digestOf(makeGallery()));
  await first.keeper[Symbol.asyncDispose]();
  const world = await openGltfWorld("/scenes/gallery.gltf");
  const files = galleryInFiles();
  world.publish("scenes", 1, files);
  const second = await openKeeper(t, world, join(first.folder, "files"));
  await patiently(() => second.keeper.get("hall") !== undefined, "the .gltf");
  const scene = second.keeper.get("hall");
  const { gltf } = readSceneFile(readFileSync(scene?.file ?? ""));
  t.equal(gltf?.nodes.length, 10);
  t.same(Buffer.from(gltf?.images.get(0)?.bytes ?? []), Buffer.from(files["/scenes/tiles of stone.png"] ?? []));
  await second.keeper[Symbol.asyncDispose]();
  const third = await openKeeper(t, world, second.folder);
  third.state.isReachable = false;
  third.update();
  await patiently(() => third.keeper.get("hall") !== undefined, "again from disk");
  t.equal(third.keeper.get("hall")?.digest, scene?.digest, "the same bytes");
  await third.keeper[Symbol.asyncDispose]();
});

t.test("a .gltf with a file outside its folder, or one that is not in the release, is refused", async (t) => {
  for (const uri of ["../hall.json", "another.png"]) {
    const world = await openGltfWorld("/scenes/gallery.gltf");
    world.publish("scenes", 1, { ...galleryInFiles(uri), "/hall.json": hall });
    const { keeper, state } = await openKeeper(t, world, testFolder(t));
    await patiently(() => state.delayed.length > 0, uri);
    t.equal(state.delayed[0], "scene-invalid", uri);
    t.equal(keeper.get("hall"), undefined, uri);
    await keeper[Symbol.asyncDispose]();
  }
});

const APP = Buffer.from("export function init() {}\nexport function update() {}\n");

t.test("an app beside the scene, in its folder, comes with it; another's does not", async (t) => {
  const world = await openWorld();
  world.setResource("RenderApp/hall", {
    bundle: { site: "scenes", path: "/apps/hall/scene.json" },
    needs: NEEDS,
    classes: CLASSES,
  });
  const files = { "/apps/hall/scene.json": hall, "/app.js": other, "/apps/app.js": other };
  world.publish("scenes", 1, { ...files, "/apps/hall/app.js": APP });
  const { keeper, state, folder } = await openKeeper(t, world);
  await patiently(() => keeper.get("hall") !== undefined, "ready");
  t.match(keeper.get("hall"), { digest: digestOf(hall), app: { digest: digestOf(APP) } });
  t.equal(digestOf(readFileSync(keeper.get("hall")?.app?.file ?? "")), digestOf(APP));
  const fetched = state.fetched;
  await keeper[Symbol.asyncDispose]();
  const again = await openKeeper(t, world, folder);
  await patiently(() => again.keeper.get("hall") !== undefined, "ready from the disk");
  t.match(again.keeper.get("hall"), { app: { digest: digestOf(APP) } }, "what it needs is kept");
  t.equal(again.state.fetched, 0, `and not fetched again, as ${fetched} were`);
  await again.keeper[Symbol.asyncDispose]();
  world.publish("scenes", 2, files);
  const third = await openKeeper(t, world, folder);
  await patiently(() => third.keeper.get("hall")?.generation === 2, "the release without it");
  t.equal(third.keeper.get("hall")?.app, undefined);
  await third.keeper[Symbol.asyncDispose]();
});

t.test("an app that never comes keeps nothing on disk that the others need no more", async (t) => {
  const world = await openWorld();
  const bundle = { site: "broken", path: "/hall.json" };
  world.setResource("RenderApp/broken", { bundle, needs: NEEDS, classes: CLASSES });
  world.publish("broken", 1, { "/hall.json": Buffer.from("{}") });
  world.publish("scenes", 1, { "/hall.json": hall });
  const { keeper, state, update, folder } = await openKeeper(t, world);
  await patiently(() => keeper.get("hall")?.generation === 1, "ready");
  world.publish("scenes", 2, { "/hall.json": other });
  update();
  await patiently(() => keeper.get("hall")?.generation === 2, "the newer one");
  const kept = () => readdirSync(join(folder, "scenes"));
  await patiently(() => !kept().includes(digestOf(hall)), "what was before it is gone");
  t.ok(kept().includes(digestOf(other)));
  t.ok(state.delayed.length > 0 && state.delayed.every((code) => code === "scene-invalid"));
  const { fetched } = state;
  update();
  await patiently(() => state.delayed.length > 3, "tried again");
  t.equal(state.fetched, fetched, "and not fetched again for that");
  await keeper[Symbol.asyncDispose]();
});

const WRONG: Readonly<Record<string, (world: PoolWorld) => void>> = {
  "signature-invalid": (world) => void world.publish("scenes", 1, { "/hall.json": hall }, generateSigningKey()),
  "digest-mismatch": (world) => {
    world.publish("scenes", 1, { "/hall.json": hall });
    world.blobs.set(digestOf(hall), other);
  },
  "app-invalid": (world) =>
    void world.publish("scenes", 1, { "/hall.json": hall, "/app.js": Buffer.from([0x65, 0xff, 0xfe]) }),
  "app-invalid (too large)": (world) =>
    void world.publish("scenes", 1, { "/hall.json": hall, "/app.js": Buffer.alloc(1024 * 1024 + 1, 32) }),
  "scene-invalid": (world) => void world.publish("scenes", 1, { "/hall.json": Buffer.from("{}") }),
  "scene-invalid (no such file)": (world) => void world.publish("scenes", 1, { "/else.json": hall }),
};

t.test("the file of a sound comes with its scene as one file; one that is none is refused", async (t) => {
  const world = await openWorld();
  const sounds = [{ name: "knock", file: "sounds/knock.wav" }];
  const scene = Buffer.from(JSON.stringify({ ...JSON.parse(hall.toString()), sounds }));
  const samples = [1, -2, 3];
  world.publish("scenes", 1, { "/hall.json": scene, "/sounds/knock.wav": wavOf(samples) });
  const { keeper, state, update } = await openKeeper(t, world);
  await patiently(() => keeper.get("hall") !== undefined, "ready");
  const { scene: read } = readSceneFile(readFileSync(keeper.get("hall")?.file ?? ""));
  t.same([...(makeSounds(read.sounds ?? [])[0]?.samples ?? [])], samples);
  world.publish("scenes", 2, { "/hall.json": scene, "/sounds/knock.wav": hall });
  update();
  await patiently(() => state.delayed.length > 0, "refused");
  t.same(state.delayed, ["scene-invalid"]);
  t.match(keeper.get("hall"), { generation: 1 });
});

t.test("a scene that is not what was signed, or is none, is refused by name and never ready", async (t) => {
  for (const [name, spoil] of Object.entries(WRONG)) {
    const world = await openWorld();
    spoil(world);
    const { keeper, state } = await openKeeper(t, world, testFolder(t));
    await patiently(() => state.delayed.length > 0, name);
    t.equal(state.delayed[0], name.split(" ", 1)[0]);
    t.equal(keeper.get("hall"), undefined, name);
    await keeper[Symbol.asyncDispose]();
  }
});
