/** Warm processes: as many as wanted, replaced when they die or are taken, and what their starts say of the machine. */
import t, { type Test } from "tap";
import { Failure } from "#domain/failure.ts";
import { seededRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import type { SessionProcess } from "./session-process.ts";
import { REFILL_AFTER_MS, Spares } from "./spares.ts";

interface Simulated extends SessionProcess {
  readonly stopped: string[];
  die(reason: string): void;
}

function simulatedProcess(): Simulated {
  const { promise: ended, resolve } = Promise.withResolvers<string>();
  const stopped: string[] = [];
  return {
    ...{ pid: 1, adapterName: "simulated", isSoftware: true, ended, stopped },
    setUp: async () => undefined,
    measure: async () => ({ framesMs: [], renderEncodeMs: [], windowMs: 1, cpuMs: 0 }),
    rest() {},
    accept: async () => "",
    hand() {},
    onStatistics() {},
    awaitClient() {},
    onAppLine() {},
    stop(reason) {
      stopped.push(reason);
      resolve(reason);
    },
    die: resolve,
  };
}

function openSpares(t: Test, count: number) {
  const clock = new VirtualClock();
  const started: Simulated[] = [];
  const state: { failure?: Failure; health: string[] } = { health: [] };
  const spares = new Spares({
    ...{ count, clock, random: seededRandom(1) },
    start: async () => {
      if (state.failure !== undefined) throw state.failure;
      const process = simulatedProcess();
      started.push(process);
      return process;
    },
    onHealth: ({ kind }) => void state.health.push(kind),
  });
  t.teardown(() => spares[Symbol.asyncDispose]());
  return { clock, spares, started, state };
}

const alive = (started: readonly Simulated[]) => started.filter(({ stopped }) => stopped.length === 0).length;

t.test("what is taken is replaced, and comes at once while one is warm", async (t) => {
  const { clock, spares, started } = openSpares(t, 2);
  t.equal(spares.health.kind, "starting");
  await clock.advance(1);
  t.equal(started.length, 2);
  t.match(spares.health, { kind: "good", adapterName: "simulated" });
  t.equal(await spares.take(), started[0]);
  await clock.advance(REFILL_AFTER_MS - 1);
  t.equal(started.length, 2, "not while the session comes up that took it");
  await clock.advance(1);
  t.equal(started.length, 3);
});

t.test("who measures waits until none is starting", async (t) => {
  const { spares, started } = openSpares(t, 2);
  await spares.take();
  t.ok(started.length < 3, "the count is being brought up again");
  await spares.settled();
  t.equal(started.length, 3, "and is up");
});

t.test("who measures has the successor of what was taken start before, not in the midst of it", async (t) => {
  const { clock, spares, started } = openSpares(t, 1);
  await clock.advance(1);
  await spares.take();
  t.equal(started.length, 1, "a session would come up by itself");
  await spares.settled();
  t.equal(started.length, 2);
  await clock.advance(REFILL_AFTER_MS);
  t.equal(started.length, 2, "once");
});

t.test("three at once get three, whether or not as many are warm", async (t) => {
  const { clock, spares, started } = openSpares(t, 1);
  const taken = await Promise.all([spares.take(), spares.take(), spares.take()]);
  t.equal(new Set(taken).size, 3);
  await clock.advance(REFILL_AFTER_MS);
  t.ok(started.length >= 4, "and the count is brought up again");
});

t.test("one that dies is replaced after a wait; what fails to start is tried again, and said", async (t) => {
  const { clock, spares, started, state } = openSpares(t, 1);
  await clock.advance(1);
  started[0]?.die("process-exited: SIGSEGV");
  state.failure = new Failure("gpu-unavailable", "the driver has gone");
  await clock.advance(2_000);
  t.match(spares.health, { kind: "failed", failure: { code: "gpu-unavailable" } });
  await t.rejects(spares.take(), { code: "gpu-unavailable" });
  delete state.failure;
  await clock.advance(60_000);
  t.match(spares.health, { kind: "good" });
  t.equal(started.length, 2);
});

t.test("without spares one process is started to know the GPU, and not kept", async (t) => {
  const { clock, spares, started } = openSpares(t, 0);
  await clock.advance(1);
  t.match(spares.health, { kind: "good" });
  t.same(started[0]?.stopped, ["not-needed"]);
  await clock.advance(60_000);
  t.equal(started.length, 1);
  t.equal(await spares.take(), started[1]);
});

t.test("what is given back is kept while there is room, and the stop leaves nothing behind", async (t) => {
  const { clock, spares, started } = openSpares(t, 1);
  const [first, second] = [await spares.take(), await spares.take()];
  await clock.advance(1);
  spares.giveBack(first);
  t.same(started[0]?.stopped, ["not-needed"], "another was warm already");
  t.equal(await spares.take(), started[2]);
  spares.giveBack(second);
  await spares[Symbol.asyncDispose]();
  t.equal(alive(started.filter((process) => process !== started[2])), 0);
  await t.rejects(spares.take(), { code: "unavailable" });
});
