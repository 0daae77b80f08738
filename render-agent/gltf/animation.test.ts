/** Animations give between their keys what the specification says, and begin again when they have ended. */
import t from "tap";
import { GlbBuilder } from "#deploy/one-machine/sample/scene/glb-builder.ts";
import { openGltfFile } from "./gltf-file.ts";
import { readGltfScene } from "./gltf-scene.ts";
import { nodeMatrices } from "./node-poses.ts";

type Interpolation = "LINEAR" | "STEP" | "CUBICSPLINE";

/** One node that is moved from 1 s on. */
function moving(
  path: "translation" | "rotation",
  interpolation: Interpolation,
  values: readonly number[],
  times = [1, 3],
) {
  const glb = new GlbBuilder();
  const input = glb.floats(times, 1);
  const output = glb.floats(values, path === "rotation" ? 4 : 3);
  const scene = readGltfScene(
    openGltfFile(
      glb.build({
        scenes: [{ nodes: [0] }],
        nodes: [{}],
        animations: [
          { channels: [{ sampler: 0, target: { node: 0, path } }], samplers: [{ input, output, interpolation }] },
        ],
      }),
    ),
    new Map(),
  );
  return (seconds: number): readonly number[] =>
    (nodeMatrices(scene.nodes, scene.animation, seconds)[0] ?? []).map((value) => Math.round(value * 1e6) / 1e6 + 0);
}

t.test("linear: in between as far as the time is, before the first key and after the last as they are", async (t) => {
  const at = moving("translation", "LINEAR", [0, 0, 0, 4, 8, 0]);
  for (const [seconds, x] of [
    [0, 0],
    [1, 0],
    [1.5, 1],
    [2.5, 3],
    [2.999_999, 3.999_998],
  ] as const) {
    t.same(at(seconds).slice(12, 14), [x, x * 2], `at ${seconds}`);
  }
});

t.test("when it has ended it begins again", async (t) => {
  const at = moving("translation", "LINEAR", [0, 0, 0, 4, 0, 0]);
  t.equal(at(3.5)[12], 0, "half a second into the second turn");
  t.equal(at(5)[12], 2);
  t.equal(at(3 * 1000 + 2)[12], 2);
});

t.test("in steps: as the last key says", async (t) => {
  const at = moving("translation", "STEP", [1, 0, 0, 2, 0, 0, 3, 0, 0], [0, 1, 2]);
  t.same(
    [0, 0.99, 1, 1.99].map((seconds) => at(seconds)[12]),
    [1, 1, 2, 2],
  );
});

t.test("by a cubic spline: through the values, leaving and arriving as the tangents say", async (t) => {
  const still = [0, 0, 0];
  const flat = moving("translation", "CUBICSPLINE", [...still, 0, 0, 0, ...still, ...still, 8, 0, 0, ...still]);
  t.same(
    [1, 2, 1.5].map((seconds) => flat(seconds)[12]),
    [0, 4, 1.25],
    "slow at both ends",
  );
  const straight = moving("translation", "CUBICSPLINE", [...still, 0, 0, 0, 4, 0, 0, 4, 0, 0, 8, 0, 0, ...still]);
  t.equal(straight(1.5)[12], 2, "tangents of a straight line, a second");
});

t.test("rotations go the shorter way round, at an even speed", async (t) => {
  const half = Math.PI / 4;
  const quarter = [0, Math.sin(half), 0, Math.cos(half)];
  for (const sign of [1, -1]) {
    const at = moving("rotation", "LINEAR", [0, 0, 0, 1, ...quarter.map((part) => part * sign)]);
    const [cosine, , minusSine] = at(1 + 2 / 3);
    t.same([cosine, minusSine], [0.866025, -0.5], `a third of a right angle, written ${sign}`);
  }
});
