/** Reprojection finds in a picture what the eye would see now. */
import fc from "fast-check";
import t from "tap";
import { lookRotation, rotate } from "../pose/rotation.ts";
import { findSource } from "./reprojection.ts";

const fieldOfView = { left: 1, right: 1, up: 1, down: 1 };
const at = (yawDegrees: number, pitchDegrees = 0) => ({
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
