/** Two schedulers that share a Redis: the demand of both makes the prices of one, and sessions at either go by them. */
import t, { type Test } from "tap";
import { RttMap } from "#domain/latency/rtt-map.ts";
import { type Clock, systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { RedisScripts } from "#platform/redis/redis-scripts.ts";
import { RedisServer, redisIsMissing } from "../../test/redis/redis-server.ts";
import { testFolder } from "../../test/test-folder.ts";
import { createExplainStore } from "../explain/explain-store.ts";
import { RedisLedger } from "../ledger/redis-ledger.ts";
import type { PoolFacts } from "../placement/pool-facts.ts";
import { openPricing, PRICING_EXCHANGE_MS } from "../pricing/open-pricing.ts";
import { PRICES_AGE_MS_MAX } from "../pricing/price-source.ts";
import type { PricedTurn } from "../pricing/slow-loop.ts";
import { Client, queueing, World } from "./session-world.test.ts";

const reason = redisIsMissing();
const TURN_SECONDS = 5;
const STAY_ROUNDS = 12;
/** Until the fleet is as full as it gets, and some more. */
const ROUNDS = 40;
/** Of the last ones. */
const ROUNDS_JUDGED = 8;
/** More than one kind wants at once, and less than both. */
const NEAR_SLOTS = 16;

/** Half of those who come have another pool within their 14 ms, half have not. */
const KINDS = {
  flexible: { groups: ["cell:1,1"], rttMs: { near: 4, middle: 8, far: 60 } },
  bound: { groups: ["cell:2,2"], rttMs: { near: 4, middle: 40, far: 60 } },
};
type Kind = keyof typeof KINDS;

async function connect(t: Test, { url }: RedisServer): Promise<RedisScripts> {
  const up = Promise.withResolvers<void>();
  const events = { redisUp: () => up.resolve(), redisDown: () => undefined };
  const redis = new RedisScripts({ url }, { clock: systemClock, random: systemRandom, events });
  t.teardown(() => redis[Symbol.dispose]());
  await up.promise;
  return redis;
}

/** What runs every so often runs when it is asked for, and is waited for. */
function byHand({ clock }: World) {
  const due = new Map<number, () => void | Promise<void>>();
  const every = (ms: number, run: () => void | Promise<void>) => {
    due.set(ms, run);
    return { [Symbol.dispose]: () => void due.delete(ms) };
  };
  const { timer } = clock;
  const timed: Clock = {
    ...{ timer, every },
    nowMs: () => clock.nowMs(),
    monotonicMs: () => clock.monotonicMs(),
    sleep: (ms, signal) => clock.sleep(ms, signal),
    deadline: (ms, parent) => clock.deadline(ms, parent),
  };
  return { clock: timed, run: async (ms: number) => due.get(ms)?.() };
}

/** What every replica knows of the paths: round trips are shared too. */
function rttMapOf({ clock }: World): RttMap {
  const map = new RttMap({ groupsMax: 10, ageMsMax: 3_600_000 });
  for (const { groups, rttMs } of Object.values(KINDS)) {
    for (const [pool, ms] of Object.entries(rttMs)) {
      for (let sample = 0; sample < 3; sample += 1)
        map.record(groups, { pool, rttMs: ms, atMs: clock.nowMs(), source: "session" });
    }
  }
  return map;
}

/** Pools with who runs there. */
function factsOf(world: World): readonly PoolFacts[] {
  return world.listPools().map((facts) => {
    const running = world.pools.get(facts.pool)?.sessions ?? [];
    return { ...facts, hasSession: (session) => running.includes(session) };
  });
}

async function schedulerOf(t: Test, world: World, { server, name }: { server: RedisServer; name: string }) {
  const redis = await connect(t, server);
  const prefix = "perigee/";
  const ledger = new RedisLedger({ redis, clock: systemClock, events: { failed: () => undefined }, prefix });
  const explain = createExplainStore();
  const turns: PricedTurn[] = [];
  const said: string[] = [];
  const { clock, run } = byHand(world);
  const stack = new AsyncDisposableStack();
  t.teardown(() => stack.disposeAsync());
  const say = (what: string) => (detail?: unknown) =>
    said.push(`${what} ${detail instanceof Error ? detail.message : ""}`);
  const pricing = openPricing(
    { name, pricing: { enabled: true, turnSeconds: TURN_SECONDS } },
    {
      ...{ clock, ledger, explain, rttMap: rttMapOf(world), facts: { listPools: () => factsOf(world) } },
      ...{ incarnation: systemRandom.uuid(), shared: { redis, prefix } },
      events: {
        priced: (turn) => turns.push(turn),
        ...{ pricingFailed: say("failed"), pricesMissed: say("missed") },
        ...{ pricesLost: say("lost"), pricesRegained: say("regained") },
        ...{ demandTold: () => undefined, demandLearned: () => undefined, demandUntold: () => undefined },
        ...{ demandUnreadable: say("unreadable"), demandNotExchanged: say("not exchanged") },
        ...{ pricesUnreadable: say("unreadable"), pricesNotRead: say("not read") },
      },
    },
    stack,
  );
  const { wishes, prices } = pricing;
  const replica = await world.replica(name, ledger, { wishes, prices, explain });
  const exchange = () => run(PRICING_EXCHANGE_MS);
  const turn = () => run(TURN_SECONDS * 1_000);
  const life = { isKilled: false };
  const kill = async () => {
    life.isKilled = true;
    await stack.disposeAsync();
  };
  return { ...replica, life, pricing, turns, said, exchange, turn, kill };
}

type Scheduler = Awaited<ReturnType<typeof schedulerOf>>;

class Crowd {
  readonly #world: World;
  readonly #running: (() => Promise<void>)[][] = [];
  readonly went: Record<Kind, string[]> = { flexible: [], bound: [] };

  constructor(world: World) {
    this.#world = world;
    world.policies = [{ name: "calm", spec: queueing }];
    Object.assign(world.pools.get("near")?.slots ?? {}, { total: NEAR_SLOTS, free: NEAR_SLOTS });
    Object.assign(world.pools.get("middle")?.slots ?? {}, { total: 2 * NEAR_SLOTS, free: 2 * NEAR_SLOTS });
  }

  /** One of each kind comes; all schedulers have their turns. */
  async round(schedulers: readonly Scheduler[], via: Record<Kind, Scheduler>): Promise<Record<Kind, string>> {
    if (this.#running.length >= STAY_ROUNDS) for (const leave of this.#running.shift() ?? []) await leave();
    this.#running.push([]);
    const why = { flexible: await this.#come("flexible", via), bound: await this.#come("bound", via) };
    await this.#world.clock.advance(TURN_SECONDS * 1_000);
    await this.#world.report(via.bound);
    for (const { exchange } of schedulers) await exchange();
    for (const { turn } of schedulers) await turn();
    for (const { exchange } of schedulers) await exchange();
    return why;
  }

  /** Of the last rounds. */
  judged(kind: Kind): readonly string[] {
    return this.went[kind].slice(-ROUNDS_JUDGED);
  }

  /** Answers why it was placed there. */
  async #come(kind: Kind, via: Record<Kind, Scheduler>): Promise<string> {
    const { service, explain, life } = via[kind];
    this.#world.groups = KINDS[kind].groups;
    const client = await Client.create(this.#world);
    const { session, candidates } = await client.create(service);
    const answer = await client.place(service, session, await client.results(candidates, KINDS[kind].rttMs));
    const pool = "pool" in answer ? answer.pool : "";
    this.went[kind].push(pool);
    const { slots, sessions } = this.#world.pools.get(pool) ?? {};
    if (slots !== undefined) slots.free -= 1;
    sessions?.push(session);
    this.#running.at(-1)?.push(async () => {
      if (!life.isKilled) await client.end(service, session);
      if (slots !== undefined) slots.free += 1;
      sessions?.splice(sessions.indexOf(session), 1);
    });
    await this.#world.report(via[kind]);
    return explain.explain(answer.decision)?.lines.join("\n") ?? "";
  }
}

async function start(t: Test) {
  const server = await RedisServer.start({ folder: testFolder(t) });
  t.teardown(() => server.kill());
  const world = await World.create();
  const crowd = new Crowd(world);
  const one = await schedulerOf(t, world, { server, name: "one" });
  const two = await schedulerOf(t, world, { server, name: "two" });
  one.pricing.setActive(true);
  return { world, crowd, one, two, server };
}

const versionIn = (why: string): number => Number(/by prices of version (\d+)/.exec(why)?.[1] ?? 0);
const all = (pool: string) => Array.from({ length: ROUNDS_JUDGED }, () => pool);

t.test(
  "sessions at either go by the prices that one made of the demand of both, and another goes on when it is killed",
  { skip: reason ?? false },
  async (t) => {
    const { crowd, one, two, world } = await start(t);
    const both = [one, two];
    const vias = [
      { flexible: one, bound: two },
      { flexible: two, bound: one },
    ] as const;
    let why = { flexible: "", bound: "" };
    for (let round = 0; round < ROUNDS; round += 1) why = await crowd.round(both, vias[round % 2 === 0 ? 0 : 1]);
    t.same(crowd.judged("flexible"), all("middle"));
    t.same(crowd.judged("bound"), all("near"));
    t.not(versionIn(why.flexible), 0);
    t.equal(versionIn(why.flexible), versionIn(why.bound), "the same version at both");
    const pricesOf = ({ pricing }: Scheduler) => ({ ...pricing.prices.current(), expectedByPool: undefined });
    t.same(pricesOf(two), pricesOf(one));
    t.ok((two.pricing.prices.current().expectedByPool.get("near") ?? 0) > 0, "who is expected is told too");
    t.match(two.turns.at(-1), { mode: one.turns.at(-1)?.mode, isFollowed: true, solveMs: undefined });
    t.same([one.said, two.said], [[], []]);

    await one.kill();
    const before = two.pricing.prices.current();
    two.pricing.setActive(true);
    const alone = { flexible: two, bound: two };
    for (let round = 0; round < ROUNDS_JUDGED; round += 1) why = await crowd.round([two], alone);
    t.match(two.turns.at(-1), { mode: /applied|damped/, isFollowed: false });
    const { byPool, version } = two.pricing.prices.current();
    t.ok((byPool.get("near") ?? 0) > 4, `near has a price of ${byPool.get("near")}`);
    t.ok(version > before.version && versionIn(why.bound) > before.version);
    t.same(crowd.judged("flexible"), all("middle"));
    t.same(crowd.judged("bound"), all("near"));

    two.pricing.setActive(false);
    await two.turn();
    t.match(two.turns.at(-1), { isFollowed: true }, "its own last ones, while they are young");
    await world.clock.advance(PRICES_AGE_MS_MAX + 1);
    await two.turn();
    t.match(two.turns.at(-1), { mode: "off-inactive", prices: { version: 0 } });
    t.same(two.said, ["missed "]);
  },
);

t.test(
  "a scheduler that no client asks makes prices for the one that all ask",
  { skip: reason ?? false },
  async (t) => {
    const { crowd, one, two } = await start(t);
    const via = { flexible: two, bound: two };
    for (let round = 0; round < ROUNDS; round += 1) await crowd.round([one, two], via);
    t.same(crowd.judged("flexible"), all("middle"));
    t.same(crowd.judged("bound"), all("near"));
    t.same([one.said, two.said], [[], []]);
  },
);
