/** Controllers and gaze in poses: what is written is read, poses without them are as they were, and nothing else gets through. */
import fc from "fast-check";
import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { CONTROLLER_BYTES, type ControllerPose, HANDS } from "./controllers.ts";
import {
  decodePose,
  encodePose,
  GAZE_BYTES,
  POSE_BYTES,
  POSE_BYTES_MAX,
  type PoseMessage,
  TANGENT_MAX,
} from "./pose.ts";
import { POSITION_METRES_MAX } from "./space.ts";

const float = (max: number, min = -max) =>
  fc.float({ min: Math.fround(min), max: Math.fround(max), noNaN: true }).map((value) => value + 0);
const vector = (max: number) => fc.record({ x: float(max), y: float(max), z: float(max) });
const controllerOf = (hand: ControllerPose["hand"]): fc.Arbitrary<ControllerPose> =>
  fc.record({
    hand: fc.constant(hand),
    position: vector(1000),
    orientation: fc.constantFrom({ x: 0, y: 0, z: 0, w: 1 }, { x: 0, y: 1, z: 0, w: 0 }, { x: -1, y: 0, z: 0, w: 0 }),
    trigger: float(1, 0),
    squeeze: float(1, 0),
    thumbstick: fc.record({ x: float(1), y: float(1) }),
  });
const controllers = fc.subarray([...HANDS], { minLength: 1 }).chain((hands) => fc.tuple(...hands.map(controllerOf)));

const eye = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
const HEAD: PoseMessage = {
  poseId: 7,
  sampledAtMs: 1_000.5,
  position: { x: 1, y: 2, z: 3 },
  orientation: { x: 0, y: 0, z: 0, w: 1 },
  eyes: [eye, eye],
};

t.test("controllers are read as they were written, and a pose without them is 100 bytes", async (t) => {
  t.equal(encodePose(HEAD).byteLength, POSE_BYTES);
  t.same(decodePose(encodePose(HEAD)), HEAD);
  fc.assert(
    fc.property(controllers, (held) => {
      const pose = { ...HEAD, controllers: held };
      const bytes = encodePose(pose);
      t.equal(bytes.byteLength, POSE_BYTES + held.length * CONTROLLER_BYTES);
      t.same(decodePose(bytes), pose);
    }),
  );
});

const gazes = fc.record({ x: float(TANGENT_MAX), y: float(TANGENT_MAX) });

t.test("a wish for JPEG costs no byte, and is none of the others", async (t) => {
  const bytes = encodePose({ ...HEAD, asksJpeg: true });
  t.equal(bytes.byteLength, POSE_BYTES);
  t.same(decodePose(bytes), { ...HEAD, asksJpeg: true });
});

t.test("a gaze is read behind whatever hands there are, and a wish for foveation costs no byte", async (t) => {
  t.equal(encodePose({ ...HEAD, asksFoveation: true }).byteLength, POSE_BYTES);
  t.same(decodePose(encodePose({ ...HEAD, asksFoveation: true })), { ...HEAD, asksFoveation: true });
  fc.assert(
    fc.property(controllers, gazes, (held, gaze) => {
      const pose = { ...HEAD, asksDepth: true, controllers: held, gaze };
      const bytes = encodePose(pose);
      t.equal(bytes.byteLength, POSE_BYTES + held.length * CONTROLLER_BYTES + GAZE_BYTES);
      t.same(decodePose(bytes), pose);
    }),
  );
});

t.test("a gaze that is none is refused by name", async (t) => {
  for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, -TANGENT_MAX - 0.01]) {
    for (const gaze of [
      { x: wrong, y: 0 },
      { x: 0, y: wrong },
    ]) {
      const bytes = encodePose({ ...HEAD, gaze });
      t.throws(() => decodePose(bytes), { code: "media-invalid", message: /gaze must be within 10/ }, String(wrong));
    }
  }
  const unsaid = encodePose({ ...HEAD, gaze: { x: 0, y: 0 } });
  unsaid[2] = 0;
  t.throws(() => decodePose(unsaid), /must have its 0 controllers, and its gaze where it says so/);
  const missing = encodePose(HEAD);
  missing[2] = 4;
  t.throws(() => decodePose(missing), /its gaze where it says so/);
});

/** What a decoder may give: anything else that is let through breaks one of these. */
function isWithinBounds({ controllers: held = [], gaze = { x: 0, y: 0 } }: PoseMessage): boolean {
  if (!(Math.abs(gaze.x) <= TANGENT_MAX && Math.abs(gaze.y) <= TANGENT_MAX)) return false;
  return held.every(({ position: p, orientation: q, trigger, squeeze, thumbstick }) => {
    const isUnit = Math.abs(Math.hypot(q.x, q.y, q.z, q.w) - 1) < 1e-6;
    const isNear = [p.x, p.y, p.z].every((value) => Math.abs(value) <= POSITION_METRES_MAX);
    const isPressed = [trigger, squeeze].every((value) => value >= 0 && value <= 1);
    return isUnit && isNear && isPressed && Math.abs(thumbstick.x) <= 1 && Math.abs(thumbstick.y) <= 1;
  });
}

t.test("a message with bytes changed, cut or added is refused by name or is within every bound", async (t) => {
  const change = fc.record({ at: fc.nat({ max: POSE_BYTES_MAX - 1 }), to: fc.integer({ min: 0, max: 255 }) });
  const lengths = fc.integer({ min: 0, max: POSE_BYTES_MAX + 60 });
  const counts = { read: 0, refused: 0 };
  const gaze = fc.option(gazes, { nil: undefined });
  const poses = fc.record({ controllers, gaze }).map(({ gaze: looks, ...held }) => {
    return { ...HEAD, ...held, ...(looks === undefined ? {} : { gaze: looks }) };
  });
  fc.assert(
    fc.property(poses, fc.array(change, { maxLength: 8 }), fc.option(lengths), (pose, changes, length) => {
      const whole = encodePose(pose);
      const bytes = new Uint8Array(length ?? whole.byteLength);
      bytes.set(whole.subarray(0, bytes.byteLength));
      for (const { at, to } of changes) if (at < bytes.byteLength) bytes[at] = to;
      try {
        t.ok(isWithinBounds(decodePose(bytes)), "within bounds");
        counts.read += 1;
      } catch (error) {
        if (!isFailure(error, "media-invalid")) throw error;
        counts.refused += 1;
      }
    }),
    { numRuns: 20_000 },
  );
  t.ok(counts.read > 100 && counts.refused > 100, JSON.stringify(counts));
});

t.test("one hand twice, a third hand, and numbers out of bounds are refused by name", async (t) => {
  const [left] = fc.sample(controllerOf("left"), 1);
  if (left === undefined) throw new Error("no sample");
  const refused = (held: readonly ControllerPose[], named: RegExp) =>
    t.throws(() => decodePose(encodePose({ ...HEAD, controllers: held })), { code: "media-invalid", message: named });
  refused([left, left], /each hand/);
  refused([{ ...left, trigger: 1.5 }], /trigger must be 0..1/);
  refused([{ ...left, squeeze: Number.NaN }], /squeeze/);
  refused([{ ...left, position: { x: Number.POSITIVE_INFINITY, y: 0, z: 0 } }], /position/);
  refused([{ ...left, orientation: { x: 0, y: 0, z: 0, w: 0 } }], /unit quaternion/);
  refused([{ ...left, thumbstick: { x: 0, y: -1.01 } }], /thumbstick/);
  const bytes = encodePose({ ...HEAD, controllers: [left] });
  bytes[POSE_BYTES] = 2;
  t.throws(() => decodePose(bytes), /left or right/);
  bytes[3] = 2;
  t.throws(() => decodePose(bytes), /must have its 2 controllers/);
});
