/** Demand that replicas count together, through a stream in memory. */
import fc from "fast-check";
import t from "tap";
import { Failure } from "#domain/failure.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { RESERVATION_MS } from "../ledger/ledger.ts";
import { packDemand } from "./demand-codec.ts";
import { type DemandAttempt, DemandCounter, WAITING_MS_MAX } from "./demand-counter.ts";
import { ARRIVAL_AGE_MS_MAX, SESSIONS_UNTOLD_MAX, SharedDemand } from "./shared-demand.ts";

const TURN_MS = 1_000;

class StreamInMemory {
  readonly clock = new VirtualClock();
  readonly turns: { by: string; text: string; atMs: number }[] = [];
  /** `before`: nothing is told; `after`: it is, and no answer comes. */
  fails: "never" | "before" | "after" = "never";

  exchangeOf(by: string) {
    let read = 0;
    return async (text: string) => {
      if (this.fails === "before") throw new Failure("unavailable", "no Redis", { retryable: true });
      const nowMs = this.clock.monotonicMs();
      if (text !== "") this.turns.push({ by, text, atMs: nowMs });
      if (this.fails === "after") throw new Failure("unavailable", "no answer", { retryable: true });
      const found = this.turns.slice(read, read + 4).map(({ atMs, ...turn }, at) => {
        return { ...turn, id: `${read + at}-0`, ageMs: nowMs - atMs };
      });
      read += found.length;
      return { turns: found.filter((turn) => turn.by !== by), isBehind: found.length === 4 };
    };
  }

  replica(by: string) {
    const { clock } = this;
    const counter = new DemandCounter(clock);
    const counted = { told: 0, learned: 0, untold: 0, unreadable: 0, failed: 0 };
    const demand = new SharedDemand({
      ...{ clock, counter, stream: { exchange: this.exchangeOf(by) } },
      readChoice: (choice) => (choice instanceof Uint8Array ? { pools: ["near"], rttMs: [choice[0] ?? 0] } : choice),
      events: {
        demandTold: (count) => (counted.told += count),
        demandLearned: (count) => (counted.learned += count),
        demandUntold: (count) => (counted.untold += count),
        demandUnreadable: () => (counted.unreadable += 1),
        demandNotExchanged: () => (counted.failed += 1),
      },
    });
    const come = (session: string, changes: Partial<DemandAttempt> = {}) =>
      demand.attempted({ ...asked, session, ...changes });
    const standing = () => ["near", "far"].map((pool) => counter.countAt(pool)).concat(counter.alive);
    return { counter, counted, demand, come, standing, turn: () => demand.turn() };
  }
}

const client = { groups: ["prefix:192.0.2.0/24", "cell:38,-10", "country:PT"], coordinates: undefined };
const asked = { client, roomMs: 22, renderClass: "small", state: "placed", pool: "near", isNew: true } as const;

const arrivalsOf = (counter: DemandCounter): number =>
  counter.takeTurn().arrivals.reduce((sum, count) => sum + count, 0);

t.test("a session that renews at another replica is one session to both, and its end there is its end", async (t) => {
  const stream = new StreamInMemory();
  const [one, two] = [stream.replica("one"), stream.replica("two")];
  one.come("s");
  await one.turn();
  await stream.clock.advance(TURN_MS);
  two.come("s", { isNew: false, pool: "far" });
  for (const { turn } of [two, one]) await turn();
  t.same(
    [one.standing(), two.standing()],
    [
      [0, 1, 1],
      [0, 1, 1],
    ],
  );
  t.same([arrivalsOf(one.counter), arrivalsOf(two.counter)], [1, 1]);
  await stream.clock.advance(TURN_MS);
  two.demand.ended("s");
  for (const { turn } of [two, one]) await turn();
  t.same([one.counter.takeTurn().ended, two.counter.takeTurn().ended], [1, 1]);
  t.same([one.counter.alive, two.counter.alive], [0, 0]);
});

t.test("whoever is asked, all replicas have counted the same in the end, and each session once", async (t) => {
  const step = fc.record({
    session: fc.integer({ min: 0, max: 7 }).map((index) => `s${index}`),
    at: fc.nat({ max: 2 }),
    pool: fc.constantFrom("near" as const, "far" as const),
    isEnd: fc.boolean(),
    reads: fc.subarray([0, 1, 2]),
  });
  const holds = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
    const stream = new StreamInMemory();
    const replicas = ["a", "b", "c"].map((by) => stream.replica(by));
    const alive = new Map<string, { pool: string; by: number }>();
    const gone = new Set<string>();
    let arrivals = 0;
    for (const { session, at, pool, isEnd, reads } of steps) {
      const known = alive.get(session);
      if (gone.has(session)) continue;
      await stream.clock.advance(100);
      if (known !== undefined && isEnd) {
        replicas[known.by]?.demand.ended(session);
        await replicas[known.by]?.turn();
        alive.delete(session);
        gone.add(session);
      } else {
        if (known === undefined) arrivals += 1;
        replicas[at]?.come(session, { pool, isNew: known === undefined });
        await replicas[at]?.turn();
        alive.set(session, { pool, by: at });
      }
      for (const read of reads) await replicas[read]?.turn();
    }
    for (const { turn } of replicas) await turn();
    // Whoever was told of late says at its next renewal where it is.
    await stream.clock.advance(100);
    for (const [session, { pool, by }] of alive) replicas[by]?.come(session, { pool, isNew: false });
    for (const { turn } of [...replicas, ...replicas]) await turn();
    const countAt = (pool: string) => [...alive.values()].filter((session) => session.pool === pool).length;
    const expected = [countAt("near"), countAt("far"), alive.size].join();
    return replicas.every(({ standing, counter }) => {
      return standing().join() === expected && arrivalsOf(counter) === arrivals;
    });
  });
  await fc.assert(holds, { numRuns: 100 });
  t.pass();
});

t.test("what a session could choose from is known to who solves, the network of its client to nobody", async (t) => {
  const stream = new StreamInMemory();
  const [one, two] = [stream.replica("one"), stream.replica("two")];
  one.come("s", { decision: Uint8Array.of(7) });
  await one.turn();
  await two.turn();
  const { decisions, groups } = two.counter.takeTurn();
  t.same(decisions, [{ pools: ["near"], rttMs: [7] }]);
  t.same(groups.find(({ alive }) => alive > 0)?.client, {
    groups: ["cell:38,-10", "country:PT"],
    coordinates: undefined,
  });
  t.notMatch(stream.turns[0]?.text, /192/);
});

t.test("sessions of a replica that died count as long as they run, and who waited there has gone", async (t) => {
  const stream = new StreamInMemory();
  const [one, two] = [stream.replica("one"), stream.replica("two")];
  one.come("runs");
  one.come("ended unheard");
  one.come("waits", { state: "waiting", pool: undefined });
  await one.turn();
  await two.turn();
  t.same(two.standing(), [2, 0, 3]);
  await stream.clock.advance(RESERVATION_MS + 1);
  two.counter.takeTurn();
  t.same(two.standing(), [2, 0, 2]);
  two.counter.reconcile("near", (session) => session === "runs");
  t.same(two.standing(), [1, 0, 1]);
});

t.test("a replica that starts knows who came before, and takes none of them for an arrival of now", async (t) => {
  const stream = new StreamInMemory();
  const one = stream.replica("one");
  for (let index = 0; index < 6; index += 1) {
    one.come(`before ${index}`);
    await one.turn();
  }
  await stream.clock.advance(ARRIVAL_AGE_MS_MAX + 1);
  one.come("now");
  one.come("waits", { state: "waiting", pool: undefined });
  await one.turn();
  const late = stream.replica("late");
  await late.turn();
  t.equal(late.counter.alive, 8, "read to the end, however long it is");
  t.equal(arrivalsOf(late.counter), 2);
  await stream.clock.advance(WAITING_MS_MAX + 1);
  await stream.replica("later").turn();
  t.equal(
    late.counter.takeTurn().groups.reduce((sum, { alive }) => sum + alive, 0),
    7,
  );
});

t.test("who came and went between two turns has come", async (t) => {
  const stream = new StreamInMemory();
  const [one, two] = [stream.replica("one"), stream.replica("two")];
  one.come("s");
  one.demand.ended("s");
  await one.turn();
  await two.turn();
  t.same([arrivalsOf(two.counter), two.counter.alive], [1, 0]);
});

t.test("what could not be told is told later, and what was told unanswered counts once", async (t) => {
  const stream = new StreamInMemory();
  const [one, two] = [stream.replica("one"), stream.replica("two")];
  one.come("s1");
  stream.fails = "before";
  await one.turn();
  one.come("s2");
  stream.fails = "after";
  await one.turn();
  stream.fails = "never";
  await one.turn();
  t.same([one.counted.failed, one.counted.told, stream.turns.length], [2, 2, 2]);
  await two.turn();
  t.same([two.counter.alive, arrivalsOf(two.counter)], [2, 2]);
  await one.turn();
  t.equal(stream.turns.length, 2, "nothing is told that is known");
});

t.test("a renewal that changes nothing is told to nobody", async (t) => {
  const stream = new StreamInMemory();
  const [one, two] = [stream.replica("one"), stream.replica("two")];
  one.come("s");
  await one.turn();
  await two.turn();
  await stream.clock.advance(60_000);
  two.come("s", { isNew: false });
  await two.turn();
  t.equal(stream.turns.length, 1);
});

t.test("more than a turn holds is told over turns, and more than the most is told to nobody and counted", async (t) => {
  const stream = new StreamInMemory();
  const [one, two] = [stream.replica("one"), stream.replica("two")];
  for (let index = 0; index < SESSIONS_UNTOLD_MAX + 10; index += 1) one.come(`session ${index}`);
  await one.turn();
  t.equal(one.counted.untold, 10);
  t.ok(one.counted.told < SESSIONS_UNTOLD_MAX / 2, `${one.counted.told} told in one turn`);
  for (let turns = 0; turns < 40; turns += 1) await one.turn();
  await two.turn();
  t.same([one.counted.told, two.counter.alive], [SESSIONS_UNTOLD_MAX, SESSIONS_UNTOLD_MAX]);
  t.equal(one.counter.alive, SESSIONS_UNTOLD_MAX + 10);
});

t.test("what is no turn of ours is left out, and the next one read", async (t) => {
  const stream = new StreamInMemory();
  const two = stream.replica("two");
  const { text } = packDemand([{ session: "s", ageMs: 0, attempt: { ...asked, session: "s" } }]);
  for (const foreign of ["{", "[]", text.replace('"s"', "7")]) stream.turns.push({ by: "x", text: foreign, atMs: 0 });
  stream.turns.push({ by: "x", text, atMs: 0 });
  await two.turn();
  t.same([two.counted.unreadable, two.counter.alive], [3, 1]);
});
