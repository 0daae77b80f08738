import fc from "fast-check";
import t from "tap";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { RESERVATION_MS } from "../ledger/ledger.ts";
import {
  DEMAND_GROUPS_MAX,
  type DemandAttempt,
  DemandCounter,
  GROUP_SILENT_MS_MAX,
  RETOLD_MS,
} from "./demand-counter.ts";

function attempt(session: string, changes: Partial<DemandAttempt> = {}): DemandAttempt {
  const client = { groups: ["prefix:192.0.2.0/24", "cell:38,-10", "country:PT"], coordinates: undefined };
  const placed = { state: "placed", pool: "near", isNew: true } as const;
  return { session, client, roomMs: 22, renderClass: "small", ...placed, ...changes };
}

function at(cell: number): DemandAttempt["client"] {
  return { groups: [`cell:${cell},0`], coordinates: undefined };
}

t.test("whatever is told, the sums are of the sessions that are alive", async (t) => {
  const session = fc.integer({ min: 0, max: 5 }).map((index) => `s${index}`);
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("attempted" as const),
      session,
      state: fc.constantFrom("placed" as const, "waiting" as const, "refused" as const),
      pool: fc.constantFrom("near", "far"),
      client: fc.integer({ min: 0, max: 3 }).map(at),
      isNew: fc.boolean(),
    }),
    fc.record({ kind: fc.constant("ended" as const), session }),
  );
  const holds = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const counter = new DemandCounter(new VirtualClock());
    const alive = new Map<string, string | undefined>();
    let arrived = 0;
    for (const { kind, session, ...told } of steps) {
      if (kind === "ended") counter.ended(session);
      if (kind === "ended" || !("state" in told)) {
        alive.delete(session);
        continue;
      }
      const pool = told.state === "placed" ? told.pool : undefined;
      counter.attempted(attempt(session, { ...told, pool }));
      if (!alive.has(session) && told.isNew) arrived += 1;
      if (told.state === "refused") alive.delete(session);
      else alive.set(session, pool);
    }
    const { groups, arrivals } = counter.takeTurn();
    const near = [...alive.values()].filter((pool) => pool === "near").length;
    const sums = [
      groups.reduce((sum, group) => sum + group.alive, 0),
      [...counter.byClass.values()].reduce((sum, count) => sum + count, 0),
      counter.alive,
      counter.countAt("near"),
      arrivals.reduce((sum, count) => sum + count, 0),
    ];
    return sums.join() === [alive.size, alive.size, alive.size, near, arrived].join();
  });
  t.doesNotThrow(() => fc.assert(holds));
});

t.test("groups are cells and limits, and countries where the cell is unknown", async (t) => {
  const counter = new DemandCounter(new VirtualClock());
  counter.attempted(attempt("a"));
  counter.attempted(attempt("b", { roomMs: 24.9 }));
  counter.attempted(attempt("c", { roomMs: 25 }));
  counter.attempted(attempt("d", { client: { groups: ["prefix:x", "country:PT"], coordinates: undefined } }));
  counter.attempted(attempt("e", { client: { groups: [], coordinates: undefined } }));
  const { groups } = counter.takeTurn();
  t.same(
    groups.filter(({ alive }) => alive > 0).map(({ client, roomMs, alive }) => [client?.groups, roomMs, alive]),
    [
      [["cell:38,-10", "country:PT"], 22.5, 2],
      [["cell:38,-10", "country:PT"], 27.5, 1],
      [["country:PT"], 22.5, 1],
      [undefined, 0, 1],
    ],
  );
});

t.test("more cells than the most are counted without a place, and silent ones make room", async (t) => {
  const clock = new VirtualClock();
  const counter = new DemandCounter(clock);
  for (let cell = 0; cell < DEMAND_GROUPS_MAX + 100; cell += 1) {
    counter.attempted(attempt(`s${cell}`, { client: at(cell) }));
  }
  const full = counter.takeTurn();
  t.equal(full.groups.length, DEMAND_GROUPS_MAX);
  t.equal(full.groups.find(({ client }) => client === undefined)?.alive, 101);
  t.equal(new Set(full.groups.map(({ cell }) => cell)).size, DEMAND_GROUPS_MAX, "a cell is one group's");
  for (let cell = 0; cell < 1000; cell += 1) counter.ended(`s${cell}`);
  t.equal(counter.takeTurn().groups.length, 0.9 * DEMAND_GROUPS_MAX, "some are forgotten before they are old");
  counter.attempted(attempt("next", { client: at(-1) }));
  const place = (groups: readonly { client: unknown; alive: number }[]) =>
    groups.find(({ client }) => client === undefined)?.alive;
  t.equal(place(counter.takeTurn().groups), 101, "there is room for it");
  await clock.advance(GROUP_SILENT_MS_MAX + 1);
  counter.attempted(attempt("next", { client: at(-1), isNew: false }));
  for (let cell = 1000; cell < DEMAND_GROUPS_MAX + 100; cell += 1) counter.ended(`s${cell}`);
  t.equal(counter.takeTurn().groups.length, 2, "those without a place, and the one that still runs");
});

t.test("who waits and is not heard of has gone; who runs nowhere once it could has ended", async (t) => {
  const clock = new VirtualClock();
  const counter = new DemandCounter(clock);
  counter.attempted(attempt("queued", { state: "waiting", pool: undefined }));
  counter.attempted(attempt("runs"));
  counter.attempted(attempt("never came"));
  await clock.advance(14_000);
  counter.attempted(attempt("queued", { state: "waiting", pool: undefined }));
  await clock.advance(14_000);
  t.equal(
    counter.takeTurn().arrivals.reduce((sum, count) => sum + count),
    3,
    "asking again is no arrival",
  );
  t.equal(counter.alive, 3);
  await clock.advance(2_000);
  counter.takeTurn();
  t.equal(counter.alive, 2, "it waits no more");
  counter.reconcile("near", (session) => session === "runs");
  t.equal(counter.alive, 2, "it may still connect");
  await clock.advance(RESERVATION_MS);
  counter.reconcile("near", (session) => session === "runs");
  t.equal(counter.countAt("near"), 1);
  t.equal(counter.takeTurn().ended, 1);
});

t.test("a session that runs already is counted and no arrival, and its move changes its pool", async (t) => {
  const counter = new DemandCounter(new VirtualClock());
  counter.attempted(attempt("s", { isNew: false, decision: new Uint8Array(1) }));
  counter.attempted(attempt("s", { isNew: false, pool: "far" }));
  const { arrivals, decisions } = counter.takeTurn();
  t.equal(Math.max(...arrivals), 0);
  t.same(decisions, [], "what a move is decided by is no arrival to try");
  t.same([counter.countAt("near"), counter.countAt("far")], [0, 1]);
});

t.test("a session that was placed and is not heard of for an hour is counted no more", async (t) => {
  const clock = new VirtualClock();
  const counter = new DemandCounter(clock);
  counter.attempted(attempt("gone"));
  counter.attempted(attempt("renews"));
  await clock.advance(GROUP_SILENT_MS_MAX);
  counter.attempted(attempt("renews", { isNew: false }));
  counter.takeTurn();
  t.equal(counter.alive, 2);
  await clock.advance(1);
  t.equal(counter.takeTurn().ended, 1);
  t.same([counter.alive, counter.countAt("near")], [1, 1]);
});

t.test("a session is counted once, by whichever replica counted it last", async (t) => {
  const counter = new DemandCounter(new VirtualClock());
  const seconds = (seconds: number, by?: string) => ({ atMs: seconds * 1000, by });
  t.equal(counter.count(attempt("s"), seconds(0)), "arrival");
  t.equal(counter.count(attempt("s", { isNew: false }), seconds(20, "two")), "again", "it renewed there");
  t.equal(counter.count(attempt("s", { isNew: false, pool: "far" }), seconds(30, "two")), "change");
  t.equal(counter.count(attempt("s"), seconds(10, "three")), "older");
  counter.countEnd("s", seconds(10, "three"));
  t.same([counter.alive, counter.countAt("near"), counter.countAt("far")], [1, 0, 1]);
  t.equal(counter.count(attempt("s", { isNew: false }), seconds(29, "two")), "change", "of one replica in its order");
  counter.countEnd("s", seconds(29, "two"));
  t.equal(counter.alive, 0);
  const { arrivals, ended } = counter.takeTurn();
  t.same([arrivals.reduce((sum, count) => sum + count), ended], [1, 1]);
});

t.test("a session that stays where it is is told again now and then", async (t) => {
  const counter = new DemandCounter(new VirtualClock());
  const renewedAt = (atMs: number) => counter.count(attempt("s", { isNew: false }), { atMs, by: undefined });
  counter.count(attempt("s"), { atMs: 0, by: "two" });
  t.equal(renewedAt(RETOLD_MS - 1), "again");
  t.equal(renewedAt(RETOLD_MS), "change");
  t.equal(renewedAt(RETOLD_MS + 1), "again");
});
