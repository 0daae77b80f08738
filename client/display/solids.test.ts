/** What is drawn of hands: closed convex shapes of few triangles, where a WebXR frame says that hands are. */
import t from "tap";
import type { Vector3 } from "#contracts/media/space.ts";
import { rotate } from "../pose/rotation.ts";
import { seenHandsOf } from "../pose/xr-hands.ts";
import { solidsOfHands } from "./hand-model.ts";
import { barrel, farthestFirst, type Solid, type SolidGeometry } from "./solids.ts";
import type { XrFrame, XrInputSource } from "./webxr.ts";

const minus = (a: Vector3, b: Vector3): Vector3 => ({ x: a.x - b.x, y: a.y - b.y, z: a.z - b.z });
const dot = (a: Vector3, b: Vector3): number => a.x * b.x + a.y * b.y + a.z * b.z;
const cross = (a: Vector3, b: Vector3): Vector3 => ({
  x: a.y * b.z - a.z * b.y,
  y: a.z * b.x - a.x * b.z,
  z: a.x * b.y - a.y * b.x,
});

function corners({ positions, indices }: SolidGeometry): readonly Vector3[] {
  const at = (index: number): number => positions[index] ?? Number.NaN;
  return [...indices].map((index) => ({ x: at(index * 3), y: at(index * 3 + 1), z: at(index * 3 + 2) }));
}

t.test("a barrel's triangles face outwards, with all of it behind each", async (t) => {
  for (const around of [6, 12]) {
    const all = corners(barrel(around));
    for (let first = 0; first < all.length; first += 3) {
      const [a, b, c] = all.slice(first, first + 3);
      if (a === undefined || b === undefined || c === undefined) throw new Error("no triangle");
      const outwards = cross(minus(b, a), minus(c, a));
      t.ok(dot(outwards, a) > 0, `triangle ${first / 3} of ${around}`);
      t.ok(
        all.every((point) => dot(outwards, minus(point, a)) < 1e-6),
        `nothing is before triangle ${first / 3} of ${around}`,
      );
    }
  }
});

t.test("what is farther from the eye comes first", async (t) => {
  const at = (z: number): Solid => ({
    ...{ geometry: barrel(6), orientation: { x: 0, y: 0, z: 0, w: 1 }, scale: { x: 1, y: 1, z: 1 } },
    ...{ position: { x: 0, y: 0, z }, colour: [1, 1, 1], glowRatio: 0 },
  });
  const given = [at(-1), at(3), at(-2)];
  t.same(
    farthestFirst(given, { x: 0, y: 0, z: 1 }).map(({ position }) => position.z),
    [-2, -1, 3],
  );
});

const NO_TURN = { x: 0, y: 0, z: 0, w: 1 };
const space = new EventTarget();
/** Places are told by what is asked for. */
function frameOf(places: ReadonlyMap<EventTarget, Vector3>): XrFrame {
  const poseOf = (of: EventTarget) => {
    const position = places.get(of);
    return position === undefined ? undefined : { transform: { position, orientation: NO_TURN }, radius: 0.01 };
  };
  return { getPose: poseOf, getJointPose: poseOf, getViewerPose: () => undefined };
}

class NamedJoints {
  readonly joints = new Map<string, EventTarget>();
  readonly places = new Map<EventTarget, Vector3>();

  get(name: string): EventTarget {
    const joint = this.joints.get(name) ?? new EventTarget();
    this.joints.set(name, joint);
    this.places.set(joint, { x: this.joints.size * 0.02, y: 1, z: 0 });
    return joint;
  }
}

function sourceOf(handedness: "left" | "right", rest: Partial<XrInputSource>): XrInputSource {
  return { handedness, targetRaySpace: new EventTarget(), ...rest };
}

t.test("a controller is drawn at its grip, by some hundreds of triangles, and shows what is pressed", async (t) => {
  const gripSpace = new EventTarget();
  const frame = frameOf(new Map([[gripSpace, { x: 1, y: 0.5, z: -1 }]]));
  const gamepad = (value: number) => ({ buttons: [{ value }, { value: 0 }], axes: [0, 0, 0, 0] });
  const seen = (trigger: number, rest: Partial<XrInputSource> = { gripSpace }) =>
    seenHandsOf([sourceOf("left", { gamepad: gamepad(trigger), ...rest })], frame, space, 0.25);
  t.match(seen(0).controllers, [{ hand: "left", position: { x: 1, y: 0.75, z: -1 } }]);
  const solids = solidsOfHands(seen(0));
  const triangles = solids.reduce((sum, { geometry }) => sum + geometry.indices.length / 3, 0);
  t.ok(triangles > 100 && triangles <= 400, `${triangles} triangles`);
  for (const { position } of solids) {
    t.ok(Math.hypot(position.x - 1, position.y - 0.75, position.z + 1) < 0.08, JSON.stringify(position));
  }
  t.notSame(solidsOfHands(seen(1)), solids, "pressed, it looks different");
  t.same(solidsOfHands(seen(0, {})), [], "without a grip it is not held");
  t.same(solidsOfHands(seen(0, { gripSpace: new EventTarget() })), [], "without tracking it is nowhere");
});

t.test("a tracked hand is drawn from joint to joint, unless it holds a controller", async (t) => {
  const [hand, gripSpace] = [new NamedJoints(), new EventTarget()];
  const tracked = sourceOf("right", { hand, gripSpace });
  const { bones, controllers } = seenHandsOf([tracked], frameOf(hand.places), space, 0.25);
  t.same(controllers, [], "a hand is no controller");
  t.equal(bones.length, 19);
  t.ok(
    bones.every(({ from, to }) => from.y === 1.25 && to.y === 1.25),
    "from the floor",
  );
  const solids = solidsOfHands({ controllers, bones });
  const triangles = solids.reduce((sum, { geometry }) => sum + geometry.indices.length / 3, 0);
  t.ok(triangles > 300 && triangles < 1_000, `${triangles} triangles`);
  for (const [at, { orientation }] of solids.entries()) {
    const along = rotate(orientation, { x: 0, y: 0, z: 1 });
    t.ok(Math.abs(Math.abs(along.x) - 1) < 1e-6, `bone ${at} lies along x: ${JSON.stringify(along)}`);
  }
  const places = new Map([...hand.places, [gripSpace, { x: 0, y: 1, z: 0 }] as const]);
  const holding = seenHandsOf([sourceOf("right", { gripSpace }), tracked], frameOf(places), space, 0);
  t.equal(holding.controllers.length, 1);
  t.same(holding.bones, []);
  t.same(seenHandsOf([tracked], frameOf(new Map()), space, 0).bones, [], "without tracking there is none");
});
