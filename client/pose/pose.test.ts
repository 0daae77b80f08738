/** Heads: the field that is asked for is wider than the one shown, poses are found by number, WebXR's are taken over. */
import fc from "fast-check";
import t from "tap";
import { decodePose, type FieldOfView, TANGENT_MAX } from "#contracts/media/pose.ts";
import { FORWARD, headPoseOf, moveTo, walk } from "./emulated-head.ts";
import { fieldOfViewOf, widenHead } from "./head-pose.ts";
import { createPoseLog, POSES_KEPT_MAX } from "./pose-log.ts";
import { conjugate, lookRotation, matrixOf, multiply, NO_ROTATION, rotate } from "./rotation.ts";
import { headPoseOfViewer } from "./xr-head.ts";

const near = (a: number, b: number): boolean => Math.abs(a - b) < 1e-9;
const ahead = { x: 0, y: 0, z: -1 };

t.test("a head that turns right looks along +x, one that looks up along +y", async (t) => {
  const right = rotate(lookRotation({ yawDegrees: 90, pitchDegrees: 0 }), ahead);
  t.ok(near(right.x, 1) && near(right.z, 0), JSON.stringify(right));
  const up = rotate(lookRotation({ yawDegrees: 0, pitchDegrees: 90 }), ahead);
  t.ok(near(up.y, 1), JSON.stringify(up));
});

t.test("rotations compose, are undone by their conjugates, and agree with their matrices", async (t) => {
  const angle = fc.double({ min: -180, max: 180, noNaN: true });
  const rotation = fc.record({ yawDegrees: angle, pitchDegrees: angle }).map(lookRotation);
  const part = fc.double({ min: -9, max: 9, noNaN: true });
  fc.assert(
    fc.property(rotation, rotation, fc.record({ x: part, y: part, z: part }), (a, b, v) => {
      const [once, twice] = [rotate(multiply(a, b), v), rotate(a, rotate(b, v))];
      t.ok(near(once.x, twice.x) && near(once.y, twice.y) && near(once.z, twice.z));
      const back = rotate(conjugate(a), rotate(a, v));
      t.ok(near(back.x, v.x) && near(back.y, v.y) && near(back.z, v.z));
      const m = matrixOf(a);
      const x = (m[0] ?? 0) * v.x + (m[3] ?? 0) * v.y + (m[6] ?? 0) * v.z;
      t.ok(near(x, rotate(a, v).x));
    }),
  );
});

t.test("frames are asked for 5 to 10 % wider than they are shown, to every side", async (t) => {
  const shown = headPoseOf(FORWARD, 0.9);
  const asked = widenHead(shown);
  for (const eye of [0, 1] as const) {
    for (const side of ["left", "right", "up", "down"] satisfies (keyof FieldOfView)[]) {
      const ratio = asked.eyes[eye].fieldOfView[side] / shown.eyes[eye].fieldOfView[side];
      t.ok(ratio >= 1.05 && ratio <= 1.1, `${side}: ${ratio}`);
    }
  }
});

t.test("the emulated head walks where it looks and stays within its neck and room", async (t) => {
  const right = moveTo(FORWARD, { yawDegrees: 90 });
  t.ok(near(walk(right, { right: 0, ahead: 2 }).x, 2));
  t.ok(near(walk(right, { right: 2, ahead: 0 }).z, 2));
  t.match(moveTo(FORWARD, { pitchDegrees: 200, x: 1e9, yawDegrees: Number.NaN }), {
    pitchDegrees: 85,
    x: 100,
    yawDegrees: 0,
  });
});

t.test("poses are numbered from one, are valid on the wire, and the last ones are found by number", async (t) => {
  const log = createPoseLog();
  const head = headPoseOf(FORWARD, 1);
  t.equal(log.find(0), undefined);
  for (let id = 1; id <= POSES_KEPT_MAX + 2; id += 1) {
    const { pose, bytes } = log.next(head, 1000 + id);
    t.equal(pose.poseId, id, `pose ${id}`);
    t.equal(decodePose(bytes).poseId, id, `pose ${id}`);
  }
  t.equal(log.find(2), undefined, "older ones are forgotten");
  t.equal(log.find(3)?.sampledAtMs, 1003);
  t.equal(log.find(POSES_KEPT_MAX + 3), undefined, "one to come is not found");
});

t.test("a WebXR pose gives the head, its eyes in the head's axes, and skewed fields of view", async (t) => {
  const projection = new Float32Array(16);
  projection.set([2 / 2.2, 0, 0, 0, 0, 2 / 2, 0, 0, (1 - 1.2) / 2.2, (1.1 - 0.9) / 2, -1, -1]);
  const orientation = lookRotation({ yawDegrees: 90, pitchDegrees: 0 });
  const transform = { position: { x: 1, y: 1.5, z: 0 }, orientation };
  const view = (eye: "left" | "right", z: number) => ({
    eye,
    projectionMatrix: projection,
    transform: { position: { x: 1, y: 1.5, z }, orientation },
  });
  const head = headPoseOfViewer({ transform, views: [view("left", -0.03), view("right", 0.03)] }, 0.1);
  t.ok(near(head?.position.y ?? 0, 1.6));
  t.ok(near(head?.eyes[0].offset.x ?? 0, -0.03) && near(head?.eyes[1].offset.x ?? 0, 0.03), JSON.stringify(head?.eyes));
  const fov = fieldOfViewOf(projection);
  for (const [side, tangent] of [
    ["left", 1.2],
    ["right", 1],
    ["up", 1.1],
    ["down", 0.9],
  ] as const) {
    t.ok(Math.abs(fov[side] - tangent) < 1e-6, `${side}: ${fov[side]}`);
    t.ok(fov[side] < TANGENT_MAX);
  }
  t.equal(headPoseOfViewer({ transform: { ...transform, orientation: NO_ROTATION }, views: [] }, 0), undefined);
});
