/** Leases with simulated processes: what is answered, what ends, and who hears of it. */
import t, { type Test } from "tap";
import { Failure } from "#domain/failure.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { sessionsThatFit } from "../capacity/room.ts";
import type { SessionGrant } from "./grants.ts";
import { Leases } from "./leases.ts";
import type { FrameStatistics } from "./messages.ts";
import { type EndedLease, SessionHost } from "./session-host.ts";
import type { SessionProcess } from "./session-process.ts";

const CLASS = { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 };
const HOSTED = {
  renderClass: CLASS,
  sceneFile: "hall.json",
  detail: 1,
  cost: { shareRatio: 0.5, memoryBytes: 1 },
  frames: { msMax: 20, fullMsP95: 20 },
};
const SILENCE_MS = 10_000;
const ROOM = { slotsMax: 2, memoryBytes: 10 };

/** A process as the host sees it, which does what a test says. */
class SimulatedProcess implements SessionProcess {
  readonly pid = 1;
  readonly adapterName = "simulated";
  readonly isSoftware = true;
  readonly offers: string[] = [];
  readonly ended: Promise<string>;
  readonly die: (reason: string) => void;
  /** Resolves at once unless a test holds it. */
  setup: Promise<void> = Promise.resolve();
  tellStatistics: (statistics: FrameStatistics, rttMs: number) => void = () => undefined;
  port = -1;
  /** As a real one, whose client does not come. */
  readonly awaitClient = (): void => void this.#clock.timer(SILENCE_MS, () => this.die("client-silent"));
  readonly #clock: VirtualClock;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.ended = promise;
    this.die = resolve;
  }

  setUp({ media }: Parameters<SessionProcess["setUp"]>[0]): Promise<void> {
    this.port = media.port;
    const gone = this.ended.then((reason) =>
      Promise.reject(new Failure("unavailable", `the session ended: ${reason}`)),
    );
    return Promise.race([this.setup, gone]);
  }

  async measure() {
    return { framesMs: [], renderEncodeMs: [], windowMs: 1, cpuMs: 0 };
  }

  rest(): void {}

  async accept(offerSdp: string): Promise<string> {
    this.offers.push(offerSdp);
    if (offerSdp === "none") throw new Failure("media-invalid", "no offer");
    return `answer to ${offerSdp}`;
  }

  hand(): void {}

  onStatistics(listener: (statistics: FrameStatistics, rttMs: number) => void): void {
    this.tellStatistics = listener;
  }

  onAppLine(): void {}

  readonly stop = (reason: string): void => this.die(reason);
}

function openHost(t: Test) {
  const clock = new VirtualClock();
  const leases = new Leases({ slotsMax: ROOM.slotsMax, clock });
  const processes: SimulatedProcess[] = [];
  const ended: EndedLease[] = [];
  const told: { closed?: string; take?: () => Promise<SessionProcess> } = {};
  let counter = 0;
  const host = new SessionHost({
    clock,
    leases,
    fences: {
      next: async () => {
        counter += 1;
        return { incarnation: "i-1", counter };
      },
    },
    // The token is the grant itself here: its verification has a test of its own.
    verify: async ({ token, thumbprint }) => ({ ...JSON.parse(token), cnf: { jkt: thumbprint } }),
    takeProcess: async () => {
      if (told.take !== undefined) return told.take();
      const process = new SimulatedProcess(clock);
      processes.push(process);
      return process;
    },
    hostedClass: () => HOSTED,
    noRoomBecause: ({ cost }, running) => (sessionsThatFit(cost, running, ROOM) > 0 ? undefined : "it is full"),
    closedBecause: () => told.closed,
    sessionSecondsMax: () => 100,
    mediaOf: (slot) => ({ bindAddress: "127.0.0.1", port: 5_000 + slot }),
    issueUrl: () => "ws://127.0.0.1:1/one-time",
    onAppLine() {},
    onEnded: (one) => void ended.push(one),
    onChange() {},
  });
  t.teardown(() => host[Symbol.asyncDispose]());
  const ask = (changes: Partial<SessionGrant> = {}, offerSdp: string | undefined = "offer") => {
    const grant = {
      session: "s-1",
      attempt: 1,
      app: "hall",
      tier: "strict",
      pool: "near",
      renderClass: "tiny",
      exp: 1,
    };
    const media = offerSdp === "" ? ({ kind: "websocket" } as const) : ({ kind: "webrtc", offerSdp } as const);
    return host.lease({ edge: "near-1", token: JSON.stringify({ ...grant, ...changes }), thumbprint: "key", media });
  };
  return { clock, host, leases, processes, ended, told, ask };
}

t.test("a lease is answered with its fence and class, and again for the same attempt with the new offer", async (t) => {
  const { ask, processes, host } = openHost(t);
  t.match(await ask(), {
    session: "s-1",
    attempt: 1,
    fence: { incarnation: "i-1", counter: 1 },
    renderClass: CLASS,
    answerSdp: "answer to offer",
    websocketUrl: "",
  });
  t.match(await ask({}, "another"), { fence: { counter: 1 }, answerSdp: "answer to another" });
  t.match(await ask({}, ""), { fence: { counter: 1 }, answerSdp: "", websocketUrl: /^ws:/ });
  t.equal(processes.length, 1);
  t.match(host.statuses(), [{ session: "s-1", attempt: 1, app: "hall", renderClass: "tiny" }]);
});

t.test("two at once for one attempt are one lease", async (t) => {
  const { ask, processes } = openHost(t);
  const answers = await Promise.all([ask({}, "one"), ask({}, "two")]);
  t.match(answers, [{ fence: { counter: 1 } }, { fence: { counter: 1 } }]);
  t.equal(processes.length, 1);
});

t.test("a higher attempt has the slot only when the process before it is gone", async (t) => {
  const { ask, processes, ended } = openHost(t);
  await ask();
  await ask({ session: "s-2" });
  t.match(await ask({ attempt: 2 }), { attempt: 2, fence: { counter: 3 } });
  t.match(ended, [{ lease: { session: "s-1", attempt: 1 }, reason: "superseded", wasAnswered: true }]);
  t.equal(processes[2]?.port, processes[0]?.port);
  await t.rejects(ask({ attempt: 1 }), { code: "attempt-superseded" });
  await t.rejects(ask({ session: "s-3" }), { code: "placement-refused" }, "full");
});

t.test("one process's death is one session's end", async (t) => {
  const { ask, processes, ended, host } = openHost(t);
  await ask();
  await ask({ session: "s-2" });
  processes[0]?.die("process-exited: SIGSEGV");
  await new Promise(setImmediate);
  t.match(ended, [{ lease: { session: "s-1" }, reason: "process-exited: SIGSEGV" }]);
  t.match(host.statuses(), [{ session: "s-2" }]);
  t.match(await ask(), { fence: { counter: 3 } }, "the same attempt gets a new lease");
});

t.test("a session ends when its time is up and does not come back", async (t) => {
  const { clock, ask, ended, processes } = openHost(t);
  await ask();
  await clock.advance(60_000);
  processes[0]?.die("client-silent");
  await clock.advance(1_000);
  await ask();
  await clock.advance(38_000);
  t.equal(ended.length, 1);
  await clock.advance(2_000);
  t.match(ended[1], { reason: "session-length" }, "counted from the session's start, not the lease's");
  await t.rejects(ask({ attempt: 9 }), { code: "attempt-superseded" });
});

t.test("an address for a WebSocket that nobody opens holds no slot for the session's length", async (t) => {
  const { clock, ask, ended, leases } = openHost(t);
  t.match(await ask({}, ""), { websocketUrl: /^ws:/ });
  await clock.advance(SILENCE_MS);
  t.match(ended, [{ lease: { session: "s-1" }, reason: "client-silent", wasAnswered: true }]);
  t.same(leases.all(), []);
});

t.test("what an edge ends has ended; a newer attempt has not", async (t) => {
  const { ask, host, ended } = openHost(t);
  await ask({ attempt: 3 });
  host.end({ session: "s-1", attempt: 2, reason: "late" });
  host.end({ session: "other", attempt: 2, reason: "late" });
  await new Promise(setImmediate);
  t.equal(ended.length, 0);
  host.end({ session: "s-1", attempt: 3, reason: "continued on gpu-2" });
  await new Promise(setImmediate);
  t.match(ended, [{ reason: "continued on gpu-2" }]);
});

t.test("a process that is not ready in time is a refusal, its slot free, its end nobody's news", async (t) => {
  const { clock, ask, ended, told, leases } = openHost(t);
  const slow = new SimulatedProcess(clock);
  slow.setup = new Promise(() => undefined);
  told.take = async () => slow;
  const asked = ask();
  const refused = t.rejects(asked, { code: "deadline-exceeded" });
  await clock.advance(2_301);
  await refused;
  await new Promise(setImmediate);
  t.match(ended, [{ reason: "not-answered", wasAnswered: false }]);
  t.equal(leases.freeSlot(), 0);
});

t.test("without a GPU, or with an offer that is none, nothing is held", async (t) => {
  const { ask, ended, told, leases } = openHost(t);
  told.take = async () => {
    throw new Failure("gpu-unavailable", "no adapter");
  };
  await t.rejects(ask(), { code: "unavailable", message: /no adapter/ });
  delete told.take;
  await t.rejects(ask({}, "none"), { code: "media-invalid" });
  await new Promise(setImmediate);
  t.match(ended, [{ wasAnswered: false }, { wasAnswered: false }]);
  t.same(leases.all(), []);
});

t.test("while it takes no new sessions, those it has are answered", async (t) => {
  const { ask, told, host, ended } = openHost(t);
  await ask();
  told.closed = "cordoned";
  t.match(await ask({}, "again"), { attempt: 1 });
  await t.rejects(ask({ attempt: 2 }), { code: "placement-refused", message: /cordoned/ });
  await t.rejects(ask({ session: "s-2" }), { code: "placement-refused" });
  host.endAll("draining");
  await new Promise(setImmediate);
  t.match(ended, [{ reason: "draining" }]);
});

t.test("frame times of the last second are those of sessions that drew", async (t) => {
  const { ask, host, processes } = openHost(t);
  await ask();
  t.match(host.statuses(), [{ rttMs: 0 }]);
  processes[0]?.tellStatistics({ framesRendered: 30, renderMsP95: 7, encodeMsP95: 2, framesHeldBack: 0 }, 11);
  t.match(host.running(), [{ renderClass: "tiny", frameMsP95: 9 }]);
  processes[0]?.tellStatistics({ framesRendered: 0, renderMsP95: 0, encodeMsP95: 0, framesHeldBack: 0 }, 12.4);
  t.match(host.running(), [{ frameMsP95: 9 }]);
  t.match(host.statuses(), [{ rttMs: 12 }], "the round trip counts all the same");
});
