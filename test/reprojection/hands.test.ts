/** Hands over the picture, by the client's display in a real Chromium: drawn where an eye sees them, hidden by what is nearer. */
import t, { type Test } from "tap";
import type { Bone } from "#client/display/hand-model.ts";
import { type EyeView, eyeViewOf } from "#client/display/reprojection.ts";
import { FORWARD, headPoseOf } from "#client/pose/emulated-head.ts";
import { type HeadPose, widenHead } from "#client/pose/head-pose.ts";
import { conjugate, lookRotation, rotate } from "#client/pose/rotation.ts";
import type { ControllerPose } from "#contracts/media/controllers.ts";
import { depthCellsOf, depthShapeOf, NEAREST_METRES } from "#contracts/media/depth-shape.ts";
import type { Vector3 } from "#contracts/media/space.ts";
import { openDisplayPage } from "./display-page.ts";

const EYE = { eyeWidthPixels: 160, eyeHeightPixels: 144 };
const SHAPE = depthShapeOf(EYE);
const head = headPoseOf(FORWARD, EYE.eyeWidthPixels / EYE.eyeHeightPixels);
const pose = { poseId: 1, sampledAtMs: 1, ...widenHead(head) };
const GREY = 200;
const PICTURE_BYTES = EYE.eyeWidthPixels * 2 * EYE.eyeHeightPixels * 4;
const pixels = new Uint8Array(PICTURE_BYTES).map((_, at) => (at % 4 === 3 ? 255 : GREY));

const display = await openDisplayPage();
t.teardown(() => display[Symbol.asyncDispose]());

/** The columns of each eye's plane from the left stand so far away. */
function depthOf(metresAt: (column: number) => number): Uint8Array {
  return new Uint8Array(depthCellsOf(SHAPE)).map((_, cell) => {
    return Math.round((255 * NEAREST_METRES) / metresAt(cell % SHAPE.columns));
  });
}

function controllerAt(position: Vector3): ControllerPose {
  const untouched = { trigger: 0, squeeze: 0, thumbstick: { x: 0, y: 0 } };
  return { hand: "right", position, orientation: { x: 0, y: 0, z: 0, w: 1 }, ...untouched };
}

const held = (position: Vector3, bones: readonly Bone[] = []) => ({ controllers: [controllerAt(position)], bones });

interface Box {
  readonly left: number;
  readonly right: number;
  readonly x: number;
  readonly y: number;
  readonly count: number;
}

/** Where a drawing of an eye is another: in pixels of the eye, from left and top. */
function changed(a: Uint8Array, b: Uint8Array, eye: 0 | 1): Box | undefined {
  const columns: number[] = [];
  const rows: number[] = [];
  for (let at = 0; at < a.length; at += 4) {
    const [column, row] = [(at / 4) % (EYE.eyeWidthPixels * 2), Math.floor(at / 4 / (EYE.eyeWidthPixels * 2))];
    if (Math.floor(column / EYE.eyeWidthPixels) !== eye) continue;
    if ([0, 1, 2].every((part) => Math.abs((a[at + part] ?? 0) - (b[at + part] ?? 0)) <= 8)) continue;
    columns.push(column % EYE.eyeWidthPixels);
    rows.push(row);
  }
  if (columns.length === 0) return undefined;
  const [left, right] = [Math.min(...columns), Math.max(...columns) + 1];
  const y = (Math.min(...rows) + Math.max(...rows) + 1) / 2;
  return { left, right, x: (left + right) / 2, y, count: columns.length };
}

/** In pixels of the eye, from left and top. */
function projected(point: Vector3, view: EyeView): { readonly x: number; readonly y: number } {
  const { position: p, orientation, fieldOfView: field } = view;
  const seen = rotate(conjugate(orientation), { x: point.x - p.x, y: point.y - p.y, z: point.z - p.z });
  const [x, y] = [seen.x / -seen.z, seen.y / -seen.z];
  return {
    x: ((x + field.left) / (field.left + field.right)) * EYE.eyeWidthPixels,
    y: ((field.up - y) / (field.up + field.down)) * EYE.eyeHeightPixels,
  };
}

/** Half of a controller is within 8 cm of its middle. */
const MIDDLE_METRES = 0.08;

function isAt(t: Test, box: Box | undefined, place: Vector3, view: EyeView, what: string): void {
  const expected = projected(place, view);
  const metres = Math.hypot(place.x - view.position.x, place.y - view.position.y, place.z - view.position.z);
  const reach = ((MIDDLE_METRES / metres) * EYE.eyeWidthPixels) / (view.fieldOfView.left + view.fieldOfView.right);
  const off = Math.hypot((box?.x ?? Number.NaN) - expected.x, (box?.y ?? Number.NaN) - expected.y);
  t.ok(off <= reach / 2, `${what}: ${JSON.stringify(box)} is ${off} pixels from ${JSON.stringify(expected)}`);
}

const NONE = { controllers: [], bones: [] };
await display.show({ ...EYE, pixels, pose });
await display.draw(head);

t.test("without hands nothing is made or drawn for them", async (t) => {
  const before = await display.programsMade();
  const bare = await display.wear(head, NONE);
  t.equal(await display.programsMade(), before);
  t.ok(bare.every((value, at) => at % 4 === 3 || Math.abs(value - GREY) < 3));
});

t.test("a controller is where each eye of the display sees it, wherever the picture was rendered from", async (t) => {
  const turned: HeadPose = { ...head, orientation: lookRotation({ yawDegrees: 20, pitchDegrees: -10 }) };
  for (const [name, shown] of Object.entries({ ahead: head, turned })) {
    const bare = await display.wear(shown, NONE);
    for (const place of [
      { x: 0.1, y: 1.5, z: -0.6 },
      { x: 0.2, y: 1.35, z: -0.5 },
    ]) {
      const drawn = await display.wear(shown, held(place));
      for (const eye of [0, 1] as const) {
        const view = eyeViewOf(shown, shown.eyes[eye]);
        isAt(t, changed(bare, drawn, eye), place, view, `${name}, eye ${eye}, ${JSON.stringify(place)}`);
      }
    }
  }
});

t.test("a hand's bones are drawn from joint to joint", async (t) => {
  const from = { x: -0.1, y: 1.6, z: -0.5 };
  const to = { x: 0.1, y: 1.6, z: -0.5 };
  const bare = await display.wear(head, NONE);
  const drawn = await display.wear(head, { controllers: [], bones: [{ from, to, radiusMetres: 0.01 }] });
  const box = changed(bare, drawn, 0);
  const view = eyeViewOf(head, head.eyes[0]);
  const [first, last] = [projected(from, view), projected(to, view)];
  t.ok(Math.abs((box?.left ?? 0) - first.x) < 3, `${JSON.stringify(box)} begins at ${first.x}`);
  t.ok(Math.abs((box?.right ?? 0) - last.x) < 3, `and ends at ${last.x}`);
});

t.test("what stands nearer in the picture hides it, what stands farther or about as far does not", async (t) => {
  const place = { x: 0, y: 1.6, z: -0.8 };
  const bone = { from: { ...place, x: -0.2 }, to: { ...place, x: 0.2 }, radiusMetres: 0.02 };
  const drawnBehind = async (metresAt: (column: number) => number, laterMs = 0) => {
    await display.show({ ...EYE, pixels, pose, depth: depthOf(metresAt) });
    const bare = await display.wear(head, NONE, laterMs);
    return changed(bare, await display.wear(head, { controllers: [], bones: [bone] }), 0);
  };
  const whole = await drawnBehind(() => 3);
  t.ok((whole?.count ?? 0) > 20, `before a wall: ${JSON.stringify(whole)}`);
  t.same(await drawnBehind(() => 0.8), whole, "on it");
  t.equal(await drawnBehind(() => 0.4), undefined, "behind a wall");
  t.same(await drawnBehind(() => 0.4, 1000), whole, "whose picture has faded");
  const { x } = projected(place, eyeViewOf(pose, pose.eyes[0]));
  const edge = Math.floor(x / SHAPE.blockPixels);
  const half = await drawnBehind((column) => (column < edge ? 0.4 : 3));
  t.ok((half?.left ?? 0) > (whole?.left ?? 0), `half behind: ${JSON.stringify(half)} of ${JSON.stringify(whole)}`);
  t.equal(half?.right, whole?.right, "and half before");
});

t.test("one that is nearer is drawn over one that is farther, whichever comes first", async (t) => {
  await display.show({ ...EYE, pixels, pose });
  const bone = (z: number): Bone => ({ from: { x: -0.1, y: 1.6, z }, to: { x: 0.1, y: 1.6, z }, radiusMetres: 0.05 });
  const near = { x: 0, y: 1.6, z: -0.5 };
  const alone = await display.wear(head, held(near));
  const bare = await display.wear(head, NONE);
  const box = changed(bare, alone, 0);
  t.ok(box !== undefined);
  const before = await display.wear(head, { controllers: [controllerAt(near)], bones: [bone(-0.9)] });
  const behind = await display.wear(head, { controllers: [controllerAt(near)], bones: [bone(-0.4)] });
  const at = (Math.round(box?.y ?? 0) * EYE.eyeWidthPixels * 2 + Math.round(box?.x ?? 0)) * 4;
  t.same([...before.subarray(at, at + 3)], [...alone.subarray(at, at + 3)], "the controller is before the bone");
  t.notSame([...behind.subarray(at, at + 3)], [...alone.subarray(at, at + 3)], "and behind it");
});
