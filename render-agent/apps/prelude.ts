/**
 * What an app finds around it, as JavaScript for its interpreter: `console`, the scene, and pose and inputs as objects
 * that are filled anew each tick. It is a function of the names of objects and sounds (JSON), their first state
 * (ArrayBuffer: transforms, sounds, then hands) and a function that takes a level and a line.
 */
export const PRELUDE = /* js */ `(namesJson, initial, log) => {
  const state = Float32Array.from(new Float32Array(initial));
  const { names, soundNames, soundFloats, heldFloats } = JSON.parse(namesJson);
  Object.freeze(names);
  const heldAt = state.length - heldFloats;
  const soundsAt = heldAt - soundNames.length * soundFloats;
  const transforms = state.subarray(0, soundsAt);
  const objects = Object.create(null);
  for (const [index, name] of names.entries()) objects[name] = index;
  const stride = names.length === 0 ? 0 : transforms.length / names.length;
  const soundAt = (at) => {
    const move = ({ x, y, z }) => {
      state[at] = x;
      state[at + 1] = y;
      state[at + 2] = z;
    };
    const setGain = (gain) => {
      state[at + 3] = gain;
    };
    const play = ({ position, gain } = {}) => {
      if (position !== undefined) move(position);
      if (gain !== undefined) setGain(gain);
      state[at + 4] = Math.abs(state[at + 4]) + 1;
    };
    const stop = () => {
      state[at + 4] = -Math.abs(state[at + 4]);
    };
    return Object.freeze({ play, stop, move, setGain });
  };
  const sounds = Object.create(null);
  for (const [index, name] of soundNames.entries()) sounds[name] = soundAt(soundsAt + index * soundFloats);
  Object.freeze(sounds);
  const hold = (hand, name) => {
    const side = ["left", "right"].indexOf(hand);
    if (side < 0) throw new TypeError("hold: hand must be left or right, got " + String(hand));
    if (name !== null && !Object.hasOwn(objects, name)) throw new TypeError("hold: no object " + String(name));
    state[heldAt + (side * heldFloats) / 2] = name === null ? 0 : objects[name] + 1;
  };
  const scene = Object.freeze({ objects: Object.freeze(objects), names, transforms, stride, sounds, hold });

  const show = (value) => {
    if (typeof value === "string") return value;
    try {
      const isPlain = typeof value === "object" && value !== null && !(value instanceof Error);
      return String(isPlain ? JSON.stringify(value) : value);
    } catch {
      return "?";
    }
  };
  const say = (level) => (...values) => log(level, values.map(show).join(" ").slice(0, 500));
  const info = say("info");
  globalThis.console = Object.freeze({ log: info, debug: info, info, warn: say("warn"), error: say("error") });

  const placeOf = () => ({ position: { x: 0, y: 0, z: 0 }, orientation: { x: 0, y: 0, z: 0, w: 1 } });
  const fill = ({ position, orientation }, values, at) => {
    position.x = values[at];
    position.y = values[at + 1];
    position.z = values[at + 2];
    orientation.x = values[at + 3];
    orientation.y = values[at + 4];
    orientation.z = values[at + 5];
    orientation.w = values[at + 6];
  };
  const hands = ["left", "right"].map((hand) => {
    return { hand, ...placeOf(), trigger: 0, squeeze: 0, thumbstick: { x: 0, y: 0 } };
  });
  const pose = placeOf();
  const inputs = { controllers: [] };
  const tick = (update, head, dt) => {
    const values = new Float64Array(head);
    fill(pose, values, 0);
    inputs.controllers = [];
    for (let at = 8; at < values.length; at += 12) {
      const controller = hands[values[at]];
      fill(controller, values, at + 1);
      controller.trigger = values[at + 8];
      controller.squeeze = values[at + 9];
      controller.thumbstick.x = values[at + 10];
      controller.thumbstick.y = values[at + 11];
      inputs.controllers.push(controller);
    }
    return update(pose, inputs, dt);
  };
  return { scene, buffer: state.buffer, tick };
}`;
