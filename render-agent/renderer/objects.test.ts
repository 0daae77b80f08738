/** Named instances are objects: one index each, and their transforms are rows of what is drawn. */
import fc from "fast-check";
import t from "tap";
import { initialTransforms, namesOfObjects, objectRowsOf, placeObjects, TRANSFORM_FLOATS } from "./objects.ts";
import { parseScene } from "./scene.ts";

const ROW_FLOATS = 16;

function sceneWith(instances: readonly { readonly mesh: string; readonly name?: string }[]) {
  const rest = { position: [1, 2, 3], yawDegrees: 180, scale: [0.5, 1, 2], colour: [1, 0, 0] };
  const light = { towards: [0, 1, 0], colour: [1, 1, 1] };
  const scene = {
    ...{ format: "perigee-scene/1", sky: [0, 0, 0], sun: light, fogPerMetre: 0 },
    ambient: { above: [1, 1, 1], below: [1, 1, 1] },
    meshes: { box: { shape: "box" }, ball: { shape: "sphere" } },
    instances: instances.map((one) => ({ ...rest, ...one })),
  };
  return parseScene(Buffer.from(JSON.stringify(scene)));
}

t.test("each object's transform is written to its own row of its mesh, and to no other", async (t) => {
  const instance = fc.record({ mesh: fc.constantFrom("box", "ball"), isNamed: fc.boolean() });
  fc.assert(
    fc.property(fc.array(instance, { minLength: 1, maxLength: 12 }), (list) => {
      const scene = sceneWith(list.map(({ mesh, isNamed }, at) => (isNamed ? { mesh, name: `n${at}` } : { mesh })));
      const names = namesOfObjects(scene);
      const transforms = Float32Array.from({ length: names.length * TRANSFORM_FLOATS }, (_, at) => at + 1);
      for (const mesh of ["box", "ball"]) {
        const own = scene.instances.filter((one) => one.mesh === mesh);
        const rows = new Float32Array(own.length * ROW_FLOATS);
        placeObjects(rows, ROW_FLOATS, objectRowsOf(scene, mesh), transforms);
        for (const [row, { name }] of own.entries()) {
          const written = [...rows.subarray(row * ROW_FLOATS, (row + 1) * ROW_FLOATS)];
          const from = names.indexOf(name ?? "") * TRANSFORM_FLOATS;
          const part = (start: number, end: number) => [...transforms.subarray(from + start, from + end)];
          const placed = [...part(0, 3), 0, ...part(3, 7), ...part(7, 10), 0, 0, 0, 0, 0];
          t.same(written, name === undefined ? Array(ROW_FLOATS).fill(0) : placed, `row ${row} of ${mesh}`);
        }
      }
    }),
    { numRuns: 50 },
  );
});

t.test("an object begins as the scene has it, and has no extent where it is not visible", async (t) => {
  const scene = sceneWith([{ mesh: "box" }, { mesh: "box", name: "one" }]);
  const transforms = initialTransforms(scene);
  t.same(
    [...transforms].map((value) => Math.round(value * 1e4) / 1e4),
    [1, 2, 3, 0, 1, 0, 0, 0.5, 1, 2, 1],
  );
  t.same(objectRowsOf(scene, "box"), [{ row: 1, object: 0 }]);
  transforms[10] = 0;
  const rows = new Float32Array(2 * ROW_FLOATS);
  placeObjects(rows, ROW_FLOATS, objectRowsOf(scene, "box"), transforms);
  const extent = () => [...rows.subarray(ROW_FLOATS + 8, ROW_FLOATS + 11)];
  t.same(extent(), [0, 0, 0]);
  transforms[10] = 1;
  placeObjects(rows, ROW_FLOATS, objectRowsOf(scene, "box"), transforms);
  t.not(extent()[0], 0);
  placeObjects(rows, ROW_FLOATS, objectRowsOf(scene, "box"), transforms, new Set([0]));
  t.same(extent(), [0, 0, 0], "nor where it is left out");
});

t.test("a name twice, and more objects than are moved, are refused by name", async (t) => {
  const twice = [
    { mesh: "box", name: "one" },
    { mesh: "ball", name: "one" },
  ];
  t.throws(() => sceneWith(twice), { code: "scene-invalid", message: /instances\[1\].name must be unique, got one/ });
  const many = Array.from({ length: 2_001 }, (_, index) => ({ mesh: "box", name: `n${index}` }));
  t.throws(() => sceneWith(many), { code: "scene-invalid", message: /at most 2000 named instances, got 2001/ });
});
