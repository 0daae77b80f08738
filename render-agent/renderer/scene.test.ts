/** Scenes are parsed with every fault named, and their primitives are closed and of unit size. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { buildGeometry } from "./geometry.ts";
import { parseScene } from "./scene.ts";
import { driverVariables, vulkanChoices } from "./software-vulkan.ts";

const hall = new URL("../../deploy/one-machine/sample/scene/hall.json", import.meta.url);

t.test("the sample scene has a red pillar ahead and a green one to the right", async (t) => {
  const columns = parseScene(readFileSync(hall)).instances.filter((instance) => instance.mesh === "column");
  t.same(columns[0]?.position, [0, 2.5, -6]);
  t.same(columns[1]?.position, [6, 2.5, 0]);
  t.same(columns[1]?.colour, [0.1, 0.75, 0.15]);
});

t.test("what is no scene is scene-invalid", async (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        parseScene(Buffer.from(text));
        t.fail(text);
      } catch (error) {
        if (!isFailure(error, "scene-invalid")) throw error;
      }
    }),
  );
  t.pass("every generated case held");
});

t.test("every primitive stays within -1..1 and indexes its own vertices, at any detail", async (t) => {
  for (const shape of ["box", "plane", "sphere", "cylinder"] as const) {
    for (const detail of [0.1, 0.5, 1]) {
      const { vertices, indices } = buildGeometry({ shape }, detail);
      t.ok(
        indices.every((index) => index < vertices.length / 8),
        `${shape} ${detail}`,
      );
      t.ok(
        vertices.every((value, at) => at % 8 >= 6 || Math.abs(value) <= 1.000_001),
        `${shape} ${detail}`,
      );
    }
  }
});

t.test(
  "triangles run counter-clockwise seen from outside, where their normals point, and each has an area",
  async (t) => {
    for (const shape of ["box", "plane", "sphere", "cylinder"] as const) {
      const { vertices, indices } = buildGeometry({ shape }, 1);
      const row = (index: number, from: number): readonly number[] => [
        ...vertices.slice(index * 8 + from, index * 8 + from + 3),
      ];
      const less = (a: readonly number[], b: readonly number[]) => a.map((part, axis) => part - (b[axis] ?? 0));
      let inside = 0;
      for (let at = 0; at < indices.length; at += 3) {
        const [a = 0, b = 0, c = 0] = indices.subarray(at, at + 3);
        const [[ux = 0, uy = 0, uz = 0], [vx = 0, vy = 0, vz = 0]] = [
          less(row(b, 0), row(a, 0)),
          less(row(c, 0), row(a, 0)),
        ];
        const across = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
        // Closed shapes are convex: outside is away from the middle.
        const outward =
          shape === "plane"
            ? [0, 1, 0]
            : row(a, 0).map((part, axis) => part + (row(b, 0)[axis] ?? 0) + (row(c, 0)[axis] ?? 0));
        if (across.reduce((sum, part, axis) => sum + part * (outward[axis] ?? 0), 0) <= 1e-9) inside += 1;
      }
      t.equal(inside, 0, shape);
    }
  },
);

t.test("a device comes before software, Mesa's driver before SwiftShader", async (t) => {
  const kinds = (device: boolean, lavapipe: boolean) => vulkanChoices({ device, lavapipe }).map(({ kind }) => kind);
  t.same(kinds(true, true), ["device", "lavapipe"]);
  t.same(kinds(true, false), ["device", "swiftshader"]);
  t.same(kinds(false, true), ["lavapipe"]);
  t.same(kinds(false, false), ["swiftshader"]);
});

t.test("a process gets of its agent's environment what names drivers, and no more", async (t) => {
  t.same(driverVariables({ VK_DRIVER_FILES: "/x.json", SECRET: "s", LD_LIBRARY_PATH: undefined }), {
    VK_DRIVER_FILES: "/x.json",
  });
});
