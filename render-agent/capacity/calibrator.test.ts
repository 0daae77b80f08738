/** Calibration with simulated processes: an app that fails costs itself, not what is measured after it. */
import { join } from "node:path";
import t, { type Test } from "tap";
import { Failure } from "#domain/failure.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import type { SessionProcess } from "../session/session-process.ts";
import { CALIBRATION_MS_MAX, type CalibrationJob, openCalibrator } from "./calibrator.ts";

const renderClass = { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 };
/** More at once are late. */
const SESSIONS_HELD = 3;
const ADAPTER = { adapterName: "simulated", isSoftware: false };
const jobOf = (name: string): CalibrationJob => {
  return { app: { name }, renderClass, sceneFile: `${name}.json`, appFile: `${name}.js`, sceneDigest: name };
};

async function setUp(t: Test) {
  const refused: string[] = [];
  const counts = { started: 0, stopped: 0, givenBack: 0, setUps: 0, rested: 0 };
  const stopping = new AbortController();
  const clock = new VirtualClock();
  let measuring = 0;
  const processOf = (): SessionProcess => {
    const { promise: ended, resolve: end } = Promise.withResolvers<string>();
    return simulated(ended, end);
  };
  const simulated = (ended: Promise<string>, end: (reason: string) => void): SessionProcess => ({
    pid: 1,
    ...ADAPTER,
    ended,
    async setUp({ appFile }) {
      counts.setUps += 1;
      if (appFile === "bad.js") throw new Failure("app-invalid", "app.js:3:1: SyntaxError: no");
      if (appFile === "image.js") throw new Failure("scene-invalid", "scene.glb: images[0] is no picture");
      if (appFile === "gpu.js") throw new Failure("unavailable", "the GPU is gone");
      if (appFile === "endless.js") {
        await clock.advance(CALIBRATION_MS_MAX + 1);
        throw new Failure("deadline-exceeded", "a session's process gave no ready within 10000 ms");
      }
      if (appFile === "slow.js") throw new Failure("unavailable", `the session ended: ${await ended}`);
    },
    async measure() {
      measuring += 1;
      await Promise.resolve();
      const framesMs: readonly number[] = Array(30).fill(measuring <= SESSIONS_HELD ? 5 : 25);
      measuring -= 1;
      return { framesMs, renderEncodeMs: framesMs, windowMs: 1_000, cpuMs: 1 };
    },
    rest() {
      counts.rested += 1;
    },
    accept: async () => "",
    hand() {},
    onStatistics() {},
    awaitClient() {},
    onAppLine() {},
    stop(reason) {
      counts.stopped += 1;
      end(reason);
    },
  });
  const calibrator = await openCalibrator({
    path: join(testFolder(t), "calibrations.json"),
    processors: 2,
    clock,
    events: {
      calibrated() {},
      appRefused: (_job, { message }) => void refused.push(message),
      storageFailed: (error) => t.fail(String(error)),
    },
  });
  const measure = (names: readonly string[]) =>
    calibrator.measure(ADAPTER, names.map(jobOf), {
      takeProcess: async () => {
        counts.started += 1;
        return processOf();
      },
      giveBack() {
        counts.givenBack += 1;
      },
      sessionsMax: 8,
      signal: stopping.signal,
    });
  return { calibrator, counts, refused, measure, stopping };
}

t.test("an app that fails is refused by its words and not tried again, and the next is measured", async (t) => {
  const { calibrator, counts, refused, measure } = await setUp(t);
  await measure(["bad", "good"]);
  t.equal(calibrator.find("simulated", jobOf("bad")), undefined);
  t.match(calibrator.refusalOf(jobOf("bad")), { code: "app-invalid", message: /SyntaxError/ });
  t.match(calibrator.find("simulated", jobOf("good")), { slots: 3, frameMsP95: 5, overMsP95: 25 });
  t.equal(calibrator.refusalOf(jobOf("good")), undefined);
  t.same(refused, ["app.js:3:1: SyntaxError: no"]);
  t.match(counts, { started: 5, stopped: 1, givenBack: 4, rested: 4 }, "the process that ran it is not used again");
  const { setUps } = counts;
  await measure(["bad"]);
  t.equal(counts.setUps, setUps);
});

t.test("a scene that cannot be read when it is set up is refused, and the next is measured", async (t) => {
  const { calibrator, refused, measure } = await setUp(t);
  await measure(["image", "good"]);
  t.match(calibrator.refusalOf(jobOf("image")), { code: "scene-invalid" });
  t.match(calibrator.find("simulated", jobOf("good")), { slots: 3 });
  t.same(refused, ["scene.glb: images[0] is no picture"]);
});

t.test("what is no fault of the app is tried again by who asked, and the next is measured", async (t) => {
  const { calibrator, counts, measure } = await setUp(t);
  await t.rejects(measure(["gpu", "good"]), { code: "unavailable" });
  t.equal(calibrator.refusalOf(jobOf("gpu")), undefined);
  t.match(calibrator.find("simulated", jobOf("good")), { slots: 3 });
  t.match(counts, { stopped: 1, givenBack: 4 });
});

t.test("a scene that takes all of the time takes it after the others when it is tried again", async (t) => {
  const { calibrator, measure } = await setUp(t);
  for (const isFirst of [true, false]) {
    await t.rejects(measure(["endless", "good"]), { code: "deadline-exceeded" });
    t.equal(calibrator.find("simulated", jobOf("good")) === undefined, isFirst, `first: ${isFirst}`);
  }
});

t.test("an agent that stops does not wait until all is measured", async (t) => {
  const { counts, measure, stopping } = await setUp(t);
  const measured = measure(["slow", "good"]);
  await new Promise(setImmediate);
  t.equal(counts.setUps, 1);
  stopping.abort(new Failure("unavailable", "the agent is stopping"));
  await t.rejects(measured, { code: "unavailable" });
  t.match(counts, { setUps: 1, stopped: 1, givenBack: 0 });
});
