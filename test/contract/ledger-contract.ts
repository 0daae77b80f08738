/** The contract of the ledger, for every adapter: `open` gives an empty one each time, on this clock. */
import fc from "fast-check";
import t, { type Test } from "tap";
import type { AgentStatus, SessionStatus } from "#domain/fleet/node.ts";
import type { Clock } from "#platform/clock.ts";
import {
  type Ledger,
  PROMISES_PER_SESSION_MAX,
  RESERVATION_MS,
  type ReservationRequest,
  SILENCE_MS_MAX,
} from "#scheduler/ledger/ledger.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { judgeAtAgents } from "./ledger-agents.ts";

export interface LedgerAdapter {
  readonly name: string;
  readonly open: (clock: Clock) => Promise<Ledger> | Ledger;
  /** Of the property. */
  readonly runs: number;
}

function running(session: string, attempt = 1): SessionStatus {
  const measured = { startedAtMs: 0, remotePathMsP50: 0, remotePathMsP95: 0, rttMs: 0 };
  return { session, attempt, app: "hall", renderClass: "small", ...measured };
}

function agent(name: string, slots: { total: number; free: number; frameMsP95?: number }, sessions: string[] = []) {
  const count = (renderClass: string) => ({ renderClass, frameMsP95: 8, ...slots });
  const status: AgentStatus = {
    agent: name,
    incarnation: "1",
    ready: true,
    reasons: [],
    slots: [count("small"), count("large")],
    sessions: sessions.map((session) => running(session)),
  };
  return status;
}

const small = { pool: "near", renderClass: "small", excludedAgents: new Set<string>() };

function wish(session: string, changes: Partial<ReservationRequest> = {}): ReservationRequest {
  return { ...small, session, attempt: 1, app: "hall", appSessionsMax: 1000, ...changes };
}

async function free(ledger: Ledger, changes: Partial<typeof small> = {}): Promise<number> {
  const [capacity] = await ledger.capacities([{ ...small, ...changes }]);
  return capacity?.slotsFree ?? Number.NaN;
}

/** One agent with one slot each, which is free. */
async function openPools(ledger: Ledger, pools: readonly string[]): Promise<void> {
  for (const pool of pools) {
    await ledger.report({ pool, node: `${pool}-1`, agents: [agent(`${pool}-a`, { total: 1, free: 1 })] });
  }
}

const step = fc.oneof(
  fc.record({ kind: fc.constant("reserve" as const), session: fc.nat(12), isLarge: fc.boolean() }),
  fc.record({ kind: fc.constant("report" as const), connected: fc.subarray([0, 1, 2, 3, 4, 5, 6, 7]) }),
  fc.record({ kind: fc.constant("release" as const), session: fc.nat(12) }),
  fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(RESERVATION_MS / 2) }),
);

type Run = (t: Test, ledger: Ledger, clock: VirtualClock) => Promise<void>;

const suites: [sentence: string, run: Run][] = [];
const suite = (sentence: string, run: Run) => suites.push([sentence, run]);

export function ledgerContract(adapter: LedgerAdapter): void {
  for (const [sentence, run] of suites) {
    t.test(`${adapter.name}: ${sentence}`, async (t) => {
      const clock = new VirtualClock();
      await run(t, await adapter.open(clock), clock);
    });
  }
  testProperty(adapter);
  t.test(`${adapter.name}: whoever may come finds a slot, and what nobody uses is free again`, (t) =>
    judgeAtAgents(t, adapter),
  );
}

suite("a pool is closed until its first full report; a probe answer does not open it", async (t, ledger) => {
  await ledger.probed({ pool: "near", freeSlots: { small: 9 }, ageMs: 0 });
  t.equal(await ledger.reserve(wish("s-1")), "closed");
  await ledger.report({ pool: "near", node: "near-1", agents: [agent("a", { total: 2, free: 2 })] });
  t.equal(await ledger.reserve(wish("s-1")), "reserved");
});

suite("after silence a pool takes nothing new; a probe answer or a report opens it again", async (t, ledger, clock) => {
  const report = { pool: "near", node: "near-1", agents: [agent("a", { total: 2, free: 2 })] };
  await ledger.report(report);
  await clock.advance(SILENCE_MS_MAX);
  t.equal(await ledger.reserve(wish("s-1")), "reserved", "heard of just in time");
  await clock.advance(1);
  t.equal(await ledger.reserve(wish("s-2")), "closed");
  await ledger.probed({ pool: "near", freeSlots: { small: 2 }, ageMs: SILENCE_MS_MAX + 1 });
  t.equal(await ledger.reserve(wish("s-2")), "closed", "an old answer is no sign of life");
  await ledger.probed({ pool: "near", freeSlots: { small: 2 }, ageMs: 1000 });
  t.equal(await ledger.reserve(wish("s-2")), "reserved");
  t.equal(await ledger.reserve(wish("s-3")), "full", "what the edge signed, less what is promised");
  await ledger.report(report);
  t.equal((await ledger.capacities([small]))[0]?.isOpen, true);
});

suite("a probe answer younger than the report lowers what it leaves; an older one says nothing", async (t, ledger, clock) => {
  const report = { pool: "near", node: "near-1", agents: [agent("a", { total: 4, free: 4 })] };
  await ledger.report(report);
  await ledger.reserve(wish("s-1"));
  await clock.advance(1000);
  await ledger.probed({ pool: "near", freeSlots: { small: 2, large: 9 }, ageMs: 500 });
  t.same([await free(ledger), await free(ledger, { renderClass: "large" })], [2, 3]);
  await ledger.probed({ pool: "near", freeSlots: { small: 0 }, ageMs: 900 });
  t.equal(await free(ledger), 2, "older than the answer known");
  await ledger.report(report);
  t.equal(await free(ledger), 3);
});

suite("a reservation takes a slot of every class until a report names it", async (t, ledger) => {
  await ledger.report({ pool: "near", node: "near-1", agents: [agent("a", { total: 2, free: 2 })] });
  t.equal(await ledger.reserve(wish("s-1")), "reserved");
  t.same([await free(ledger), await free(ledger, { renderClass: "large" })], [1, 1]);
  await ledger.report({ pool: "near", node: "near-1", agents: [agent("a", { total: 2, free: 1 }, ["s-1"])] });
  t.equal(await free(ledger), 1, "reported, not promised: taken off once");
  await ledger.report({ pool: "near", node: "near-1", agents: [agent("a", { total: 2, free: 2 })] });
  t.equal(await free(ledger), 2, "it has ended");
});

suite("a report of an earlier attempt leaves the reservation of a later one", async (t, ledger) => {
  const agents = [agent("a", { total: 2, free: 1 }, ["s-1"])];
  await ledger.report({ pool: "near", node: "near-1", agents });
  await ledger.reserve(wish("s-1", { attempt: 2 }));
  await ledger.report({ pool: "near", node: "near-1", agents });
  t.equal(await free(ledger), 0);
});

suite("a reservation dies when nobody can connect with its placement any more", async (t, ledger, clock) => {
  const report = { pool: "near", node: "near-1", agents: [agent("a", { total: 1, free: 1 })] };
  await ledger.report(report);
  await ledger.reserve(wish("s-1"));
  await clock.advance(RESERVATION_MS - 1);
  await ledger.report(report);
  t.same([await free(ledger), await ledger.countSessions("hall")], [0, 1]);
  await clock.advance(1);
  t.same([await free(ledger), await ledger.countSessions("hall")], [1, 0]);
});

suite("a session is promised one slot in a pool; a call that is refused leaves what is promised", async (t, ledger) => {
  await openPools(ledger, ["near", "far"]);
  t.equal(await ledger.reserve(wish("s-1")), "reserved");
  t.equal(await ledger.reserve(wish("s-1")), "reserved", "the same again");
  t.equal(await ledger.reserve(wish("s-1", { attempt: 2 })), "reserved", "its own");
  t.equal(await ledger.reserve(wish("s-2", { pool: "far" })), "reserved");
  t.equal(await ledger.reserve(wish("s-1", { pool: "far", attempt: 3 })), "full");
  t.equal(await free(ledger), 0, "kept");
  await ledger.release("s-2");
  t.equal(await ledger.reserve(wish("s-1", { pool: "far", attempt: 3 })), "reserved");
});

suite("who moves on may have connected, and no report says so yet: both slots are taken", async (t, ledger, clock) => {
  await openPools(ledger, ["near", "far"]);
  t.equal(await ledger.reserve(wish("s-1")), "reserved");
  await clock.advance(1_000);
  t.equal(await ledger.reserve(wish("s-1", { pool: "far", attempt: 2 })), "reserved");
  t.same([await free(ledger), await free(ledger, { pool: "far" })], [0, 0]);
  t.equal(await ledger.reserve(wish("s-2")), "full");
  t.equal(await ledger.countSessions("hall"), 1, "one session all the same");
  await clock.advance(RESERVATION_MS - 1_001);
  await openPools(ledger, ["near", "far"]);
  t.same(
    [await free(ledger), await free(ledger, { pool: "far" })],
    [0, 0],
    "a report that does not name it may be older",
  );
  await clock.advance(1);
  t.same([await free(ledger), await free(ledger, { pool: "far" })], [1, 0], "each to its own end");
  t.equal(await ledger.countSessions("hall"), 1);
});

suite("a report that names who moved on takes off what was promised there, and nothing else", async (t, ledger) => {
  await openPools(ledger, ["near", "far"]);
  await ledger.reserve(wish("s-1"));
  await ledger.reserve(wish("s-1", { pool: "far", attempt: 2 }));
  const moving = agent("near-a", { total: 1, free: 0 }, ["s-1"]);
  await ledger.report({ pool: "near", node: "near-1", agents: [moving] });
  t.same([await free(ledger), await free(ledger, { pool: "far" })], [0, 0]);
  await openPools(ledger, ["near"]);
  t.same([await free(ledger), await free(ledger, { pool: "far" })], [1, 0], "gone there");
  t.equal(await ledger.reserve(wish("s-1", { pool: "far", attempt: 2 })), "reserved", "its own");
  t.equal(await ledger.reserve(wish("s-1", { attempt: 1 })), "superseded");
});

suite("who says that it does not come gives back all that it was promised", async (t, ledger) => {
  await openPools(ledger, ["near", "far"]);
  await ledger.reserve(wish("s-1"));
  await ledger.reserve(wish("s-1", { pool: "far", attempt: 2 }));
  await ledger.release("s-1");
  t.same([await free(ledger), await free(ledger, { pool: "far" })], [1, 1]);
  t.equal(await ledger.countSessions("hall"), 0);
});

suite("who moves on and on is promised so many slots and no more, until the first ends", async (t, ledger, clock) => {
  const pools = Array.from({ length: PROMISES_PER_SESSION_MAX + 1 }, (_, index) => `pool-${index}`);
  await openPools(ledger, pools);
  const outcomes: string[] = [];
  for (const [index, pool] of pools.entries()) {
    outcomes.push(await ledger.reserve(wish("s-1", { pool, attempt: index + 1 })));
    await clock.advance(1);
  }
  t.equal(outcomes.pop(), "full");
  t.ok(outcomes.every((outcome) => outcome === "reserved"));
  const attempt = PROMISES_PER_SESSION_MAX + 1;
  t.equal(await ledger.reserve(wish("s-1", { pool: "pool-3", attempt })), "reserved", "one that it has");
  await clock.advance(RESERVATION_MS - pools.length);
  await openPools(ledger, pools);
  t.equal(await ledger.reserve(wish("s-1", { pool: pools.at(-1) ?? "", attempt })), "superseded");
  t.equal(await ledger.reserve(wish("s-1", { pool: pools.at(-1) ?? "", attempt: attempt + 1 })), "reserved");
});

suite("an earlier attempt, or the same one for another pool, is promised nothing", async (t, ledger) => {
  await openPools(ledger, ["near", "far"]);
  t.equal(await ledger.reserve(wish("s-1", { attempt: 2 })), "reserved");
  t.equal(await ledger.reserve(wish("s-1", { attempt: 2, pool: "far" })), "superseded");
  t.equal(await ledger.reserve(wish("s-1", { attempt: 1, pool: "far" })), "superseded");
  t.equal(await ledger.reserve(wish("s-1", { attempt: 1 })), "superseded");
  t.same([await free(ledger), await free(ledger, { pool: "far" })], [0, 1]);
  t.equal(await ledger.reserve(wish("s-1", { attempt: 3, pool: "far" })), "reserved");
});

suite("of what two edges say of one agent the worse counts, and the agent once", async (t, ledger) => {
  await ledger.report({ pool: "near", node: "near-1", agents: [agent("a", { total: 3, free: 3, frameMsP95: 7 })] });
  await ledger.report({ pool: "near", node: "near-2", agents: [agent("a", { total: 3, free: 1, frameMsP95: 9 })] });
  t.same(await ledger.capacities([small]), [{ isOpen: true, slotsTotal: 3, slotsFree: 1, frameMsP95: 9 }]);
});

suite("an edge that went silent counts as long as what the others say may be older", async (t, ledger, clock) => {
  await ledger.report({ pool: "near", node: "near-1", agents: [agent("a", { total: 1, free: 0 }, ["s-1"])] });
  await clock.advance(1_000);
  const earlier = { pool: "near", node: "near-2", agents: [agent("a", { total: 1, free: 1 })] };
  await ledger.report(earlier);
  await clock.advance(SILENCE_MS_MAX);
  t.same([await free(ledger), await ledger.reserve(wish("s-2"))], [0, "full"]);
  await ledger.report(earlier);
  t.equal(await free(ledger), 1, "made after what the silent one said");
});

suite("agents that are not ready, left out, or report no measurement have no slots", async (t, ledger) => {
  const agents = [
    { ...agent("a", { total: 1, free: 1 }), ready: false },
    agent("b", { total: 2, free: 2 }),
    agent("c", { total: 4, free: 4, frameMsP95: Number.NaN }),
    agent("d", { total: 8, free: 9 }),
  ];
  await ledger.report({ pool: "near", node: "near-1", agents });
  t.equal(await free(ledger), 10, "more free than there are is no more than there are");
  t.equal(await free(ledger, { excludedAgents: new Set(["d"]) }), 2);
  const [other] = await ledger.capacities([{ ...small, renderClass: "huge" }]);
  t.same(other, { isOpen: true, slotsTotal: 0, slotsFree: 0, frameMsP95: undefined });
});

suite("an app's sessions, running and promised, stay within the cap", async (t, ledger) => {
  const agents = [agent("a", { total: 9, free: 8 }, ["s-1"])];
  for (const node of ["near-1", "near-2"]) await ledger.report({ pool: "near", node, agents });
  t.equal(await ledger.countSessions("hall"), 1, "told of by two edges");
  t.equal(await ledger.reserve(wish("s-2", { appSessionsMax: 2 })), "reserved");
  t.equal(await ledger.reserve(wish("s-3", { appSessionsMax: 2 })), "over-cap");
  t.equal(await ledger.reserve(wish("s-1", { appSessionsMax: 2, attempt: 2 })), "reserved", "counted already");
  t.equal(await ledger.reserve(wish("s-3", { app: "other", appSessionsMax: 1 })), "reserved");
});

suite("who left one pool for another counts with its app all the while", async (t, ledger) => {
  await openPools(ledger, ["near", "far"]);
  const reportOf = (pool: string, attempts: readonly number[]) => {
    const status = agent(`${pool}-a`, { total: 2, free: 2 - attempts.length });
    const sessions = attempts.map((attempt) => running("s-1", attempt));
    return ledger.report({ pool, node: `${pool}-1`, agents: [{ ...status, sessions }] });
  };
  await reportOf("near", [1]);
  t.equal(await ledger.reserve(wish("s-1", { pool: "far", attempt: 2 })), "reserved");
  await reportOf("far", [2]);
  await reportOf("near", []);
  t.equal(await ledger.countSessions("hall"), 1);
  t.equal(await ledger.reserve(wish("s-2", { appSessionsMax: 1 })), "over-cap");
});

suite("an edge not heard of for ten minutes is gone with its sessions, and its pool closed", async (t, ledger, clock) => {
  await ledger.report({ pool: "near", node: "near-1", agents: [agent("a", { total: 2, free: 1 }, ["s-1"])] });
  await clock.advance(540_000);
  t.equal(await ledger.countSessions("hall"), 1, "cut off, they may well be running");
  await clock.advance(120_000);
  t.equal(await ledger.countSessions("hall"), 0);
  await ledger.probed({ pool: "near", freeSlots: { small: 2 }, ageMs: 0 });
  t.equal(await ledger.reserve(wish("s-2")), "closed");
});

function testProperty({ name, open, runs }: LedgerAdapter): void {
  t.test(`${name}: never more promised and used than there are`, async (t) => {
    const total = 5;
    let promises = 0;
    const holds = fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 60 }), async (steps) => {
      const clock = new VirtualClock();
      const ledger = await open(clock);
      /** A model that knows promises by their end, and what was reported last. */
      const promised = new Map<string, number>();
      let used: string[] = [];
      for (const action of steps) {
        const nowMs = clock.monotonicMs();
        for (const [session, endMs] of promised) if (endMs <= nowMs) promised.delete(session);
        if (action.kind === "wait") await clock.advance(action.ms);
        if (action.kind === "release") {
          await ledger.release(`s-${action.session}`);
          promised.delete(`s-${action.session}`);
        }
        if (action.kind === "report") {
          used = action.connected.map((session) => `s-${session}`).slice(0, total);
          const agents = [agent("a", { total, free: total - used.length }, used)];
          await ledger.report({ pool: "near", node: "near-1", agents });
          for (const session of used) promised.delete(session);
        }
        if (action.kind !== "reserve") continue;
        const session = `s-${action.session}`;
        const outcome = await ledger.reserve(wish(session, { renderClass: action.isLarge ? "large" : "small" }));
        if (outcome !== "reserved") continue;
        promises += 1;
        promised.set(session, nowMs + RESERVATION_MS);
        if (promised.size + used.length > total) return false;
      }
      return true;
    });
    await t.resolves(fc.assert(holds, { numRuns: runs }));
    t.ok(promises > 100, "the property was about something");
  });
}
