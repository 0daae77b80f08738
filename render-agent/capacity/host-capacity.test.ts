/** What a machine offers while calibrations fail, or sessions come meanwhile. */
import t from "tap";
import { Failure } from "#domain/failure.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import type { HostedApp } from "../scenes/scene-source.ts";
import { type CapacityOptions, HostCapacity, RETRY_MS } from "./host-capacity.ts";

/** Who tries as often has no pause, and would go on for ever. */
const TRIES_MAX = 10;
const APP: HostedApp = {
  name: "hall",
  spec: {
    bundle: { site: "vr", path: "/hall.json" },
    needs: { gpuShareRatio: 0.1, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 1 },
    classes: [{ name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 }],
  },
  releases: [],
};

function capacityOf(changes: Pick<CapacityOptions, "calibrator" | "clock"> & Partial<CapacityOptions>) {
  const capacity: HostCapacity = new HostCapacity({
    room: { slotsMax: 2, memoryBytes: 2 },
    apps: () => [APP],
    sceneOf: () => ({ file: "hall.json", digest: "0".repeat(64), generation: 1 }),
    health: () => ({ kind: "good", adapterName: "simulated", isSoftware: true }),
    isIdle: () => true,
    takeProcess: () => Promise.reject(new Error("nothing is started here")),
    giveBack() {},
    // As the agent does: what it offers may have changed.
    onChange: () => capacity.update(),
    events: { calibrationFailed() {} },
    ...changes,
  });
  return capacity;
}

t.test("a calibration that failed is tried again after its pause, whatever changes meanwhile", async (t) => {
  const clock = new VirtualClock();
  const failures: string[] = [];
  let tries = 0;
  const capacity = capacityOf({
    calibrator: {
      find: () => undefined,
      refusalOf: () => undefined,
      async measure() {
        tries += 1;
        if (tries > TRIES_MAX) return;
        throw new Failure("unavailable", "its process has crashed");
      },
    },
    clock,
    events: { calibrationFailed: ({ message }) => void failures.push(message) },
  });
  capacity.update();
  await clock.advance(RETRY_MS - 1);
  capacity.update();
  await clock.settle();
  t.equal(tries, 1);
  await clock.advance(1);
  t.equal(tries, 2);
  t.same(failures, Array(2).fill("its process has crashed"));
  t.equal(capacity.missing(), "calibrating");
  await capacity[Symbol.asyncDispose]();
  t.equal(clock.pendingTimers, 0);
});

t.test("a session that comes ends the round that measures, which is begun again once none runs", async (t) => {
  const clock = new VirtualClock();
  const rounds: AbortSignal[] = [];
  const failures: string[] = [];
  let isIdle = true;
  const capacity = capacityOf({
    calibrator: {
      find: () => undefined,
      refusalOf: () => undefined,
      async measure(_adapter, _jobs, { signal }) {
        rounds.push(signal);
        await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    },
    clock,
    isIdle: () => isIdle,
    events: { calibrationFailed: ({ message }) => void failures.push(message) },
  });
  capacity.update();
  capacity.update();
  t.equal(rounds.length, 1);
  isIdle = false;
  capacity.update();
  t.equal(rounds[0]?.aborted, true);
  await clock.settle();
  capacity.update();
  t.equal(rounds.length, 1, "nothing is measured beside a session");
  isIdle = true;
  capacity.update();
  t.equal(rounds.length, 2);
  t.equal(rounds[1]?.aborted, false);
  await capacity[Symbol.asyncDispose]();
  t.same(failures, []);
  t.equal(clock.pendingTimers, 0);
});
