/** What hands hold, from the states of an app to what pictures are without: never before the client has it, nor after it is let go. */
import t from "tap";
import { type ControlMessage, decodeControl, encodeControl } from "#contracts/media/control.ts";
import { HELD_TRIANGLES_MAX, HELD_VERTICES_MAX, HOLDS_MAX } from "#contracts/media/held-object.ts";
import { HELD_FLOATS, initialState } from "../apps/held-state.ts";
import { TRANSFORM_FLOATS } from "../renderer/objects.ts";
import { parseScene, type Scene } from "../renderer/scene.ts";
import { HeldObjects } from "./held-objects.ts";
import { shapeOf } from "./held-shape.ts";

const SCENE: Scene = parseScene(
  Buffer.from(
    JSON.stringify({
      format: "perigee-scene/1",
      ...{ sky: [0, 0, 0], sun: { towards: [0, 1, 0], colour: [1, 1, 1] }, fogPerMetre: 0 },
      ambient: { above: [1, 1, 1], below: [1, 1, 1] },
      meshes: { box: { shape: "box" }, plane: { shape: "plane" }, fine: { shape: "sphere", segments: 64 } },
      instances: [
        { mesh: "box", position: [0, 0, 0], scale: [1, 1, 1], colour: [1, 1, 1] },
        { mesh: "box", name: "box", position: [0, 1, 0], scale: [0.1, 0.2, 0.3], colour: [1, 0.5, 0], glowRatio: 0.25 },
        { mesh: "plane", name: "sheet", position: [0, 1, 0], scale: [0.1, 1, 0.1], colour: [1, 1, 1] },
        { mesh: "fine", name: "pearl", position: [0, 1, 0], scale: [0.1, 0.1, 0.1], colour: [1, 1, 1] },
        { mesh: "box", name: "wall", position: [0, 1, 0], scale: [3, 3, 0.1], colour: [1, 1, 1] },
      ],
    }),
  ),
);
const OBJECTS = { box: 0, sheet: 1, pearl: 2, wall: 3 } as const;
const RIGHT = 1;
/** More frames than one hold keeps from the next. */
const A_WHILE = 20;

function holding() {
  const said: ControlMessage[] = [];
  const held = new HeldObjects({ scene: SCENE, detail: 1, say: (message) => void said.push(message) });
  const state = initialState(SCENE);
  const hold = (hand: number, name: keyof typeof OBJECTS | undefined, x = 0): void => {
    const at = state.length - HELD_FLOATS + (hand * HELD_FLOATS) / 2;
    state.set(name === undefined ? [0, 0, 0, 0, 0, 0, 0, 0] : [OBJECTS[name] + 1, x, 0, -0.5, 0, 0, 0, 1], at);
  };
  const look = (frames = 1) => {
    let last = held.look(state);
    for (let frame = 1; frame < frames; frame += 1) last = held.look(state);
    return { objects: [...last.objects], without: last.without };
  };
  const whole = { objects: [], without: undefined };
  const told = () => said.flatMap((message) => (message.type === "held-object" ? [message] : []));
  return { held, state, hold, look, whole, said, told };
}

t.test("an object is left out when the client has it, and is in the picture again when it is let go", async (t) => {
  const { held, hold, look, whole, told } = holding();
  hold(RIGHT, "box");
  t.same(look(A_WHILE), whole);
  t.same(told(), [], "to who does not draw it nothing is told");
  held.wish();
  t.same(look(2), whole, "it is told, and in the picture");
  const [message] = told();
  if (message === undefined) throw new Error("nothing was told");
  t.match(message, { hand: "right", hold: 1, position: { x: 0, y: 0, z: -0.5 }, colour: [1, 0.5, 0], glowRatio: 0.25 });
  t.strictSame(decodeControl(encodeControl(message)), message, "as a client reads it");
  t.same(
    [0, 1, 2].map((axis) => Math.max(...message.positions.filter((_, at) => at % 3 === axis))),
    [0.1, 0.2, 0.3],
    "with its extents",
  );
  held.ready("left", 1);
  held.ready("right", 2);
  t.same(look(A_WHILE), whole, "another's word is none of its");
  held.ready("right", 1);
  t.same(look(A_WHILE), { objects: [OBJECTS.box], without: [0, 1] });
  held.wish();
  t.same(look(A_WHILE).without, [0, 1], "a wish again changes nothing");
  t.equal(told().length, 1, "told once");
  hold(RIGHT, undefined);
  t.same(look(), whole, "in the very frame");
  hold(RIGHT, "box");
  t.same(look(A_WHILE), whole, "a hold anew is not yet the client's");
  t.match(told()[1], { hand: "right", hold: 2 });
  held.ready("right", 1);
  t.same(look(), whole, "and a late word of the one before does not count");
});

t.test(
  "what moves in its hand is drawn by the agent, and told again when it lies still, not in each frame",
  async (t) => {
    const { held, state, hold, look, whole, told } = holding();
    held.wish();
    hold(RIGHT, "box");
    look(2);
    held.ready("right", 1);
    t.same(look().without, [0, 1]);
    hold(RIGHT, "box", 0.0004);
    t.same(look().without, [0, 1], "a tracker trembles");
    hold(RIGHT, "box", 0.002);
    t.same(look(), whole, "it slips");
    for (let frame = 0; frame < 100; frame += 1) {
      hold(RIGHT, "box", 0.01 * frame);
      t.same(look(), whole, `frame ${frame}`);
    }
    t.equal(told().length, 1, "of what moves nothing is told");
    for (let frame = 0; frame < 100; frame += 1) {
      hold(RIGHT, "box", 0.01 * Math.floor(frame / 2));
      look();
    }
    t.ok(told().length > 1 && told().length <= 12, `${told().length} in a hundred frames`);
    look(A_WHILE);
    const number = told().at(-1)?.hold ?? 0;
    held.ready("right", number);
    t.same(look().without, [0, number]);
    state[OBJECTS.box * TRANSFORM_FLOATS + 7] = 0.5;
    t.same(look(), whole, "one that grows is another");
    look(A_WHILE);
    held.ready("right", told().at(-1)?.hold ?? 0);
    t.not(look().without, undefined);
    state[OBJECTS.box * TRANSFORM_FLOATS + 10] = 0;
    t.same(look(A_WHILE), whole, "and one that is hidden is nowhere");
  },
);

t.test("each hand counts its holds, from one again after the last; a new client begins anew", async (t) => {
  const { held, hold, look, whole, told } = holding();
  held.wish();
  const numbers = Array.from({ length: HOLDS_MAX + 1 }, () => {
    hold(RIGHT, undefined);
    look(A_WHILE);
    hold(RIGHT, "box");
    look(2);
    return told().at(-1)?.hold;
  });
  t.same(numbers, [1, 2, 3, 4, 5, 6, 7, 1]);
  hold(0, "box");
  look(2);
  t.match(told().at(-1), { hand: "left", hold: 1 });
  held.ready("right", 1);
  held.ready("left", 1);
  t.same(look().without, [1, 1]);
  held.restart();
  t.same(look(A_WHILE), whole);
  held.wish();
  look(2);
  t.match(told().slice(-2), [
    { hand: "left", hold: 1 },
    { hand: "right", hold: 1 },
  ]);
  t.same(look(), whole, "what the client before had is not this one's");
});

t.test("what is too much, too large, mirrored or seen from both sides stays in the picture", async (t) => {
  for (const name of ["sheet", "pearl", "wall"] as const) {
    const { held, hold, look, whole, told } = holding();
    held.wish();
    hold(RIGHT, name);
    t.same(look(A_WHILE), whole, name);
    t.same(told(), [], name);
  }
  const afar = holding();
  afar.held.wish();
  afar.hold(RIGHT, "box", 11);
  t.same([afar.look(A_WHILE), afar.told()], [afar.whole, []], "nor is what no client would take for held");
  const look = { colour: [1, 1, 1] as [number, number, number], glowRatio: 0 };
  const shape = (mesh: object, scale = [1, 1, 1]) =>
    shapeOf({ mesh: { shape: "sphere", ...mesh }, scale, detail: 1, look });
  t.equal(shape({}, [1, -1, 1]), undefined, "mirrored");
  t.equal(shape({}, [1, 0, 1]), undefined, "flat");
  t.equal(shape({ doubleSided: true }), undefined, "seen from inside");
  const ball = shape({ segments: 16 });
  const vertices = (ball?.positions.length ?? 0) / 3;
  t.ok(vertices > 100 && vertices <= HELD_VERTICES_MAX, `a ball has ${vertices} vertices`);
  t.ok((ball?.triangles.length ?? Number.NaN) / 3 <= HELD_TRIANGLES_MAX);
  t.ok(ball?.normals.every((part) => Math.abs(part) <= 1));
});
