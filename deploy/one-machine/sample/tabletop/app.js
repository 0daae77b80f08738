// Boxes on a table: point at one, hold the trigger or squeeze to take it, let go to throw it.
// docs/vr.md says what an app may use.

const HALF_METRES = 0.12;
const GRAVITY = 9.81;
const REACH_METRES = 4;
const SPEED_MAX = 12;
const ROOM_METRES = 6;
const THROW_SPEED_MIN = 1;
const TABLE = { top: 0.84, halfWidth: 1.1, z: -1.9, halfDepth: 0.45 };
const HANDS = ["left", "right"];

let scene;
let boxes = [];
const grips = { left: undefined, right: undefined };
const wasHeld = { left: false, right: false };

export function init(given) {
  scene = given;
  boxes = scene.names
    .filter((name) => name.startsWith("box-"))
    .map((name) => {
      const at = scene.objects[name] * scene.stride;
      return { name, at, position: read(at, 3), orientation: read(at + 3, 4), velocity: [0, 0, 0], isResting: true };
    });
  console.info(`${boxes.length} boxes to throw`);
}

export function update(_pose, inputs, dt) {
  for (const hand of HANDS) {
    const controller = inputs.controllers.find((one) => one.hand === hand);
    useHand(hand, controller, dt);
  }
  const held = Object.values(grips).map((grip) => grip?.box);
  for (const box of boxes) if (!held.includes(box) && !box.isResting) fall(box, dt);
  for (const box of boxes) write(box);
}

/** What is held is drawn where the person's hand is, and not a moment later: `hold` says what that is. */
function useHand(hand, controller, dt) {
  const isHeld = controller !== undefined && Math.max(controller.trigger, controller.squeeze) > 0.5;
  if (isHeld && !wasHeld[hand]) {
    grips[hand] = take(controller);
    scene.hold(hand, grips[hand]?.box.name ?? null);
  }
  if (!isHeld && grips[hand] !== undefined) {
    const { box } = grips[hand];
    box.isResting = false;
    if (length(box.velocity) > THROW_SPEED_MIN) sound("throw", box, length(box.velocity) / SPEED_MAX);
    grips[hand] = undefined;
    scene.hold(hand, null);
  }
  wasHeld[hand] = isHeld;
  if (isHeld && grips[hand] !== undefined) carry(grips[hand], controller, dt);
}

/** The nearest box that the controller points at; the farther it is, the less exactly. */
function take({ position, orientation }) {
  const origin = toArray(position);
  const turn = toArray(orientation);
  const ahead = rotate(turn, [0, 0, -1]);
  let found;
  for (const box of boxes) {
    const away = minus(box.position, origin);
    const along = dot(away, ahead);
    const off = length(minus(away, scaled(ahead, along)));
    if (along < 0 || along > REACH_METRES || off > HALF_METRES * 1.5 + along * 0.03) continue;
    if (found === undefined || along < found.along) found = { box, along, away };
  }
  if (found === undefined) return undefined;
  wakeAll();
  sound("take", found.box, 0.6);
  const back = conjugate(turn);
  return { box: found.box, offset: rotate(back, found.away), turn: multiply(back, found.box.orientation) };
}

function carry({ box, offset, turn }, { position, orientation }, dt) {
  const hand = toArray(orientation);
  const target = plus(toArray(position), rotate(hand, offset));
  if (dt > 0) {
    // The mean of some ticks: a throw is not what the hand did in the last one.
    const now = scaled(minus(target, box.position), 1 / dt);
    box.velocity = plus(scaled(box.velocity, 0.6), scaled(now, 0.4));
    const speed = length(box.velocity);
    if (speed > SPEED_MAX) box.velocity = scaled(box.velocity, SPEED_MAX / speed);
  }
  box.position = target;
  box.orientation = multiply(hand, turn);
}

function fall(box, dt) {
  box.velocity[1] -= GRAVITY * dt;
  box.position = plus(box.position, scaled(box.velocity, dt));
  for (const other of boxes) if (other !== box) part(box, other);
  const floor = supportOf(box);
  if (box.position[1] < floor) {
    box.position[1] = floor;
    const isSlow = Math.abs(box.velocity[1]) < 0.6;
    if (!isSlow) sound("knock", box, Math.min(1, -box.velocity[1] / 5));
    box.velocity = [box.velocity[0] * 0.7, isSlow ? 0 : -box.velocity[1] * 0.4, box.velocity[2] * 0.7];
    if (isSlow && length(box.velocity) < 0.05) box.isResting = true;
  }
  for (const axis of [0, 2]) {
    if (Math.abs(box.position[axis]) < ROOM_METRES) continue;
    box.position[axis] = Math.sign(box.position[axis]) * ROOM_METRES;
    box.velocity[axis] *= -0.5;
  }
}

/** How high a box's middle is where it lies: on the table where it is above it, else on the floor. */
function supportOf({ position: [x, y, z] }) {
  const isOver = Math.abs(x) < TABLE.halfWidth && Math.abs(z - TABLE.z) < TABLE.halfDepth;
  return (isOver && y > TABLE.top - HALF_METRES ? TABLE.top : 0) + HALF_METRES;
}

/** Two boxes push one another apart along the axis on which they overlap least. */
function part(box, other) {
  const apart = minus(box.position, other.position);
  const depths = apart.map((value) => 2 * HALF_METRES - Math.abs(value));
  const depth = Math.min(...depths);
  if (depth <= 0) return;
  const axis = depths.indexOf(depth);
  const side = apart[axis] < 0 ? -1 : 1;
  box.position[axis] += side * depth;
  if (box.velocity[axis] * side >= 0) return;
  other.velocity[axis] += box.velocity[axis] * 0.5;
  box.velocity[axis] *= -0.2;
  if (Math.abs(other.velocity[axis]) > 0.3) other.isResting = false;
  if (axis === 1 && side > 0 && length(box.velocity) < 0.6) box.isResting = other.isResting;
}

/** What lay on a box that is taken falls. */
function wakeAll() {
  for (const box of boxes) box.isResting = false;
}

/** From where the box is. */
function sound(name, { position: [x, y, z] }, gain) {
  scene.sounds[name].play({ position: { x, y, z }, gain });
}

function read(at, count) {
  return [...scene.transforms.subarray(at, at + count)];
}

function write({ at, position, orientation }) {
  scene.transforms.set(position, at);
  scene.transforms.set(orientation, at + 3);
}

function toArray({ x, y, z, w }) {
  return w === undefined ? [x, y, z] : [x, y, z, w];
}

function plus(a, b) {
  return a.map((value, index) => value + b[index]);
}

function minus(a, b) {
  return a.map((value, index) => value - b[index]);
}

function scaled(a, by) {
  return a.map((value) => value * by);
}

function dot(a, b) {
  return a.reduce((sum, value, index) => sum + value * b[index], 0);
}

function length(a) {
  return Math.sqrt(dot(a, a));
}

function conjugate([x, y, z, w]) {
  return [-x, -y, -z, w];
}

function multiply([ax, ay, az, aw], [bx, by, bz, bw]) {
  return [
    aw * bx + ax * bw + ay * bz - az * by,
    aw * by - ax * bz + ay * bw + az * bx,
    aw * bz + ax * by - ay * bx + az * bw,
    aw * bw - ax * bx - ay * by - az * bz,
  ];
}

function rotate(q, [x, y, z]) {
  return multiply(multiply(q, [x, y, z, 0]), conjugate(q)).slice(0, 3);
}
