/** The sample that is thrown about, by simulated hands and a clock of its own. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type ControllerPose, HANDS } from "#contracts/media/controllers.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";
import type { Vector3 } from "#contracts/media/space.ts";
import { systemClock } from "#platform/clock.ts";
import { parseAppSource } from "#render-agent/apps/app-source.ts";
import { headValues } from "#render-agent/apps/head-values.ts";
import { HELD_FLOATS, heldBy, initialState, placeHeld } from "#render-agent/apps/held-state.ts";
import { loadInterpreter } from "#render-agent/apps/sandbox.ts";
import { checkTransforms } from "#render-agent/apps/transform-check.ts";
import { checkSoundState, SOUND_FLOATS, SOUND_OFFSETS } from "#render-agent/audio/sound-state.ts";
import { namesOfObjects, TRANSFORM_FLOATS } from "#render-agent/renderer/objects.ts";
import { parseScene } from "#render-agent/renderer/scene.ts";

const FOLDER = join(import.meta.dirname, "tabletop");
const scene = parseScene(readFileSync(join(FOLDER, "scene.json")));
const names = namesOfObjects(scene);
const { sounds = [] } = scene;
const soundNames = sounds.map(({ name }) => name);
const interpreter = await loadInterpreter();
const TICK_SECONDS = 1 / 30;
/** The top box of the heap lies here; the hand is half a metre before it, and points at it. */
const BEFORE_TOP = { x: 0, y: 1.44, z: -1.4 };

function open(t: Test) {
  const lines: string[] = [];
  const sandbox = interpreter.open({
    source: parseAppSource(readFileSync(join(FOLDER, "app.js"))),
    ...{ names, sounds: soundNames, initial: initialState(scene), clock: systemClock },
    log: (level, text) => void lines.push(`${level} ${text}`),
  });
  const state = initialState(scene);
  const soundState = state.subarray(names.length * TRANSFORM_FLOATS, -HELD_FLOATS);
  const eye = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
  const orientation = { x: 0, y: 0, z: 0, w: 1 };
  const head: PoseMessage = {
    poseId: 1,
    sampledAtMs: 1,
    position: { x: 0, y: 1.6, z: 0 },
    orientation,
    eyes: [eye, eye],
  };
  const tick = (...hands: readonly Partial<ControllerPose>[]): void => {
    const whole = { hand: "right", position: BEFORE_TOP, orientation, trigger: 0, squeeze: 0 } as const;
    const held = hands.map((hand) => ({ ...whole, thumbstick: { x: 0, y: 0 }, ...hand }));
    const values = headValues({ ...head, controllers: held });
    sandbox.update(values, TICK_SECONDS);
    sandbox.read(state);
    t.equal(checkTransforms(state, names), undefined, "what it writes can be drawn");
    t.equal(checkSoundState(soundState, soundNames), undefined, "and heard");
    t.equal(placeHeld(state, names.length, values), undefined, "and held");
  };
  const placeOf = (name: string): readonly number[] => {
    const at = names.indexOf(name) * TRANSFORM_FLOATS;
    return [...state.subarray(at, at + 3)].map((value) => Math.round(value * 1_000) / 1_000);
  };
  const startsOf = (name: string): number =>
    soundState[soundNames.indexOf(name) * SOUND_FLOATS + SOUND_OFFSETS.starts] ?? Number.NaN;
  const heldIn = (hand: ControllerPose["hand"]) => {
    const held = heldBy(state, HANDS.indexOf(hand));
    return held === undefined ? undefined : { name: names[held.object], position: rounded(held.position) };
  };
  return { tick, placeOf, startsOf, heldIn, lines };
}

function rounded({ x, y, z }: Vector3): readonly number[] {
  return [x, y, z].map((value) => Math.round(value * 1_000) / 1_000);
}

t.test("left alone, nothing moves", async (t) => {
  const { tick, placeOf, lines } = open(t);
  const before = names.map(placeOf);
  for (let count = 0; count < 30; count += 1) tick();
  t.same(names.map(placeOf), before);
  t.same(lines, ["info 6 boxes to throw"]);
});

t.test("a box that is pointed at is taken by the trigger, carried, and flies where it is thrown", async (t) => {
  const { tick, placeOf, startsOf, heldIn } = open(t);
  tick({});
  t.equal(heldIn("right"), undefined, "at first the hand is empty");
  tick({ trigger: 1 });
  t.same(placeOf("box-6"), [0, 1.44, -1.9], "taken where it is");
  t.same(["take", "throw", "knock"].map(startsOf), [1, 0, 0], "which is heard");
  tick({ trigger: 1, position: { ...BEFORE_TOP, x: 0.3 } });
  t.same(placeOf("box-6"), [0.3, 1.44, -1.9], "carried along");
  t.same(heldIn("right"), { name: "box-6", position: [0, 0, -0.5] }, "which is told, with its place in the hand");
  for (let step = 1; step <= 6; step += 1)
    tick({ trigger: 1, position: { x: 0.3, y: 1.44 + step * 0.05, z: -1.4 - step * 0.1 } });
  const [, height = 0, depth = 0] = placeOf("box-6");
  t.same(heldIn("right"), { name: "box-6", position: [0, 0, -0.5] }, "it lies still in it");
  tick({});
  t.equal(heldIn("right"), undefined, "let go");
  tick({});
  t.ok((placeOf("box-6")[1] ?? 0) > height, "it still rises");
  t.ok((placeOf("box-6")[2] ?? 0) < depth, "and flies ahead");
  for (let count = 0; count < 240; count += 1) tick({});
  const resting = placeOf("box-6");
  t.ok((resting[2] ?? 0) < -3, `it fell behind the table: ${resting}`);
  t.equal(resting[1], 0.12, "it lies on the floor");
  t.equal(startsOf("throw"), 1, "the throw is heard");
  t.ok(startsOf("knock") > 1, `it knocks ${startsOf("knock")} times`);
  for (let count = 0; count < 10; count += 1) tick({});
  t.same(placeOf("box-6"), resting, "at rest");
});

t.test("a press beside every box takes none, and both hands take one each", async (t) => {
  const { tick, placeOf, heldIn } = open(t);
  const before = names.filter((name) => name.startsWith("box")).map(placeOf);
  tick({ trigger: 1, position: { x: 3, y: 3, z: 0 } });
  t.same(names.filter((name) => name.startsWith("box")).map(placeOf), before);
  const left = { hand: "left", squeeze: 1 } as const;
  const below = { x: -0.135, y: 1.2, z: -1.4 };
  t.equal(heldIn("right"), undefined, "and holds none");
  tick({}, { ...left, squeeze: 0 });
  tick({ trigger: 1 }, { ...left, position: below });
  tick({ trigger: 1, position: { ...BEFORE_TOP, y: 2 } }, { ...left, position: { ...below, x: -1 } });
  t.same(
    [placeOf("box-6"), placeOf("box-4")],
    [
      [0, 2, -1.9],
      [-1, 1.2, -1.9],
    ],
  );
  t.same([heldIn("right")?.name, heldIn("left")?.name], ["box-6", "box-4"], "which is told of both");
});
