/** Scenes come by signed manifests and digests, stay until the next is whole, and are there again without an edge. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { decodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { Failure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { digestOf, PoolWorld } from "#test/render-agent/pool-world.ts";
import { testFolder } from "#test/test-folder.ts";
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

const WRONG: Readonly<Record<string, (world: PoolWorld) => void>> = {
  "signature-invalid": (world) => void world.publish("scenes", 1, { "/hall.json": hall }, generateSigningKey()),
  "digest-mismatch": (world) => {
    world.publish("scenes", 1, { "/hall.json": hall });
    world.blobs.set(digestOf(hall), other);
  },
  "scene-invalid": (world) => void world.publish("scenes", 1, { "/hall.json": Buffer.from("{}") }),
  "scene-invalid (no such file)": (world) => void world.publish("scenes", 1, { "/else.json": hall }),
};

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
