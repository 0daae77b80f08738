/** Sounds as they are heard: louder at the nearer ear and nearby, when they were started, without clicks. */
import fc from "fast-check";
import t from "tap";
import { toneIn } from "#test/render-agent/tones.ts";
import { wavOf } from "#test/render-agent/wav-file.ts";
import { planBlocks } from "./block-plan.ts";
import { Mixer } from "./mixer.ts";
import { earGainsOf, type Head } from "./placing.ts";
import { makeSounds } from "./scene-sounds.ts";
import { checkSoundState } from "./sound-state.ts";
import { readWav } from "./wav.ts";

const HERTZ = 500;
const MIDDLE = { x: 0, y: 1.6, z: 0 };
const AHEAD: Head = { position: MIDDLE, orientation: { x: 0, y: 0, z: 0, w: 1 } };
const BACK: Head = { position: MIDDLE, orientation: { x: 0, y: 1, z: 0, w: 0 } };

const toneOf = (loop: boolean) =>
  makeSounds([
    { name: "tone", tone: { hertz: HERTZ, seconds: 0.1 }, position: [0, 0, 0], gain: 1, loop, plays: false },
  ]);

/** Both ears of some blocks. */
function hear(mixer: Mixer, blocks: number): { left: number[]; right: number[] } {
  const all = Array.from({ length: blocks }, () => [...mixer.mix()]).flat();
  return { left: all.filter((_, at) => at % 2 === 0), right: all.filter((_, at) => at % 2 === 1) };
}

t.test("the nearer ear hears more, whichever way the head is turned, and half at twice the distance", async (t) => {
  const mixer = new Mixer(toneOf(true));
  const loudness = (head: Head, x: number) => {
    mixer.setHead(head);
    mixer.apply(new Float32Array([x, 1.6, 0, 1, 1]));
    mixer.mix();
    const { left, right } = hear(mixer, 10);
    return { left: toneIn(left, HERTZ).amplitude, right: toneIn(right, HERTZ).amplitude };
  };
  const [right, turned, far] = [loudness(AHEAD, 2), loudness(BACK, 2), loudness(AHEAD, 4)];
  t.ok(right.right > 0.2 && right.left < 0.001, JSON.stringify(right));
  t.ok(turned.left > 0.2 && turned.right < 0.001, JSON.stringify(turned));
  t.ok(Math.abs(far.right / right.right - 0.5) < 0.001, JSON.stringify(far));
});

t.test("turned to the left what was ahead is on the right, and tilted to the left what is above", async (t) => {
  const half = Math.SQRT1_2;
  const toTheRight = [
    { what: "ahead", position: { x: 0, y: 1.6, z: -2 }, orientation: { x: 0, y: half, z: 0, w: half } },
    { what: "above", position: { x: 0, y: 3.6, z: 0 }, orientation: { x: 0, y: 0, z: half, w: half } },
  ];
  for (const { what, position, orientation } of toTheRight) {
    const { left, right } = earGainsOf(position, { position: MIDDLE, orientation });
    t.ok(right > 0.49 && left < 1e-9, `${what}: ${left}, ${right}`);
  }
});

t.test("from wherever it comes, both ears together have the power of its distance", async (t) => {
  const part = fc.double({ min: -20, max: 20, noNaN: true });
  const unit = fc
    .tuple(part, part, part, part)
    .filter((parts) => Math.hypot(...parts) > 0.1)
    .map(([x, y, z, w]) => {
      const length = Math.hypot(x, y, z, w);
      return { x: x / length, y: y / length, z: z / length, w: w / length };
    });
  fc.assert(
    fc.property(fc.record({ x: part, y: part, z: part }), unit, (position, orientation) => {
      const { left, right } = earGainsOf(position, { position: MIDDLE, orientation });
      const distance = Math.hypot(position.x, position.y - MIDDLE.y, position.z);
      t.ok(left >= 0 && right >= 0);
      t.ok(Math.abs(Math.hypot(left, right) * Math.max(1, distance) - 1) < 1e-9, JSON.stringify({ left, right }));
    }),
  );
});

t.test("a sound begins when it is started, again and again, ends by itself, and stops within a block", async (t) => {
  const once = new Mixer(toneOf(false));
  const [x, y, z, gain] = [0, 1.6, -1, 1];
  t.equal(once.isActive, false);
  once.apply(new Float32Array([x, y, z, gain, 1]));
  t.equal(toneIn(hear(once, 9).left, HERTZ).amplitude > 0.3, true);
  once.apply(new Float32Array([x, y, z, gain, 1]));
  hear(once, 1);
  t.equal(once.isActive, false, "the same count starts nothing");
  once.apply(new Float32Array([x, y, z, gain, 2]));
  t.equal(once.isActive, true);
  once.elapse(4);
  t.equal(once.isActive, true);
  once.elapse(6);
  t.equal(once.isActive, false, "its time passes unheard too");
  once.apply(new Float32Array([x, y, z, gain, -3]));
  t.equal(once.isActive, false, "started and stopped in one tick");
  const loop = new Mixer(toneOf(true));
  loop.apply(new Float32Array([x, y, z, gain, 1]));
  const before = hear(loop, 100).left;
  t.ok(toneIn(before, HERTZ).share > 0.9999, "without a seam");
  loop.apply(new Float32Array([x, y, z, gain, -1]));
  const after = hear(loop, 1).left;
  const steps = [...before.slice(-1), ...after].map((value, at, all) => Math.abs(value - (all[at - 1] ?? value)));
  t.ok(Math.max(...steps) < 0.03, "it fades");
  t.equal(loop.isActive, false);
  t.ok(hear(loop, 1).left.every((value) => value === 0));
});

t.test("a file that is read is mixed to numbers, however short it is and whenever it is heard", async (t) => {
  const steps = fc.array(fc.record({ unheard: fc.nat(3), heard: fc.nat(2), starts: fc.integer({ min: -3, max: 3 }) }));
  const samples = fc.array(fc.integer({ min: -32_768, max: 32_767 }), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(samples, fc.boolean(), steps, (values, loop, all) => {
      const mixer = new Mixer([{ name: "short", samples: readWav(wavOf(values), "short"), loop }]);
      mixer.apply(new Float32Array([0, 1.6, -1, 1, 1]));
      for (const { unheard, heard, starts } of all) {
        mixer.elapse(unheard);
        const { left, right } = hear(mixer, heard);
        t.ok(
          [...left, ...right].every((value) => Math.abs(value) <= 1),
          "within full scale",
        );
        mixer.apply(new Float32Array([0, 1.6, -1, 1, starts]));
      }
      mixer.apply(new Float32Array([0, 1.6, -1, 1, -9]));
      mixer.mix();
      t.notOk(mixer.isActive, "and it ends");
    }),
  );
});

t.test("sums beyond full scale are clipped", async (t) => {
  const tone = (name: string) => ({
    name,
    tone: { hertz: HERTZ },
    position: [0, 0, 0] as [number, number, number],
    gain: 4,
  });
  const mixer = new Mixer(makeSounds(["a", "b"].map((name) => ({ ...tone(name), loop: true, plays: true }))));
  mixer.apply(new Float32Array([0, 1.6, -1, 4, 1, 0, 1.6, -1, 4, 1]));
  const { left } = hear(mixer, 2);
  t.equal(Math.max(...left), 1);
  t.equal(Math.min(...left), -1);
});

t.test("a state that cannot be heard is named", async (t) => {
  const check = (...values: number[]) => checkSoundState(new Float32Array([0, 0, 0, 1, 0, ...values]), ["a", "b"]);
  t.equal(check(1, 2, 3, 4, -5), undefined);
  t.match(check(Number.NaN, 2, 3, 1, 0), /^sound b: position/);
  t.match(check(1, 2, 10_001, 1, 0), /^sound b: position/);
  t.match(check(1, 2, 3, -0.1, 0), /^sound b: gain/);
  t.match(check(1, 2, 3, 4.1, 0), /^sound b: gain/);
  t.match(check(1, 2, 3, 1, Number.POSITIVE_INFINITY), /^sound b: its count/);
});

t.test("each block is made once or skipped, late ones are skipped, and none before its time", async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: -200, max: 2_000 }), (quarters) => {
      const lateMs = quarters / 4;
      const { skipped, made } = planBlocks(1_000 + lateMs, 1_000);
      const due = lateMs < 0 ? 0 : Math.floor(lateMs / 10) + 1;
      t.equal(skipped + made, due, String(lateMs));
      t.ok(made <= 4, `${made} at once, ${lateMs} ms late`);
      t.ok(lateMs - skipped * 10 <= 30 || made === 0, `${lateMs}`);
    }),
  );
  t.same(planBlocks(1_012, 1_000), { skipped: 0, made: 2 });
  t.same(planBlocks(1_045, 1_000), { skipped: 2, made: 3 });
});
