/** Where there is no encoder, and where there are no sounds, that is what is said; nothing fails. */
import { registerHooks } from "node:module";
import t from "tap";
import { systemClock } from "#platform/clock.ts";
import { soundScene } from "#test/render-agent/sound-scene.ts";
import { parseScene } from "../renderer/scene.ts";
import { adviseOnSound, openSound } from "./open-sound.ts";

const PORTS = { clock: systemClock, epochOffsetMs: 0, send: () => true };
const sceneOf = (sounds: readonly object[]) => parseScene(soundScene(sounds));

t.test("without node-av there is no sound, which is said at the start and to who asks", async (t) => {
  const absent = registerHooks({
    resolve(specifier, context, next) {
      if (specifier.startsWith("node-av")) throw new Error("not installed");
      return next(specifier, context);
    },
  });
  t.teardown(() => absent.deregister());
  t.match(await adviseOnSound(), [/^sessions have no sound: .*node-av is not installed: npm ci brings it$/]);
  const opened = await openSound(sceneOf([{ name: "hum", tone: { hertz: 440 } }]), PORTS);
  t.equal(opened.sound, undefined);
  t.match(opened.silentBecause, /^no sound here: .*node-av is not installed/);
  absent.deregister();
  t.same(await adviseOnSound(), [], "and nothing where it is there");
});

t.test("a scene without sounds opens no encoder", async (t) => {
  t.same(await openSound(sceneOf([]), PORTS), { sound: undefined, silentBecause: "the scene has no sounds" });
});
