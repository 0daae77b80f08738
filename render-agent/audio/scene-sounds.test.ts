/** Sounds of a scene: files are found, taken in and read, and what is none of it is named. */
import fc from "fast-check";
import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { soundScene } from "#test/render-agent/sound-scene.ts";
import { wavOf } from "#test/render-agent/wav-file.ts";
import { parseScene } from "../renderer/scene.ts";
import { makeSounds, soundPathsOf, withFiles } from "./scene-sounds.ts";
import { readWav } from "./wav.ts";

t.test("a file beside the scene is taken into it and read back", async (t) => {
  const { sounds = [] } = parseScene(soundScene([{ name: "knock", file: "sounds/knock.wav" }]));
  t.same([...soundPathsOf(sounds, "/apps/cube/scene.json")], [["sounds/knock.wav", "/apps/cube/sounds/knock.wav"]]);
  const samples = [0, 1000, -1000, 32_767, -32_768];
  const own = withFiles(sounds, new Map([["sounds/knock.wav", wavOf(samples)]]));
  const { sounds: read = [] } = parseScene(soundScene(own));
  t.equal(soundPathsOf(read, "/scene.json").size, 0);
  t.same(
    makeSounds(read).map((sound) => [...sound.samples]),
    [samples],
  );
});

t.test("two channels become one, and other rates 48 kHz", async (t) => {
  t.same([...readWav(wavOf([100, 300, -100, -300], 2), "sounds[0]")], [200, -200]);
  const slow = readWav(wavOf([0, 100, 200, 300], 1, 24_000), "sounds[0]");
  t.same([...slow], [0, 50, 100, 150, 200, 250, 300, 150]);
});

t.test("a file without a single sample is refused by name, whether its samples loop or not", async (t) => {
  const empty: readonly (readonly [what: string, wav: Buffer])[] = [
    ["a data chunk of no bytes", wavOf([])],
    ["half a frame of two channels", wavOf([1], 2)],
    ["one sample at 96 kHz, which is half of one at 48", wavOf([1], 1, 96_000)],
  ];
  for (const [what, wav] of empty) {
    for (const loop of [true, false]) {
      const { sounds = [] } = parseScene(soundScene([{ name: "empty", file: "empty.wav", loop, plays: true }]));
      const own = withFiles(sounds, new Map([["empty.wav", wav]]));
      t.throws(() => makeSounds(own), { code: "scene-invalid", message: /sounds\[0\]\.file: must have samples/ }, what);
    }
  }
});

t.test("whatever bytes there are, they are samples or refused by name", async (t) => {
  const seen = { read: 0, refused: 0 };
  const damaged = fc
    .tuple(fc.array(fc.integer({ min: -32_768, max: 32_767 }), { maxLength: 20 }), fc.nat(43), fc.nat(255), fc.nat(2))
    .map(([samples, at, value, cut]) => {
      const bytes = wavOf(samples);
      bytes[at] = value;
      return bytes.subarray(0, bytes.length - cut);
    });
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 100 })), (bytes) => {
      try {
        readWav(bytes, "sounds[3].file");
        seen.read += 1;
      } catch (error) {
        if (!isFailure(error, "scene-invalid")) throw error;
        t.match(error.message, /sounds\[3\]\.file/);
        seen.refused += 1;
      }
    }),
    { numRuns: 1_000 },
  );
  t.comment(JSON.stringify(seen));
  t.ok(seen.read > 20 && seen.refused > 20, JSON.stringify(seen));
});

t.test("what is no sound is named with its place", async (t) => {
  const tone = { hertz: 440 };
  const cases: readonly (readonly [readonly object[], RegExp])[] = [
    [[{ name: "a" }], /sounds\[0\] must have one of/],
    [[{ name: "a", tone, noise: {} }], /sounds\[0\] must have one of/],
    [
      [
        { name: "a", tone },
        { name: "a", tone },
      ],
      /sounds\[1\]\.name must be unique/,
    ],
    [[{ name: "a", tone: { hertz: 1 } }], /hertz/],
    [[{ name: "a", tone, gain: 5 }], /gain/],
    [[{ name: "a", tone, position: [0, 0, 10_001] }], /position/],
    [Array.from({ length: 33 }, (_, index) => ({ name: `${index}`, tone })), /sounds/],
  ];
  for (const [sounds, message] of cases) {
    t.throws(() => parseScene(soundScene(sounds)), { code: "scene-invalid", message }, String(message));
  }
  const { sounds = [] } = parseScene(soundScene([{ name: "a", file: "../other.wav" }]));
  t.throws(() => soundPathsOf(sounds, "/apps/scene.json"), { code: "scene-invalid", message: /sounds\[0\]\.file/ });
  t.throws(() => makeSounds(sounds), { code: "scene-invalid", message: /bundle/ });
});
