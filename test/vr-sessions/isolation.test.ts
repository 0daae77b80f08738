/** A crash in native code ends one session: real processes under the agent's host, two clients, and a SIGSEGV. */
import { join } from "node:path";
import t, { type Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { seededRandom } from "#platform/random.ts";
import { sessionsThatFit } from "#render-agent/capacity/room.ts";
import { findVulkan, prepareVulkan } from "#render-agent/renderer/software-vulkan.ts";
import { Leases } from "#render-agent/session/leases.ts";
import { type EndedLease, SessionHost } from "#render-agent/session/session-host.ts";
import { type SessionProcess, startSessionProcess } from "#render-agent/session/session-process.ts";
import { Spares } from "#render-agent/session/spares.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { type OfferingViewer, offerViewer } from "#test/render-agent/viewer.ts";

const renderClass = { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 };
const HALL = join(import.meta.dirname, "../../deploy/one-machine/sample/scene/hall.json");
const COST = { shareRatio: 0.5, memoryBytes: 1 };
const ROOM = { slotsMax: 2, memoryBytes: 2 };
const FRAME_BOUNDS = { msMax: 20, fullMsP95: 20 };
const FRAMES = 20;

const [vulkan = { kind: "device" as const }] = await findVulkan();
const environment = await prepareVulkan(vulkan, join(import.meta.dirname, "../../.cache/vulkan"));

/** Spares and host as an agent has them; of grants, fences and edges only what they give. */
function openHost(t: Test) {
  const clock = systemClock;
  const [started, taken]: SessionProcess[][] = [[], []];
  const spares = new Spares({
    ...{ clock, count: 1, random: seededRandom(1), onHealth() {} },
    async start() {
      const process = await startSessionProcess({ clock, environment });
      started?.push(process);
      return process;
    },
  });
  const leases = new Leases({ slotsMax: ROOM.slotsMax, clock });
  const ended: EndedLease[] = [];
  let counter = 0;
  const nextCounter = (): number => {
    counter += 1;
    return counter;
  };
  const host = new SessionHost({
    ...{ clock, leases },
    fences: { next: async () => ({ incarnation: "i-1", counter: nextCounter() }) },
    verify: async ({ token, thumbprint }) => ({ ...JSON.parse(token), cnf: { jkt: thumbprint } }),
    async takeProcess() {
      const process = await spares.take();
      taken?.push(process);
      return process;
    },
    hostedClass: () => ({ renderClass, sceneFile: HALL, detail: 0.3, cost: COST, frames: FRAME_BOUNDS }),
    noRoomBecause: ({ cost }, running) => (sessionsThatFit(cost, running, ROOM) > 0 ? undefined : "it is full"),
    closedBecause: () => undefined,
    sessionSecondsMax: () => 600,
    mediaOf: () => ({ bindAddress: "127.0.0.1", port: 0 }),
    issueUrl: () => "",
    onAppLine() {},
    onEnded: (one) => void ended.push(one),
    onChange() {},
  });
  t.teardown(async () => {
    await host[Symbol.asyncDispose]();
    await spares[Symbol.asyncDispose]();
  });
  const join = async (viewer: OfferingViewer, session: string, attempt: number) => {
    const token = JSON.stringify({ session, attempt, app: "hall", tier: "strict", renderClass: "tiny" });
    const media = { kind: "webrtc", offerSdp: viewer.offerSdp } as const;
    const lease = await host.lease({ edge: "near-1", token, thumbprint: session, media });
    viewer.answer(lease.answerSdp);
    await patiently(() => viewer.received.frames.length > 0, `frames of ${session}`);
    return lease;
  };
  return { join, leases, ended, started: started ?? [], taken: taken ?? [] };
}

t.test(
  "a SIGSEGV in one session's process: the other's frames go on, and a warm process takes its place",
  async (t) => {
    const { join, leases, ended, started, taken } = openHost(t);
    await using first = await offerViewer();
    await using second = await offerViewer();
    await join(first, "first", 1);
    await join(second, "second", 1);
    await patiently(() => started.length === 3, "a spare beside the two");
    t.equal(leases.freeSlot(), undefined, "both slots are taken");
    const { frames } = second.received;
    const seenBefore = frames.length;
    process.kill(taken[0]?.pid ?? 0, "SIGSEGV");
    await patiently(() => ended.length > 0, "the end is told");
    t.match(ended, [{ lease: { session: "first" }, reason: "process-exited: SIGSEGV", wasAnswered: true }]);
    t.equal(leases.freeSlot(), 0, "its slot is free again");
    await using back = await offerViewer();
    const again = await join(back, "first", 2);
    t.ok(again.fence.counter > 2, "with a new fence");
    t.equal(taken[2], started[2], "its process was warm before the crash");
    t.ok(back.received.frames[0]?.header.key, "its frames begin with a key frame");
    await patiently(() => frames.length >= seenBefore + FRAMES, "frames of the other session");
    const numbers = frames.map(({ header }) => header.frameNumber);
    const expected = Array.from({ length: frames.length }, (_, at) => (numbers[0] ?? 0) + at);
    t.same(numbers, expected, "not one of its frames is missing or out of order");
    const poses = frames.map(({ header }) => header.poseId);
    t.ok(
      poses.every((pose, at) => at === 0 || pose > (poses[at - 1] ?? 0)),
      "and each follows a newer pose",
    );
    t.same(ended.length, 1, "it has not ended");
    await patiently(() => started.length === 4, "another spare");
  },
);
