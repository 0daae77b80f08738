/** Reprojection finds in a picture what the eye would see now. */
import fc from "fast-check";
import t from "tap";
import { lookRotation, rotate } from "../pose/rotation.ts";
import { fadeOf, STALE_MS_MAX } from "./local-scene.ts";
import {
  depthLookupOf,
  type EyeView,
  eyeViewOf,
  findSource,
  homographyOf,
  pixelsMoved,
  shiftOf,
  TRAVEL_METRES_MAX,
  travelOf,
} from "./reprojection.ts";

const fieldOfView = { left: 1, right: 1, up: 1, down: 1 };
const origin = { x: 0, y: 0, z: 0 };
const at = (yawDegrees: number, pitchDegrees = 0, position = origin): EyeView => ({
  position,
  orientation: lookRotation({ yawDegrees, pitchDegrees }),
  fieldOfView,
});
const middle = { x: 0.5, y: 0.5 };

t.test("without a turn every point is where it was", async (t) => {
  t.same(findSource({ x: 0.25, y: 0.75 }, at(0), at(0)), { x: 0.25, y: 0.75 });
});

t.test(
  "after a turn to the right what is now in the middle was rendered on the right, at the turn's tangent",
  async (t) => {
    const source = findSource(middle, at(0), at(20));
    t.ok(Math.abs((source?.x ?? 0) - (1 + Math.tan((20 * Math.PI) / 180)) / 2) < 1e-9, JSON.stringify(source));
    t.ok((findSource(middle, at(0), at(0, 20))?.y ?? 1) < 0.5, "and after a look upward, higher");
    t.equal(findSource(middle, at(0), at(180)), undefined, "nothing was rendered behind");
  },
);

t.test("a point seen now is the same direction in the world as the point found in the picture", async (t) => {
  const angle = fc.double({ min: -25, max: 25, noNaN: true });
  const ratio = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(angle, angle, angle, ratio, ratio, (yaw, pitch, sourceYaw, x, y) => {
      const [source, current] = [at(sourceYaw), at(yaw, pitch)];
      const found = findSource({ x, y }, source, current);
      if (found === undefined) return;
      const ray = (point: { x: number; y: number }) => ({ x: point.x * 2 - 1, y: 1 - point.y * 2, z: -1 });
      const [seen, rendered] = [rotate(current.orientation, ray({ x, y })), rotate(source.orientation, ray(found))];
      const length = (v: { x: number; y: number; z: number }) => Math.hypot(v.x, v.y, v.z);
      const cosine =
        (seen.x * rendered.x + seen.y * rendered.y + seen.z * rendered.z) / length(seen) / length(rendered);
      t.ok(cosine > 1 - 1e-9, `cosine ${cosine}`);
    }),
  );
});

const centimetres = fc.record({
  x: fc.double({ min: -0.06, max: 0.06, noNaN: true }),
  y: fc.double({ min: -0.06, max: 0.06, noNaN: true }),
  z: fc.double({ min: -0.06, max: 0.06, noNaN: true }),
});
const ratio = fc.double({ min: 0, max: 1, noNaN: true });
const small = fc.double({ min: -5, max: 5, noNaN: true });

/** Where the source sees what the current eye sees on a flat surface: all points p with normal · p = distance. */
function onSurface(seen: { x: number; y: number }, current: EyeView, normal: Point, distance: number) {
  const ray = rotate(current.orientation, { x: seen.x * 2 - 1, y: 1 - seen.y * 2, z: -1 });
  const metres = (distance - dot(normal, current.position)) / dot(normal, ray);
  const { x, y, z } = current.position;
  const point = { x: x + metres * ray.x, y: y + metres * ray.y, z: z + metres * ray.z };
  return { x: (point.x / -point.z + 1) / 2, y: (1 - point.y / -point.z) / 2, metres };
}
type Point = { readonly x: number; readonly y: number; readonly z: number };
const dot = (a: Point, b: Point): number => a.x * b.x + a.y * b.y + a.z * b.z;

const SIZE = { eyeWidthPixels: 320, eyeHeightPixels: 360 };
const tangent = fc.double({ min: 0.3, max: 1.5, noNaN: true });
const fields = fc.record({ left: tangent, right: tangent, up: tangent, down: tangent });

t.test("what the shader is given finds the same point, for any fields of view", async (t) => {
  const angle = fc.double({ min: -60, max: 60, noNaN: true });
  const inverse = fc.double({ min: 0, max: 4, noNaN: true });
  fc.assert(
    fc.property(
      ...[fields, fields, angle, angle, centimetres, ratio, ratio, inverse],
      (rendered, seen, yaw, pitch, position, x, y, inversePerMetre) => {
        const source = { ...at(yaw / 3), fieldOfView: rendered };
        const current = { ...at(yaw, pitch, position), fieldOfView: seen };
        const expected = findSource({ x, y }, source, current, () => inversePerMetre);
        const columns = homographyOf(source, current);
        const along = (row: number): number =>
          (columns[row] ?? 0) * x + (columns[3 + row] ?? 0) * (1 - y) + (columns[6 + row] ?? 0);
        const depth = along(2);
        t.equal(depth > 0, expected !== undefined);
        if (expected === undefined || depth < 1e-3) return;
        const [fromX, fromY] = [along(0) / depth, along(1) / depth];
        const shift = shiftOf(source, current);
        const found = {
          x: fromX + inversePerMetre * (shift.x + shift.z * fromX),
          y: fromY + inversePerMetre * (shift.y + shift.z * fromY),
        };
        const off = Math.hypot(found.x - expected.x, found.y - expected.y);
        const [width, height] = [expected.x - fromX, expected.y - fromY];
        const isSeen = Math.min(fromX, fromY) >= 0 && Math.max(fromX, fromY) <= 1;
        const moved = Math.hypot(width * SIZE.eyeWidthPixels, height * SIZE.eyeHeightPixels);
        if (isSeen) t.ok(moved <= pixelsMoved(shift, inversePerMetre, SIZE) + 1e-6, `${moved} pixels`);
        t.ok(off < 1e-9 * (1 + Math.hypot(expected.x, expected.y)), JSON.stringify([found, expected]));
      },
    ),
  );
});

t.test("a wall is found where its points were rendered, wherever the eye has gone and turned", async (t) => {
  const wall = { x: 0, y: 0, z: -1 };
  fc.assert(
    fc.property(
      ...[ratio, ratio, centimetres, small, small, fc.double({ min: 0.5, max: 50, noNaN: true })],
      (x, y, position, yaw, pitch, metres) => {
        const current = at(yaw, pitch, position);
        const truth = onSurface({ x, y }, current, wall, metres);
        const found = findSource({ x, y }, at(0), current, () => 1 / metres);
        t.ok(Math.hypot((found?.x ?? 9) - truth.x, (found?.y ?? 9) - truth.y) < 1e-9, JSON.stringify([found, truth]));
      },
    ),
  );
});

t.test("the floor's depth changes along the way: three steps end within a twentieth of a pixel of 2,000", async (t) => {
  const floor = { x: 0, y: -1, z: 0 };
  const height = 1.6;
  // The way is 0.04 of the picture at most, and each step leaves 0.075 of what is missing: 1.7e-5 each way.
  const left = 2.5e-5;
  // The floor's inverse depth at a point of the picture, of an eye that looks ahead.
  const inverseDepthAt = (point: { y: number }): number => Math.max(0, (point.y * 2 - 1) / height);
  fc.assert(
    fc.property(ratio, fc.double({ min: 0.6, max: 1, noNaN: true }), centimetres, (x, y, position) => {
      const current = at(0, 0, position);
      const truth = onSurface({ x, y }, current, floor, height);
      const found = findSource({ x, y }, at(0), current, inverseDepthAt);
      t.ok(Math.hypot((found?.x ?? 9) - truth.x, (found?.y ?? 9) - truth.y) < left, JSON.stringify([found, truth]));
    }),
  );
});

t.test("without depth only the turn is followed, and a long way is cut", async (t) => {
  const near = at(3, 1, { x: 0.05, y: 0, z: 0 });
  t.same(findSource(middle, at(0), near), findSource(middle, at(0), at(3, 1)));
  const far = travelOf(at(90), at(0, 0, { x: 3, y: 0, z: -4 }));
  t.ok(Math.abs(Math.hypot(far.x, far.y, far.z) - TRAVEL_METRES_MAX) < 1e-12, "cut");
  t.ok(far.z < 0 && far.x < 0 && Math.abs(far.z / far.x - 3 / 4) < 1e-9, "in the axes of then, its direction kept");
});

t.test("the eye is where the head's turn brings it", async (t) => {
  const head = { position: { x: 1, y: 2, z: 3 }, orientation: lookRotation({ yawDegrees: 90, pitchDegrees: 0 }) };
  const { position } = eyeViewOf(head, { offset: { x: 0.03, y: 0, z: 0 }, fieldOfView });
  t.ok(Math.hypot(position.x - 1, position.y - 2, position.z - 3.03) < 1e-12, JSON.stringify(position));
});

t.test(
  "a plane is read linearly between its cells, cut blocks included, and at its border as in its last cell",
  async (t) => {
    const size = { eyeWidthPixels: 20, eyeHeightPixels: 16 };
    const shape = { blockPixels: 8, columns: 3, rows: 2 };
    const cells = Uint8Array.from([0, 51, 102, 51, 102, 153, 255, 255, 255, 255, 255, 255]);
    const look = depthLookupOf(cells, shape, size, 0);
    const isAt = (x: number, y: number, level: number): boolean =>
      Math.abs(look({ x: x / 20, y: y / 16 }) - (level / 255) * 4) < 1e-9;
    t.ok(isAt(4, 4, 0) && isAt(12, 4, 51) && isAt(8, 4, 25.5) && isAt(12, 8, 76.5), "between");
    t.ok(isAt(20, 4, 102) === isAt(40, 4, 102) && isAt(-5, -5, 0) && isAt(12, 99, 102), "at the border");
    t.equal(depthLookupOf(cells, shape, size, 1)(middle), 4, "the right eye's plane is its own");
  },
);

t.test("the local scene comes after 300 ms, whole after 600, and is gone with the next picture", async (t) => {
  t.same([0, STALE_MS_MAX, STALE_MS_MAX + 150, STALE_MS_MAX + 300, 1e9].map(fadeOf), [0, 0, 0.5, 1, 1]);
});
