import t from "tap";
import type { Ledger } from "../ledger/ledger.ts";
import { placedIn, Running, World } from "./session-world.test.ts";

/** What a client that has lost its pictures gives a renewal. */
const HURRIED_MS = 800;

/** Calls of `capacities`, each of which a renewal makes before it is placed. */
function countCalls(ledger: Ledger): () => number {
  let calls = 0;
  const ask = ledger.capacities.bind(ledger);
  ledger.capacities = (queries) => {
    calls += 1;
    return ask(queries);
  };
  return () => calls;
}

t.test(
  "sessions that lose their pool together leave each other's only pool free, all within three seconds",
  async (t) => {
    const world = await World.create();
    const slots = { near: 20, middle: 12, far: 10 };
    for (const [pool, free] of Object.entries(slots)) {
      Object.assign(world.pools.get(pool)?.slots ?? {}, { total: free, free });
    }
    const replica = await world.replica();
    const begin = async (far: number) => {
      const sessions: Running[] = [];
      while (sessions.length < 10) sessions.push(await Running.begin(world, replica, { near: 3, middle: 5, far }));
      return sessions;
    };
    const [flexible, bound] = [await begin(8), await begin(60)];
    world.setPool("near", {}, { state: "dead" });
    const calls = countCalls(replica.ledger);
    const diedAtMs = world.clock.nowMs();
    const answers = [...flexible, ...bound].map((session) => session.renew({}, "pool-lost"));
    // Each looks who holds the app; the two that nobody knew to be many have decided as well.
    while (calls() < 22) await new Promise(setImmediate);
    await new Promise(setImmediate);
    t.equal(calls(), 22, "the others wait for each other");
    await world.clock.advance(HURRIED_MS / 2);
    for (const answer of await Promise.all(answers)) t.equal(placedIn(answer).state, "placed");
    t.ok(world.counted.includes("18 of 18 together"));
    t.ok(world.clock.nowMs() - diedAtMs <= 3_000);
    t.same(new Set(bound.map(({ pool }) => pool)), new Set(["middle"]));
    t.same(flexible.map(({ pool }) => pool).toSorted(), [...Array(8).fill("far"), "middle", "middle"]);
    t.match(
      flexible.find(({ pool }) => pool === "far")?.why,
      /placed: far[\s\S]*note: middle: left to others that have to leave their pools/,
    );
    for (const { why } of bound) t.notMatch(why, /left to others/, "it had no other");
  },
);

t.test("what is left over goes where its policy lets it, after those that were given a slot", async (t) => {
  const world = await World.create();
  for (const [pool, free] of Object.entries({ near: 8, middle: 4, far: 4 })) {
    Object.assign(world.pools.get(pool)?.slots ?? {}, { total: free, free });
  }
  const replica = await world.replica();
  const sessions: Running[] = [];
  while (sessions.length < 7) sessions.push(await Running.begin(world, replica, { near: 3, middle: 5, far: 60 }));
  world.setPool("near", {}, { state: "dead" });
  const calls = countCalls(replica.ledger);
  const answers = sessions.map((session) => session.renew({}, "pool-lost"));
  while (calls() < 9) await new Promise(setImmediate);
  await new Promise(setImmediate);
  await world.clock.advance(HURRIED_MS / 2);
  const states = (await Promise.all(answers)).map((answer) => answer?.state).toSorted();
  t.same(states, [...Array(3).fill("degraded"), ...Array(4).fill("placed")]);
});

/** Three sessions that lose `near` together, the last of which waits for others. */
async function loseTogether() {
  const world = await World.create();
  for (const [pool, free] of Object.entries({ near: 4, middle: 3, far: 4 })) {
    Object.assign(world.pools.get(pool)?.slots ?? {}, { total: free, free });
  }
  const replica = await world.replica();
  const sessions: Running[] = [];
  while (sessions.length < 3) sessions.push(await Running.begin(world, replica, { near: 3, middle: 5, far: 8 }));
  world.setPool("near", {}, { state: "dead" });
  await world.report(replica);
  const renew = (session: Running | undefined) =>
    session?.renew({}, "pool-lost").then(
      (answer) => answer?.state,
      (error) => error.code,
    );
  // The two that nobody knows to be many do not wait.
  const first = [await renew(sessions[0]), await renew(sessions[1])];
  const calls = countCalls(replica.ledger);
  const answers = [...first, renew(sessions[2])];
  // It has looked who holds the app.
  while (calls() < 1) await new Promise(setImmediate);
  await new Promise(setImmediate);
  return { world, replica, sessions, answers };
}

t.test("who was given a slot that is gone by then goes where others were let, and is not refused", async (t) => {
  const { world, replica, sessions, answers } = await loseTogether();
  const { ledger } = replica;
  const ask = ledger.capacities.bind(ledger);
  const stranger = { pool: "middle", renderClass: "small", excludedAgents: new Set<string>(), session: "new" };
  let asked = 0;
  ledger.capacities = async (queries) => {
    const capacities = await ask(queries);
    asked += 1;
    if (asked === 1) await ledger.reserve({ ...stranger, attempt: 1, app: "hall", appSessionsMax: 100 });
    return capacities;
  };
  await world.clock.advance(HURRIED_MS / 2);
  t.same(await Promise.all(answers), ["placed", "placed", "placed"]);
  t.same(
    sessions.map(({ pool }) => pool),
    ["middle", "middle", "far"],
  );
});

t.test("a session that ends while it waits for the others leaves nothing promised", async (t) => {
  const { world, replica, sessions, answers } = await loseTogether();
  const last = sessions[2];
  await last?.client.end(replica.service, last.session);
  await world.clock.advance(HURRIED_MS / 2);
  t.same(await Promise.all(answers), ["placed", "placed", "not-found"]);
  t.equal(await replica.ledger.countSessions("hall"), 2);
});

t.test("a session that leaves alone, or again and again, waits for nobody", async (t) => {
  const world = await World.create();
  const replica = await world.replica();
  const session = await Running.begin(world, replica, { near: 3, middle: 5 });
  const other = await Running.begin(world, replica, { near: 3, middle: 5 });
  world.setPool("near", {}, { draining: true });
  world.setPool("middle", {}, { cordoned: true });
  world.setPool("far", {}, { cordoned: true });
  for (let count = 0; count < 5; count += 1) t.equal(await session.renew({}), undefined, `${count}: nobody waits`);
  t.equal(await other.renew({}), undefined);
  t.equal(world.clock.pendingTimers, 0);
});
