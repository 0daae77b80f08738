/** Sessions by prices that are made of their own demand, beside the same sessions without. */
import t, { type Test } from "tap";
import { solvePrices } from "#domain/placement/prices.ts";
import { DemandCounter } from "../pricing/demand-counter.ts";
import { PublishedPrices } from "../pricing/price-source.ts";
import { PricingLoop } from "../pricing/slow-loop.ts";
import { Client, queueing, World } from "./session-world.test.ts";

const TURN_SECONDS = 5;
/** In each round one of each kind comes; it stays for so many rounds. */
const STAY_ROUNDS = 12;
const ROUNDS = 48;
/** What is judged: those that come once the fleet is as full as it gets. */
const ROUNDS_JUDGED = 24;
/** More than one kind wants at once, and less than both. */
const NEAR_SLOTS = 16;

/** Half of those who come have another pool within their 14 ms, half have not. */
const KINDS = {
  flexible: { groups: ["cell:1,1"], rttMs: { near: 4, middle: 8, far: 60 } },
  bound: { groups: ["cell:2,2"], rttMs: { near: 4, middle: 40, far: 60 } },
};

async function run(t: Test, isPricing: boolean) {
  const world = await World.create();
  world.policies = [{ name: "calm", spec: queueing }];
  Object.assign(world.pools.get("near")?.slots ?? {}, { total: NEAR_SLOTS, free: NEAR_SLOTS });
  Object.assign(world.pools.get("middle")?.slots ?? {}, { total: 2 * NEAR_SLOTS, free: 2 * NEAR_SLOTS });
  const { clock } = world;
  const counter = new DemandCounter(clock);
  const published = new PublishedPrices(clock);
  const replica = await world.replica("s1", undefined, { wishes: counter, prices: published });
  const { ledger, rttMap, explain } = replica;
  const failures: unknown[] = [];
  const loop = new PricingLoop({
    ...{ clock, counter, published, ledger, rttMap, pools: explain.pools, turnSeconds: TURN_SECONDS },
    facts: { listPools: () => world.listPools() },
    solver: { solve: async (problem, previous) => ({ solution: solvePrices(problem, previous), cpuMs: 0 }) },
    events: {
      priced: () => undefined,
      pricingFailed: (failure) => failures.push(failure),
      pricesLost: () => undefined,
      pricesRegained: () => undefined,
    },
  });
  t.teardown(() => loop[Symbol.dispose]());
  loop.setActive(isPricing);
  const went: Record<keyof typeof KINDS, string[]> = { flexible: [], bound: [] };
  const running: (() => Promise<void>)[][] = [];
  let why = "";
  const come = async (kind: keyof typeof KINDS) => {
    world.groups = KINDS[kind].groups;
    const client = await Client.create(world);
    const { session, candidates } = await client.create(replica.service);
    const results = await client.results(candidates, KINDS[kind].rttMs);
    const answer = await client.place(replica.service, session, results);
    if (kind === "flexible") why = explain.explain(answer.decision)?.lines.join("\n") ?? "";
    const pool = "pool" in answer ? answer.pool : "";
    went[kind].push(pool);
    const { slots, sessions } = world.pools.get(pool) ?? {};
    if (slots !== undefined) slots.free -= 1;
    sessions?.push(session);
    running.at(-1)?.push(async () => {
      await client.end(replica.service, session);
      if (slots !== undefined) slots.free += 1;
      sessions?.splice(sessions.indexOf(session), 1);
    });
    await world.report(replica);
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    if (running.length >= STAY_ROUNDS) for (const leave of running.shift() ?? []) await leave();
    running.push([]);
    await come("flexible");
    await come("bound");
    await clock.advance(TURN_SECONDS * 1000);
    await world.report(replica);
  }
  t.same(failures, []);
  const judged = (pools: readonly string[]) => pools.slice(-ROUNDS_JUDGED);
  return { flexible: judged(went.flexible), bound: judged(went.bound), why, published };
}

const countOf = (pools: readonly string[], pool: string): number => pools.filter((name) => name === pool).length;

t.test("who can go elsewhere within the limit does, and who cannot keeps the contended pool", async (t) => {
  const plain = await run(t, false);
  const priced = await run(t, true);
  t.equal(countOf(plain.flexible, ""), 0, "who has another pool finds room either way");
  t.ok(countOf(plain.bound, "") > 4, `without prices, went ${plain.bound.join()}`);
  t.notMatch(plain.why, /prices of version/);
  t.match(plain.why, /price 0\.0/);

  t.equal(countOf(priced.flexible, "middle"), ROUNDS_JUDGED, `went ${priced.flexible.join()}`);
  t.equal(countOf(priced.bound, "near"), ROUNDS_JUDGED, `went ${priced.bound.join()}`);
  const { version, byPool } = priced.published.current();
  t.ok((byPool.get("near") ?? 0) > 4, `more than what middle is farther, got ${byPool.get("near")}`);
  const [, named] = /placed: middle[\s\S]*by prices of version (\d+)/.exec(priced.why) ?? [];
  t.ok(Number(named) > 0 && Number(named) <= version, `version ${named} in: ${priced.why}`);
  t.match(priced.why, /near: RTT 4\.0 ms[^\n]*rtt 4\.0 \+ price (?!0\.0)\d+\.\d/);
});

t.test("a session that runs does not leave its contended pool for the price of its own slot", async (t) => {
  const world = await World.create();
  const prices = { current: () => ({ version: 7, byPool: new Map([["near", 50]]) }) };
  const demand = new DemandCounter(world.clock);
  const replica = await world.replica("s1", undefined, { wishes: demand, prices });
  const client = await Client.create(world);
  const { session, candidates } = await client.create(replica.service);
  const first = await client.place(replica.service, session, await client.results(candidates, { near: 4 }));
  if (first.state === "queued") throw new Error("placed");
  t.equal(first.pool, "near");
  const results = await client.results(candidates, KINDS.flexible.rttMs);
  const renewal = { session, placement: first.placement, reason: "promotion" as const };
  t.equal(await client.renew(replica.service, renewal, results), undefined, "kept");
  t.same([demand.countAt("near"), demand.alive], [1, 1]);
  const heir = new DemandCounter(world.clock);
  const other = await world.replica("s2", undefined, { wishes: heir, prices });
  t.equal(await client.renew(other.service, renewal, results), undefined);
  t.same([heir.countAt("near"), Math.max(...heir.takeTurn().arrivals)], [1, 0], "a replica that starts learns of it");
  const another = await Client.create(world);
  const created = await another.create(replica.service);
  const answer = await another.place(
    replica.service,
    created.session,
    await another.results(created.candidates, KINDS.flexible.rttMs),
  );
  t.match(answer, { state: "placed", pool: "middle" }, "a new one pays");
  await client.end(replica.service, session);
  t.same([demand.countAt("near"), demand.countAt("middle"), demand.alive], [0, 1, 1]);
});
