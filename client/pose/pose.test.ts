/** Heads: the field that is asked for is wider than the one shown, poses are found by number, WebXR's are taken over. */
import fc from "fast-check";
import t from "tap";
import { decodePose, type FieldOfView, TANGENT_MAX } from "#contracts/media/pose.ts";
import type { XrInputSource } from "../display/webxr.ts";
import { withEmulatedHand } from "./emulated-hand.ts";
import { FORWARD, headPoseOf, moveTo, walk } from "./emulated-head.ts";
import { fieldOfViewOf, widenHead } from "./head-pose.ts";
import { createPoseLog, POSES_KEPT_MAX } from "./pose-log.ts";
import { conjugate, lookRotation, matrixOf, multiply, NO_ROTATION, rotate } from "./rotation.ts";
import { controllersOf } from "./xr-controllers.ts";
import { gazeOf } from "./xr-gaze.ts";
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

t.test("what each pose of a client wishes is in each", async (t) => {
  const log = createPoseLog({ asksJpeg: true });
  for (let id = 1; id <= 2; id += 1) {
    t.match(decodePose(log.next(headPoseOf(FORWARD, 1), 1000).bytes), { poseId: id, asksJpeg: true, asksDepth: true });
  }
});

t.test("poses are numbered from one, are valid on the wire, and the last ones are found by number", async (t) => {
  const log = createPoseLog();
  const head = headPoseOf(FORWARD, 1);
  t.equal(log.find(0), undefined);
  for (let id = 1; id <= POSES_KEPT_MAX + 2; id += 1) {
    const { pose, bytes } = log.next(head, 1000 + id);
    t.equal(pose.poseId, id, `pose ${id}`);
    t.match(decodePose(bytes), { poseId: id, asksDepth: true }, `pose ${id}`);
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

t.test("WebXR's controllers are taken over, one a hand, and their numbers held to the message's bounds", async (t) => {
  const ray = new EventTarget();
  const gamepad = (trigger: number, axis: number) => ({
    buttons: [{ value: trigger }, { value: 0.5 }],
    axes: [0, 0, axis, -0.25],
  });
  const sources: XrInputSource[] = [
    { handedness: "none", targetRaySpace: ray },
    { handedness: "right", targetRaySpace: ray, gamepad: gamepad(1.000_01, -3) },
    { handedness: "right", targetRaySpace: ray, gamepad: gamepad(0, 0) },
    { handedness: "left", targetRaySpace: new EventTarget() },
    { handedness: "left", targetRaySpace: ray, gamepad: { buttons: [], axes: [Number.NaN, 0, Number.NaN] } },
  ];
  const transform = {
    position: { x: 1, y: 0.5, z: -1 },
    orientation: lookRotation({ yawDegrees: 90, pitchDegrees: 0 }),
  };
  const held = controllersOf(sources, ({ targetRaySpace }) => (targetRaySpace === ray ? transform : undefined), 1);
  const place = { position: { x: 1, y: 1.5, z: -1 }, orientation: transform.orientation };
  t.same(held, [
    { hand: "right", ...place, trigger: 1, squeeze: 0.5, thumbstick: { x: -1, y: -0.25 } },
    { hand: "left", ...place, trigger: 0, squeeze: 0, thumbstick: { x: 0, y: 0 } },
  ]);
  const { bytes } = createPoseLog().next({ ...headPoseOf(FORWARD, 1), controllers: held }, 1_000);
  t.match(decodePose(bytes).controllers, [{ hand: "right", trigger: 1 }, { hand: "left" }]);
});

t.test("a source of gaze gives where the eyes look from the head, and nothing else does", async (t) => {
  const sourceOf = (targetRayMode: string): XrInputSource => ({
    handedness: "none",
    targetRaySpace: new EventTarget(),
    targetRayMode,
  });
  const sources = [sourceOf("tracked-pointer"), sourceOf("gaze")];
  const angle = fc.double({ min: -55, max: 55, noNaN: true });
  fc.assert(
    fc.property(angle, angle, fc.double({ min: -40, max: 40, noNaN: true }), (yawDegrees, pitchDegrees, eyeDegrees) => {
      const head = lookRotation({ yawDegrees, pitchDegrees });
      const eye = lookRotation({ yawDegrees: eyeDegrees, pitchDegrees: 0 });
      const ray = { position: { x: 0, y: 0, z: 0 }, orientation: multiply(head, eye) };
      const gaze = gazeOf(sources, (source) => (source === sources[1] ? ray : undefined), head);
      const expected = Math.tan((eyeDegrees * Math.PI) / 180);
      t.ok(near(gaze?.x ?? Number.NaN, expected) && near(gaze?.y ?? Number.NaN, 0), `${eyeDegrees} degrees`);
    }),
  );
  const rayOf = (turn: { yawDegrees: number; pitchDegrees: number }) => () => ({
    ...{ position: { x: 0, y: 0, z: 0 }, orientation: lookRotation(turn) },
  });
  const up = gazeOf(sources, rayOf({ yawDegrees: 0, pitchDegrees: 45 }), NO_ROTATION);
  t.ok(near(up?.y ?? 0, 1), "up is up");
  for (const yawDegrees of [65, 90, 180, Number.NaN]) {
    t.equal(gazeOf(sources, rayOf({ yawDegrees, pitchDegrees: 0 }), NO_ROTATION), undefined, `${yawDegrees} degrees`);
  }
  t.equal(
    gazeOf(sources, () => undefined, NO_ROTATION),
    undefined,
    "not tracked",
  );
  t.equal(gazeOf(sources.slice(0, 1), rayOf({ yawDegrees: 0, pitchDegrees: 0 }), NO_ROTATION), undefined, "a hand");
  const { bytes } = createPoseLog().next(
    { ...headPoseOf(FORWARD, 1), asksFoveation: true, gaze: { x: 0.5, y: -0.25 } },
    1,
  );
  t.match(decodePose(bytes), { asksFoveation: true, gaze: { x: 0.5, y: -0.25 } });
});

t.test("without controllers the hand is where the head is, and pressing is its trigger", async (t) => {
  const head = headPoseOf(moveTo(FORWARD, { yawDegrees: 30, x: 2 }), 1);
  for (const isPressed of [false, true]) {
    const { bytes } = createPoseLog().next(withEmulatedHand(head, isPressed), 1_000);
    const [hand, ...others] = decodePose(bytes).controllers ?? [];
    t.same(others, []);
    t.match(hand, { hand: "right", position: { x: 2 }, trigger: isPressed ? 1 : 0, squeeze: 0 });
    t.ok(Math.abs((hand?.orientation.y ?? 0) - head.orientation.y) < 1e-6);
  }
});
