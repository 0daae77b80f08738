/** What a real session's process has of its own in memory, and that the second of a machine compiles nothing again. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { SessionProcess } from "#render-agent/session/session-process.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { environment, startSession } from "#test/render-agent/started-session.ts";
import { offerViewer } from "#test/render-agent/viewer.ts";
import { testFolder } from "#test/test-folder.ts";

const MB = 1e6;
/**
 * Measured: 77 with lavapipe on two cores; 118 without the bounds, which is what this has to tell apart. What is shared with other
 * processes is left out, since it depends on how many there are.
 */
const OWN_BYTES_MAX = 100 * MB;
/** Node's type stripper and what it leaves: 11 were measured. */
const STRIPPER_BYTES_MIN = 4 * MB;
const FRAMES = 60;

const sceneFolder = join(import.meta.dirname, "../../deploy/one-machine/sample/scene");
const setup = {
  renderClass: { name: "small", eyeWidthPixels: 160, eyeHeightPixels: 180, frameRateHz: 30 },
  detail: 0.3,
  sceneFile: join(sceneFolder, "hall.json"),
  media: { bindAddress: "127.0.0.1", port: 0 },
};

/** Pages that no other process has, and that no file could give back. */
function ownBytes({ pid }: SessionProcess): number {
  const kilobytes = /^Private_Dirty:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1];
  return Number(kilobytes) * 1024;
}

const inMb = (bytes: number): string => `${(bytes / MB).toFixed(1)} MB`;

t.test("a session keeps within its memory, and what the first process compiled the next one has", async (t) => {
  const compiled = testFolder(t);
  const options = { environment: { ...environment, NODE_COMPILE_CACHE: compiled } };
  const first = await startSession(t, options);
  // It tells of itself every second: by then it has written.
  await new Promise<void>((resolve) => first.onStatistics(() => resolve()));
  const second = await startSession(t, options);
  await new Promise<void>((resolve) => second.onStatistics(() => resolve()));
  const [cold, warm] = [ownBytes(first), ownBytes(second)];
  t.ok(cold - warm > STRIPPER_BYTES_MIN, `the first waits with ${inMb(cold)}, the second with ${inMb(warm)}`);
  await second.setUp(setup);
  await using viewer = await offerViewer();
  viewer.answer(await second.accept(viewer.offerSdp));
  await patiently(() => viewer.received.frames.length >= FRAMES, "frames");
  const drawing = ownBytes(second);
  t.ok(drawing > warm && drawing <= OWN_BYTES_MAX, `with a client it has ${inMb(drawing)}`);
});
