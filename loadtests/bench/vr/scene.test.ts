import t from "tap";
import { buildGeometry } from "#render-agent/renderer/geometry.ts";
import { parseScene } from "#render-agent/renderer/scene.ts";
import { makeScene } from "./scene.ts";

t.test("the scene is one that agents take, has 300 meshes and a floor, and nothing in it moves", async (t) => {
  const scene = parseScene(Buffer.from(JSON.stringify(makeScene())));
  t.equal(scene.instances.length, 301);
  t.equal(scene.instances.filter(({ turnDegreesPerSecond }) => turnDegreesPerSecond !== 0).length, 0);
  const triangles = scene.instances.reduce((sum, { mesh }) => {
    const shape = scene.meshes[mesh];
    return sum + (shape === undefined ? 0 : buildGeometry(shape, 1).indices.length / 3);
  }, 0);
  t.equal(triangles, 13_202);
  t.equal(new Set(scene.instances.map(({ pattern }) => pattern)).size, 3);
});

t.test("it is the same scene every time", async (t) => {
  t.same(makeScene(), makeScene());
});
