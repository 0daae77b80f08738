import t from "tap";
import { queueing, type Replica, type Rtts, Running, World } from "./session-world.test.ts";

/** What a client does between two renewals. */
const RENEWAL_MS = 20_000;

async function open(slots: number) {
  const world = await World.create();
  for (const pool of world.pools.values()) Object.assign(pool.slots, { total: slots, free: slots });
  return { world, replica: await world.replica() };
}

async function renewals(
  { world, replica }: { world: World; replica: Replica },
  session: Running,
  all: readonly Rtts[],
) {
  const pools: string[] = [];
  for (const rtts of all) {
    await world.clock.advance(RENEWAL_MS);
    await world.report(replica);
    await session.renew(rtts);
    pools.push(session.pool);
  }
  return pools;
}

/** Told to show it again, which it does. */
async function breakAway(world: World, sessions: readonly Running[], rtts: Rtts): Promise<void> {
  for (const session of sessions) await session.renew(rtts);
  await world.clock.advance(1_000);
  for (const session of sessions) await session.renew(rtts);
}

t.test("a pool beyond the limit is left at once, that is when a second reading has shown it", async (t) => {
  const { world, replica } = await open(4);
  const session = await Running.begin(world, replica, { near: 4, middle: 10 });
  const answer = await session.renew({ near: 14.5, middle: 10 });
  t.match(answer, { state: "queued", bestAchievableMs: 26 }, "kept, and asked to come again");
  const retryAfterSeconds = answer?.state === "queued" ? answer.retryAfterSeconds : Number.NaN;
  t.ok(retryAfterSeconds >= 0.5 && retryAfterSeconds < 1.5, `${retryAfterSeconds} s`);
  t.match(session.why, /kept where it is: near; middle is better, hard break, near at RTT 14\.5 ms .*, seen once/);
  await world.clock.advance(retryAfterSeconds * 1000);
  await session.renew({ near: 14.5, middle: 10 });
  t.equal(session.pool, "middle");
  t.match(session.why, /placed: middle[\s\S]*rule: hard break, near at RTT 14\.5 ms is beyond its limit of 14\.0 ms/);
});

t.test("a session beyond its limit stays where nothing free is nearer, though its own pool is full", async (t) => {
  const { world, replica } = await open(1);
  Object.assign(world.pools.get("middle")?.slots ?? {}, { free: 0 });
  const session = await Running.begin(world, replica, { near: 4, middle: 10, far: 120 });
  Object.assign(world.pools.get("near")?.slots ?? {}, { free: 0 });
  await world.report(replica);
  await breakAway(world, [session], { near: 14.5, middle: 10, far: 120 });
  t.equal(session.pool, "near");
});

t.test("a move that was promised nothing does not count against the next try", async (t) => {
  const { world, replica } = await open(4);
  world.policies = [{ name: "eu", spec: { ...queueing, stability: { movesPerMinuteMax: 1, sustainedSeconds: 1 } } }];
  const session = await Running.begin(world, replica, { near: 4, middle: 5 });
  const reserve = replica.ledger.reserve.bind(replica.ledger);
  const lost: string[] = [];
  replica.ledger.reserve = async (request) => (lost.push(request.pool) === 1 ? "superseded" : reserve(request));
  for (let reading = 0; reading < 3; reading += 1) {
    await world.clock.advance(2_000);
    await world.report(replica);
    await session.renew({ near: 13, middle: 5 });
  }
  t.same(lost, ["middle", "middle"]);
  t.equal(session.pool, "middle");
});

t.test("a burst that holds up one probe moves nobody", async (t) => {
  const { world, replica } = await open(4);
  const session = await Running.begin(world, replica, { near: 4, middle: 10 });
  for (const near of [200, 4, 200, 4]) {
    await session.renew({ near, middle: 10 });
    await world.clock.advance(1_000);
  }
  t.equal(session.pool, "near");
});

t.test("where nothing keeps the limit, only half of the round trip is worth leaving for", async (t) => {
  const { world, replica } = await open(4);
  const session = await Running.begin(world, replica, { near: 4, middle: 40 });
  await breakAway(world, [session], { near: 60, middle: 40 });
  t.equal(session.pool, "near");
  await breakAway(world, [session], { near: 90, middle: 40 });
  t.equal(session.pool, "middle", "degraded, as the policy lets a new session be");
  world.policies = [{ name: "eu", spec: queueing }];
  const strict = await Running.begin(world, replica, { near: 4 });
  await breakAway(world, [strict], { near: 90, middle: 40 });
  t.equal(strict.pool, "near", "its policy lets nothing be degraded");
  t.match(strict.why, /kept where it is: near; nothing better fits[\s\S]*rule: hard break/);
});

t.test("what is merely better is gone to when it has been so for a while, and not back soon after", async (t) => {
  const fleet = await open(4);
  const session = await Running.begin(fleet.world, fleet.replica, { near: 4, middle: 5 });
  const [away, back] = [
    { near: 13, middle: 5 },
    { near: 1, middle: 9 },
  ];
  t.same(await renewals(fleet, session, [away]), ["near"]);
  t.match(session.why, /kept where it is: near; middle is better, soft degradation of 8\.0 ms for 0 s of 30 s, 1 of 3/);
  t.same(await renewals(fleet, session, [away]), ["near"]);
  t.match(session.why, /soft degradation of 8\.0 ms for 20 s of 30 s, 2 of 3 readings/);
  t.same(await renewals(fleet, session, [away]), ["middle"]);
  t.match(session.why, /attempt 2,[\s\S]*rule: soft degradation of 8\.0 ms for 40 s, 3 of 3 readings/);
  const moved = await renewals(fleet, session, Array(7).fill(back));
  t.same(moved, [...Array(6).fill("middle"), "near"], "two minutes, and three readings that show it");
});

t.test("while it dwells the record says so, and a break is no less at once", async (t) => {
  const fleet = await open(4);
  const session = await Running.begin(fleet.world, fleet.replica, { near: 4, middle: 5 });
  await breakAway(fleet.world, [session], { near: 20, middle: 5 });
  await renewals(fleet, session, Array(4).fill({ near: 1, middle: 9 }));
  t.match(session.why, /near is better, it has moved and dwells, 80 s of 120 s/);
  await breakAway(fleet.world, [session], { near: 1, middle: 20 });
  t.equal(session.pool, "near");
});

t.test("noise moves nothing: a gain that the next reading does not show begins anew", async (t) => {
  const fleet = await open(4);
  const session = await Running.begin(fleet.world, fleet.replica, { near: 6, middle: 8 });
  const noise = Array.from({ length: 20 }, (_, at) =>
    at % 3 === 2 ? { near: 5, middle: 13 } : { near: 13, middle: 5 },
  );
  t.same(new Set(await renewals(fleet, session, noise)), new Set(["near"]));
});

t.test(
  "a pool is reached by so many at once; who comes later keeps what it has, and is told when to ask",
  async (t) => {
    const { world, replica } = await open(60);
    const sessions: Running[] = [];
    for (let count = 0; count < 24; count += 1) {
      sessions.push(await Running.begin(world, replica, { near: 4, middle: 10 }));
    }
    const [waits, ...others] = sessions;
    const [lost] = others;
    if (waits === undefined || lost === undefined) throw new Error("24 have begun");
    await waits.renew({ near: 20, middle: 10 });
    await breakAway(world, others.slice(1, 21), { near: 20, middle: 10 });
    t.equal(others.filter(({ pool }) => pool === "middle").length, 20);
    const answer = await waits.renew({ near: 20, middle: 10 });
    t.match(answer, { state: "queued", bestAchievableMs: 26 });
    const retryAfterSeconds = answer?.state === "queued" ? answer.retryAfterSeconds : Number.NaN;
    t.ok(retryAfterSeconds >= 1 && retryAfterSeconds < 3, `${retryAfterSeconds} s`);
    t.equal(waits.pool, "near");
    t.match(waits.why, /attempt 1,[\s\S]*kept where it is: near; middle is better, 20 sessions have just moved there/);
    t.match(
      await lost.renew({ middle: 10, far: 60 }, "pool-lost"),
      { state: "placed", pool: "middle" },
      "it has nothing to keep",
    );
    await world.clock.advance(retryAfterSeconds * 1000);
    await waits.renew({ near: 20, middle: 10 });
    t.equal(waits.pool, "middle");
  },
);

t.test("moves that can wait leave half of a pool's turns to breaks", async (t) => {
  const { world, replica } = await open(60);
  const sessions: Running[] = [];
  for (let count = 0; count < 12; count += 1) {
    sessions.push(await Running.begin(world, replica, { near: 4, middle: 5 }));
  }
  for (const gap of [0, RENEWAL_MS, RENEWAL_MS]) {
    await world.clock.advance(gap);
    await world.report(replica);
    for (const session of sessions) await session.renew({ near: 13, middle: 5 });
  }
  t.equal(sessions.filter(({ pool }) => pool === "middle").length, 10);
  const left = sessions.find(({ pool }) => pool === "near");
  t.match(left?.why, /middle is better, so many sessions have just moved there that the rest is for breaks/);
  await breakAway(world, left === undefined ? [] : [left], { near: 20, middle: 5 });
  t.equal(left?.pool, "middle");
});

t.test(
  "a pool that cannot be reached is left like one that drains, and kept where nothing takes the session",
  async (t) => {
    const { world, replica } = await open(4);
    const session = await Running.begin(world, replica, { near: 4, middle: 10 });
    world.setPool("near", {}, { state: "dead" });
    world.setPool("middle", {}, { state: "dead" });
    world.setPool("far", {}, { state: "dead" });
    t.equal(await session.renew({}), undefined, "the scheduler may be who is cut off");
    t.equal(session.pool, "near");
    world.setPool("middle", {});
    t.match(await session.renew({ middle: 10 }), { state: "placed", pool: "middle" });
    t.match(session.why, /rule: hard break, near cannot be reached/);
  },
);
