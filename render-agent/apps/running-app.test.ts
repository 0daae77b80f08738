/** Apps in real threads and a real interpreter: what they move is what is drawn, and whatever they do ends by name. */
import fc from "fast-check";
import t, { type Test } from "tap";
import type { ControllerPose } from "#contracts/media/controllers.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";
import { type Failure, isFailure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { TRANSFORM_FLOATS } from "../renderer/objects.ts";
import { parseScene, type Scene } from "../renderer/scene.ts";
import type { AppLine } from "./app-messages.ts";
import { HELD_FLOATS, heldBy } from "./held-state.ts";
import { RunningApp } from "./running-app.ts";

const eye = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
const HEAD: PoseMessage = {
  poseId: 1,
  sampledAtMs: 1,
  position: { x: 0.5, y: 1.5, z: -0.25 },
  orientation: { x: 0, y: 1, z: 0, w: 0 },
  eyes: [eye, eye],
};

function sceneOf(count: number): Scene {
  const instances = Array.from({ length: count }, (_, index) => {
    return { mesh: "box", name: `box-${index}`, position: [index, 1, -3], scale: [1, 1, 1], colour: [1, 0, 0] };
  });
  const scene = {
    format: "perigee-scene/1",
    sky: [0, 0, 0],
    sun: { towards: [0, 1, 0], colour: [1, 1, 1] },
    ambient: { above: [1, 1, 1], below: [1, 1, 1] },
    fogPerMetre: 0,
    meshes: { box: { shape: "box" } },
    instances,
  };
  return parseScene(Buffer.from(JSON.stringify(scene)));
}

interface Started {
  readonly app: RunningApp;
  readonly lines: AppLine[];
  readonly failures: Failure[];
}

async function start(t: Test, source: string, scene = sceneOf(2)): Promise<Started> {
  const [lines, failures]: [AppLine[], Failure[]] = [[], []];
  const app = await RunningApp.start({
    source,
    scene,
    clock: systemClock,
    onLine: (line) => void lines.push(line),
    onFailed: (failure) => void failures.push(failure),
  });
  t.teardown(() => app[Symbol.asyncDispose]());
  return { app, lines, failures };
}

/** With `update` alone, and an `init` that keeps the scene. */
const updating = (body: string): string =>
  `let scene;\nexport function init(given) { scene = given; }\nexport function update(pose, inputs, dt) {\n${body}\n}`;

/** Ticks until the state says what is wanted: a loaded machine is late, which is drawn with the state before. */
async function tickUntil({ app, failures }: Started, isThere: (at: (index: number) => number) => boolean, pose = HEAD) {
  await patiently(async () => {
    const state = await app.tick(pose);
    if (failures[0] !== undefined) throw failures[0];
    return isThere((index) => state[index] ?? Number.NaN);
  }, "the app's state");
}

t.test("objects stand where the scene has them until the app moves them, by their names", async (t) => {
  const source = `export function init({ objects, names, transforms, stride }) {
  if (stride !== ${TRANSFORM_FLOATS} || names[1] !== "box-1" || objects["box-1"] !== 1) throw new Error("layout");
  if (transforms[stride] !== 1 || transforms[stride + 6] !== 1 || transforms[stride + 10] !== 1) throw new Error("first");
  update = (pose, inputs, dt) => { transforms[objects["box-1"] * stride] += dt > 0 && dt <= 0.1 ? 1 : NaN; };
}
export let update;
update = () => {};`;
  const started = await start(
    t,
    source.replace("export let update;\nupdate = () => {};", "export let update = () => {};"),
  );
  await tickUntil(started, (at) => at(TRANSFORM_FLOATS) === 1 || at(TRANSFORM_FLOATS) >= 4);
  t.same(started.lines, []);
});

t.test("the app sees head and controllers as they were sent", async (t) => {
  const left: ControllerPose = {
    hand: "left",
    position: { x: 1, y: 2, z: 3 },
    orientation: { x: 0, y: 0, z: 1, w: 0 },
    trigger: 0.5,
    squeeze: 1,
    thumbstick: { x: -1, y: 0.25 },
  };
  const right: ControllerPose = { ...left, hand: "right", trigger: 0 };
  const started = await start(t, updating("console.log(JSON.stringify({ pose, inputs }), scene);"));
  const { app, lines } = started;
  const seen: unknown[] = [];
  for (const controllers of [[left, right], [right], []]) {
    const told = () =>
      lines
        .map(({ text }) => JSON.parse(text.replace(/ \{.*$/, "")))
        .find(({ inputs }) => inputs.controllers.length === controllers.length);
    // An update that is late leaves out the next: it is asked until this one is told of.
    await patiently(async () => {
      await app.tick({ ...HEAD, controllers });
      return told() !== undefined;
    }, "a line");
    seen.push(told());
  }
  const pose = { position: HEAD.position, orientation: HEAD.orientation };
  t.same(seen, [
    { pose, inputs: { controllers: [left, right] } },
    { pose, inputs: { controllers: [right] } },
    { pose, inputs: { controllers: [] } },
  ]);
});

t.test("whatever finite transforms an app writes are what is drawn, rotations made of length one", async (t) => {
  const count = 5;
  const started = await start(
    t,
    updating(`
    const read = inputs.controllers[0];
    const value = (n) => Math.sin(read.position.x * (n + 1)) * read.position.y;
    const t = scene.transforms;
    for (let i = 0; i < ${count}; i += 1) {
      for (const part of [0, 1, 2, 7, 8, 9]) t[i * 11 + part] = value(i * 11 + part);
      const turn = value(i);
      t[i * 11 + 3] = 0; t[i * 11 + 4] = Math.sin(turn) * 1.2; t[i * 11 + 5] = 0; t[i * 11 + 6] = Math.cos(turn) * 1.2;
      t[i * 11 + 10] = read.trigger;
    }`),
    sceneOf(count),
  );
  const part = fc.double({ min: -1_000, max: 1_000, noNaN: true });
  await fc.assert(
    fc.asyncProperty(part, part, fc.double({ min: 0, max: 1, noNaN: true }), async (x, y, trigger) => {
      const controller = { hand: "left", position: { x, y, z: 0 }, orientation: HEAD.orientation, trigger } as const;
      const controllers = [{ ...controller, squeeze: 0, thumbstick: { x: 0, y: 0 } }];
      const value = (n: number): number => Math.fround(Math.sin(x * (n + 1)) * y);
      const isSame = (at: (index: number) => number): boolean =>
        Array.from({ length: count }, (_, i) => i * TRANSFORM_FLOATS).every((base, i) => {
          const turn = Math.sin(x * (i + 1)) * y;
          const moved = [0, 1, 2, 7, 8, 9].every((offset) => at(base + offset) === value(base + offset));
          const turned =
            Math.abs(at(base + 4) - Math.sin(turn)) < 1e-6 && Math.abs(at(base + 6) - Math.cos(turn)) < 1e-6;
          return moved && turned && at(base + 10) === Math.fround(trigger);
        });
      await tickUntil(started, isSame, { ...HEAD, controllers });
      return true;
    }),
    { numRuns: 60 },
  );
  t.equal(started.app.refused, 0);
});

/** By what they are: the module, and what is said of it at set-up. */
const NOT_SET_UP: readonly (readonly [what: string, source: string, said: RegExp])[] = [
  [
    "a syntax error",
    "export function init() {}\nexport function update() {\n  let x = ;\n}",
    /^app\.js:3:11: SyntaxError: /,
  ],
  [
    "a throw of its module",
    "export const init = 1;\nmissing.part();",
    /^app\.js:2:1: ReferenceError: .*, in its module$/,
  ],
  [
    "a throw of init",
    "export function init() {\n  null.x;\n}\nexport function update() {}",
    /^app\.js:2:\d+: TypeError: .*, in init$/,
  ],
  [
    "a thrown text",
    "export function init() { throw 'no' }\nexport function update() {}",
    /^app\.js: threw no, in init$/,
  ],
  ["no update", "export function init() {}", /must export the functions init\(scene\) and update/],
  ["an import", "import { x } from './other.js';\nexport function init() {}", /other\.js/],
  [
    "an import later",
    "export async function init() { await import('node:fs') }\nexport function update() {}",
    /node:fs/,
  ],
  ["a promise that nobody settles", "await new Promise(() => {});", /waits for a promise/],
  [
    "an init without end",
    "export function init() {\n  for (;;) {}\n}\nexport function update() {}",
    /^app\.js:\d+:\d+: init did not finish within 1000 ms/,
  ],
  [
    "a rejected init",
    "export async function init() { throw new RangeError('x') }\nexport function update() {}",
    /RangeError: x, in init/,
  ],
  ["a module without end", "for (;;) {}", /its module did not finish/],
  [
    "memory without end",
    "const all = [];\nfor (;;) all.push(new Array(1000).fill(1.5));",
    /^app\.js:2:\d+: InternalError: out of memory/,
  ],
  ["recursion without end", "function f() { return f() + 1 }\nf();", /^app\.js:1:\d+: InternalError: stack overflow/],
  ["promises without end", "const again = () => Promise.resolve().then(again);\nagain();", /more than 1000 promises/],
  [
    "an error that never says what it is",
    "throw Object.defineProperty(new Error('a'), 'message', { get() { for (;;) {} } })",
    /in its module/,
  ],
];

t.test("what is no app is refused at set-up, with its place", async (t) => {
  for (const [what, source, said] of NOT_SET_UP) {
    const failures: Failure[] = [];
    const options = { source, scene: sceneOf(2), clock: systemClock, onLine: () => undefined };
    const failed = await RunningApp.start({ ...options, onFailed: (failure) => void failures.push(failure) }).then(
      () => undefined,
      (error: unknown) => error,
    );
    t.ok(isFailure(failed, "app-invalid"), `${what}: ${String(failed)}`);
    t.match(String(failed instanceof Error ? failed.message : failed), said, what);
    t.same(failures, [failed], `${what}: said once`);
  }
});

/** By what they do in the third tick. */
const ENDED: readonly (readonly [what: string, body: string, said: RegExp])[] = [
  ["throws", "scene.nothing.at();", /^app\.js:\d+:\d+: TypeError: .*, in update$/],
  ["rejects", "return Promise.reject(new Error('later'));", /Error: later, in update$/],
  ["never finishes", "for (;;) {}", /^app\.js:\d+:\d+: update did not finish within 250 ms$/],
  ["catches and never finishes", "try { for (;;) {} } catch { for (;;) {} }", /update did not finish within 250 ms$/],
  [
    "stays in a built-in",
    "('a'.repeat(2 ** 22)).indexOf('a'.repeat(2 ** 21) + 'b');",
    /^app\.js: update did not finish within 250 ms$/,
  ],
  [
    "sorts without end",
    "const all = Array.from({ length: 4e5 }, (_, i) => Math.sin(i)); for (;;) all.toSorted();",
    /update did not finish within 250 ms|out of memory/,
  ],
  [
    "takes all memory",
    "const all = []; for (;;) all.push(new Array(1000).fill(1.5));",
    /InternalError: out of memory|did not finish/,
  ],
  ["recurses", "const f = () => f() + 1; f();", /InternalError: stack overflow/],
  ["gives its memory away", "scene.transforms.buffer.transfer();", /scene.transforms is not there any more/],
];

t.test("what goes wrong later ends the app with its place, and its thread", async (t) => {
  for (const [what, body, said] of ENDED) {
    const started = await start(
      t,
      updating(`globalThis.ticks = (globalThis.ticks ?? 0) + 1;\nif (ticks === 3) {\n${body}\n}`),
    );
    const { app, failures } = started;
    await patiently(async () => {
      await app.tick(HEAD);
      return failures.length > 0;
    }, what);
    t.equal(failures[0]?.code, "app-failed", `${what}: ${failures[0]?.message}`);
    t.match(failures[0]?.message, said, what);
    t.ok((await app.tick(HEAD)).length > 0, `${what}: its last state stays`);
    t.equal(failures.length, 1, `${what}: said once`);
    await app[Symbol.asyncDispose]();
  }
});

t.test("a state that cannot be drawn is not, is counted and said, and the next that can is", async (t) => {
  const body = "scene.transforms[0] = inputs.controllers.length > 0 ? 7 : scene.bad; scene.transforms[4] = scene.turn;";
  for (const [bad, said] of [
    ["NaN", /object box-0: position must be within/],
    ["1e30", /object box-0: position must be within/],
    ["Infinity", /object box-0: position must be within/],
  ] as const) {
    const started = await start(t, updating(body.replace("scene.bad", bad).replace("scene.turn", "0")));
    const { app, lines } = started;
    await patiently(async () => {
      t.equal((await app.tick(HEAD))[0], 0, bad);
      return app.refused > 8 && lines.length > 3;
    }, "counted");
    t.match(lines[0], { level: "warn", text: said });
    const counts = lines.map(({ text }) => /\((\d+) so far\)/.exec(text)?.[1]);
    t.same(counts.slice(0, 4), ["1", "2", "4", "8"], `${bad}: the same is told when there are twice as many`);
    const controllers = [{ hand: "left", position: HEAD.position, orientation: HEAD.orientation } as const];
    const held = controllers.map((one) => ({ ...one, trigger: 0, squeeze: 0, thumbstick: { x: 0, y: 0 } }));
    await tickUntil(started, (at) => at(0) === 7, { ...HEAD, controllers: held });
  }
  const turned = await start(t, updating("scene.transforms[3] = 0; scene.transforms[6] = 0;"));
  await patiently(async () => {
    t.equal((await turned.app.tick(HEAD))[6], 1);
    return turned.app.refused > 0;
  }, "counted");
  t.match(turned.lines[0]?.text, /unit quaternion/);
});

t.test("there is nothing of the machine in an app's world", async (t) => {
  const source = `export function init() {
  const ambient = ["process", "require", "fetch", "setTimeout", "setInterval", "Date", "performance", "WebAssembly",
    "Worker", "XMLHttpRequest", "navigator", "crypto", "std", "os", "module", "Buffer", "queueMicrotask", "print"];
  console.log(ambient.filter((name) => name in globalThis).join(" "), typeof import.meta.url);
}
export function update() {}`;
  const { lines } = await start(t, source);
  await patiently(() => lines.length > 0, "a line");
  t.equal(lines[0]?.text.trim(), "undefined");
});

t.test("lines are bounded in number and length", async (t) => {
  const { app, lines } = await start(
    t,
    updating("for (let i = 0; i < 1000; i += 1) console.warn('x'.repeat(10000), { i });"),
  );
  await app.tick(HEAD);
  await patiently(() => lines.length >= 20, "lines");
  t.equal(lines.length, 20);
  t.same(new Set(lines.map(({ level, text }) => `${level} ${text.length}`)), new Set(["warn 500"]));
});

t.test("a tick of 300 objects (its cost is a comment: a machine's load is in it)", async (t) => {
  const body = `const t = scene.transforms;
  for (let i = 0; i < 300; i += 1) {
    const turn = (globalThis.seconds = (globalThis.seconds ?? 0) + dt / 300) + i;
    t[i * 11] = Math.cos(turn); t[i * 11 + 1] = 1; t[i * 11 + 2] = Math.sin(turn);
    t[i * 11 + 4] = Math.sin(turn / 2); t[i * 11 + 6] = Math.cos(turn / 2);
  }`;
  const started = await start(t, updating(body), sceneOf(300));
  const timesMs: number[] = [];
  for (let tick = 0; tick < 200; tick += 1) {
    const beganMs = systemClock.monotonicMs();
    await started.app.tick(HEAD);
    timesMs.push(systemClock.monotonicMs() - beganMs);
    await started.app.settle();
  }
  timesMs.sort((a, b) => a - b);
  const at = (ratio: number): string => (timesMs[Math.floor(timesMs.length * ratio)] ?? 0).toFixed(2);
  t.comment(`300 objects, from the pose to the state: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, of at most 4`);
  t.same(started.failures, []);
});

t.test(
  "an app starts, moves and stops the sounds of its scene; what cannot be heard is refused by its name",
  async (t) => {
    const bare = { tone: { hertz: 440 }, gain: 1, loop: false, plays: false };
    const sounds = ["hum", "knock"].map((name) => ({ ...bare, name, position: [0, 1, 0] as [number, number, number] }));
    const scene = { ...sceneOf(1), sounds };
    const source = updating(`  const { hum, knock } = scene.sounds;
  if (Object.keys(scene.sounds).join() !== "hum,knock") throw new Error("names");
  if (dt < 0) return;
  ticks += 1;
  if (ticks === 1) hum.play({ position: pose.position, gain: 0.5 });
  if (ticks === 2) hum.stop();
  if (ticks === 3) { hum.play(); hum.move({ x: 4, y: 5, z: 6 }); hum.setGain(2); }
  if (inputs.controllers.length > 0) knock.setGain(NaN);`).replace("let scene;", "let scene; let ticks = 0;");
    const started = await start(t, source, scene);
    const { app, lines } = started;
    await tickUntil(started, (at) => at(TRANSFORM_FLOATS + 4) === 2);
    const state = await app.tick(HEAD);
    t.same([...state.subarray(TRANSFORM_FLOATS, -HELD_FLOATS)], [4, 5, 6, 2, 2, 0, 1, 0, 1, 0]);
    const hand: ControllerPose = {
      ...{ hand: "left", position: { x: 0, y: 1, z: 0 }, orientation: { x: 0, y: 0, z: 0, w: 1 } },
      ...{ trigger: 0, squeeze: 0, thumbstick: { x: 0, y: 0 } },
    };
    await patiently(async () => {
      await app.tick({ ...HEAD, controllers: [hand] });
      return lines.length > 0;
    }, "a warning");
    t.match(lines[0], { level: "warn", text: /not drawn .*sound knock: gain must be 0\.\.4, got NaN/ });
  },
);

t.test("what a hand holds is told with its place in the hand, and refused by name where it is no object", async (t) => {
  const hand: ControllerPose = {
    ...{ hand: "right", position: { x: 1, y: 1, z: 0 }, orientation: { x: 0, y: Math.SQRT1_2, z: 0, w: Math.SQRT1_2 } },
    ...{ trigger: 0, squeeze: 0, thumbstick: { x: 0, y: 0 } },
  };
  const source = updating(`  scene.transforms.set([1, 1, -2, 0, 0, 0, 1], scene.stride);
  const [controller] = inputs.controllers;
  if (controller === undefined || controller.trigger === 0) scene.hold("right", "box-1");
  if (controller?.trigger === 0.5) scene.hold("right", null);
  if (controller?.trigger === 1) new Float32Array(scene.transforms.buffer).fill(9, -8, -7);`);
  const started = await start(t, source, sceneOf(2));
  const { app, lines } = started;
  const holding = async (trigger: number | undefined) => {
    const controllers = trigger === undefined ? [] : [{ ...hand, trigger }];
    const state = await app.tick({ ...HEAD, controllers });
    return heldBy(state, 1);
  };
  await patiently(async () => (await holding(0)) !== undefined, "a held object");
  const held = await holding(0);
  t.equal(held?.object, 1);
  const { x = 0, y = 0, z = 0 } = held?.position ?? {};
  // Turned to the left, what is ahead of the world's axes is to the hand's right.
  t.ok(Math.hypot(x - 2, y, z) < 1e-6, JSON.stringify(held));
  t.ok(Math.abs((held?.orientation.y ?? 0) + Math.SQRT1_2) < 1e-6, JSON.stringify(held));
  await patiently(async () => (await holding(0.5)) === undefined, "let go");
  await patiently(async () => (await holding(0)) !== undefined, "held again");
  await patiently(async () => (await holding(undefined)) === undefined, "a hand that is not there holds nothing");
  await patiently(async () => {
    await holding(1);
    return lines.length > 0;
  }, "a warning");
  t.match(lines[0], { level: "warn", text: /not drawn .*the right hand must hold one of 2 objects, got number 9/ });
});

t.test("an app that holds what is no object, or with no hand, fails by that name", async (t) => {
  for (const [words, message] of [
    [`"right", "chair"`, /hold: no object chair/],
    [`"third", "box-1"`, /hold: hand must be left or right, got third/],
  ] as const) {
    const started = await start(t, updating(`  scene.hold(${words});`), sceneOf(2));
    await patiently(async () => {
      await started.app.tick(HEAD);
      return started.failures.length > 0;
    }, "its end");
    t.match(started.failures[0], { code: "app-failed", message }, words);
  }
});
