/** Prices of several replicas through a real Redis. */
import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { RedisScripts } from "#platform/redis/redis-scripts.ts";
import { RedisServer, redisIsMissing } from "../../test/redis/redis-server.ts";
import { type SharedRedis, startSharedRedis } from "../../test/redis/shared-redis.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { testFolder } from "../../test/test-folder.ts";
import { PRICES_AGE_MS_MAX } from "./price-source.ts";
import { SharedPrices, type SharedPricesPorts, TERM_SILENCE_MS_MAX } from "./shared-prices.ts";

const reason = redisIsMissing();
const NEAR = new Map([["near", 4.5]]);
const FAR = new Map([["far", 2]]);
const EXPECTED = new Map([["near", 12.5]]);
const priced = (byPool: ReadonlyMap<string, number>) => ({ byPool, expectedByPool: EXPECTED });

function replica({ redis }: Pick<SharedPricesPorts, "redis">, key: string, holder: string) {
  const clock = new VirtualClock();
  const said: string[] = [];
  const events = {
    pricesUnreadable: (fault: string) => said.push(fault),
    pricesNotRead: ({ message }: Error) => said.push(message),
  };
  const prices = new SharedPrices({ redis, clock, events, holder, key });
  return { clock, said, prices, version: () => prices.current().version };
}

async function main(): Promise<void> {
  const world = await startSharedRedis(t);
  testVersions(world);
  testAges(world);
  testTerms(world);
  testForeign(world);
  testOutage();
}

function testVersions(world: SharedRedis): void {
  t.test("what one publishes is of the same version at all, and so at one that starts", async (t) => {
    const [one, two] = [replica(world, "same", "one"), replica(world, "same", "two")];
    const published = await one.prices.publish(priced(NEAR), "damped");
    const seconds = Number((await world.admin.time())[0]);
    t.ok(published.version > 1e9 && published.version <= seconds, "the second in which they came to be");
    t.equal(one.prices.current(), published);
    t.equal(two.version(), 0);
    await two.prices.refresh();
    t.same(two.prices.current(), published);
    t.equal(two.prices.followedMode, "damped");
    await one.prices.publish(priced(NEAR), "applied");
    await two.prices.refresh();
    t.equal(two.version(), published.version, "the same prices are the same version");
    t.equal(two.prices.followedMode, "applied");
    const next = await one.prices.publish(priced(FAR), "applied");
    await two.prices.refresh();
    t.equal(next.version, two.version());
    t.ok(next.version > published.version);
    t.same(two.prices.current().byPool, FAR);
  });

  t.test(
    "what is expected comes anew with each turn, also of the same prices, and who comes between counts there too",
    async (t) => {
      const [one, two] = [replica(world, "expected", "one"), replica(world, "expected", "two")];
      await one.prices.publish(priced(NEAR), "applied");
      await two.prices.refresh();
      two.prices.arrived(new Map([["near", 0.5]]));
      t.same(two.prices.current().expectedByPool, new Map([["near", 13]]));
      await two.prices.refresh();
      t.same(two.prices.current().expectedByPool, new Map([["near", 13]]), "nothing was solved since");
      t.same(one.prices.current().expectedByPool, EXPECTED);
      await nextMillisecond(world);
      await one.prices.publish({ byPool: NEAR, expectedByPool: new Map([["far", 2]]) }, "applied");
      await two.prices.refresh();
      t.same(two.prices.current(), one.prices.current());
      t.same(two.prices.current().expectedByPool, new Map([["far", 2]]));
      await nextMillisecond(world);
      await one.prices.publish(priced(new Map()), "off-uncontended");
      await two.prices.refresh();
      t.same(two.prices.current(), { version: 0, byPool: new Map(), expectedByPool: EXPECTED });
    },
  );

  t.test("where nothing has a price nobody has any, and what comes later is newer", async (t) => {
    const [one, two] = [replica(world, "none", "one"), replica(world, "none", "two")];
    const first = await one.prices.publish(priced(NEAR), "applied");
    await one.prices.publish(priced(new Map()), "off-uncontended");
    await two.prices.refresh();
    t.same([one.version(), two.version(), two.prices.followedMode], [0, 0, "off-uncontended"]);
    t.ok((await one.prices.publish(priced(NEAR), "applied")).version > first.version);
  });
}

function testAges(world: SharedRedis): void {
  t.test("prices that nobody refreshes are none after a minute, also at one that starts", async (t) => {
    const [one, two] = [replica(world, "stale", "one"), replica(world, "stale", "two")];
    await one.prices.publish(priced(NEAR), "applied");
    const lifetimeMs = await world.admin.pttl("stale");
    t.ok(lifetimeMs > 0 && lifetimeMs <= PRICES_AGE_MS_MAX, `${lifetimeMs} ms left in Redis`);
    const [seconds] = await world.admin.time();
    await world.admin.hset("stale", "solved", Number(seconds) * 1000 - PRICES_AGE_MS_MAX / 2);
    await two.prices.refresh();
    t.not(two.version(), 0);
    await two.clock.advance(PRICES_AGE_MS_MAX / 2 + 1_000);
    t.same([two.version(), two.prices.followedMode], [0, undefined]);
    await world.admin.hset("stale", "solved", Number(seconds) * 1000 - PRICES_AGE_MS_MAX - 2_000);
    const late = replica(world, "stale", "late");
    await late.prices.refresh();
    t.same([late.version(), late.said], [0, []]);
  });

  t.test("an older version replaces no newer one, until that is too old itself", async (t) => {
    const [one, two] = [replica(world, "older", "one"), replica(world, "older", "two")];
    const { version } = await one.prices.publish(priced(NEAR), "applied");
    await two.prices.refresh();
    const solved = Number((await world.admin.time())[0]) * 1000;
    const prices = '{"columns":["priceMs"],"pools":{"far":[9]}}';
    await world.admin.hset("older", { version: version - 1, solved, mode: "applied", prices });
    await two.prices.refresh();
    t.same(two.prices.current(), { version, byPool: NEAR, expectedByPool: EXPECTED });
    await two.clock.advance(PRICES_AGE_MS_MAX + 1);
    await two.prices.refresh();
    t.equal(two.version(), version - 1);
    await world.admin.hset("older", "prices", '{"columns":["priceMs"],"pools":{"near":[4.5]}}');
    t.ok(
      (await one.prices.publish(priced(NEAR), "applied")).version > version,
      "also where the same prices stand there",
    );
    t.ok((await one.prices.publish(priced(FAR), "applied")).version > version, "who publishes knows what it published");
  });

  t.test("a Redis that begins empty gets versions that go on from those that are known", async (t) => {
    const one = replica(world, "anew", "one");
    await one.prices.publish(priced(NEAR), "applied");
    await world.admin.hset("anew", "version", one.version() + 1_000);
    await one.prices.refresh();
    await one.prices.publish(priced(FAR), "applied");
    const before = one.version();
    await world.admin.del("anew");
    t.equal((await one.prices.publish(priced(NEAR), "applied")).version, before + 1);
  });
}

function testTerms(world: SharedRedis): void {
  t.test("who has lost the lease publishes nothing once another has, until it has it again", async (t) => {
    const [one, two] = [replica(world, "terms", "one"), replica(world, "terms", "two")];
    for (const { prices } of [one, two]) prices.begin();
    await one.prices.publish(priced(NEAR), "applied");
    const { version } = await two.prices.publish(priced(FAR), "applied");
    const failure = await one.prices.publish(priced(NEAR), "applied").catch((error: unknown) => error);
    t.ok(isFailure(failure, "resource-conflict"));
    t.match(failure, { message: /prices of one are not published: two has had the lease since/ });
    await one.prices.refresh();
    t.same(one.prices.current(), { version, byPool: FAR, expectedByPool: EXPECTED }, "it goes by the other's");
    one.prices.begin();
    t.ok((await one.prices.publish(priced(NEAR), "applied")).version > version);
    const refused = await two.prices.publish(priced(FAR), "applied").catch((error: unknown) => error);
    t.ok(isFailure(refused, "resource-conflict"));
  });

  t.test("a later term that has fallen silent stands in nobody's way", async (t) => {
    const [one, two] = [replica(world, "silent", "one"), replica(world, "silent", "two")];
    await one.prices.publish(priced(NEAR), "applied");
    const { version } = await two.prices.publish(priced(FAR), "applied");
    await world.admin.hset("silent", "solved", timeBefore(await world.admin.time(), TERM_SILENCE_MS_MAX + 2_000));
    t.ok((await one.prices.publish(priced(NEAR), "applied")).version > version);
    t.equal(await world.admin.hget("silent", "holder"), "one");
  });
}

function testForeign(world: SharedRedis): void {
  t.test("what are no prices of ours is refused once and changes nothing, and the next ones are taken", async (t) => {
    const [one, two] = [replica(world, "foreign", "one"), replica(world, "foreign", "two")];
    const { version } = await one.prices.publish(priced(NEAR), "applied");
    await two.prices.refresh();
    const solved = Number((await world.admin.time())[0]) * 1000;
    const newer = { version: version + 5, solved, mode: "applied", prices: '{"columns":["priceMs"],"pools":{}}' };
    for (const garbage of [
      { prices: "{" },
      { expected: '{"columns":["expectedSessions"],"pools":{"near":[-1]}}' },
      { version: "1e99" },
      { version: "-3" },
      { solved: "soon" },
      { solved: solved + 3_600_000 },
      { mode: "off-inactive?" },
    ]) {
      await world.admin.hset("foreign", { ...newer, ...garbage });
      const told = two.said.length;
      await two.prices.refresh();
      await two.prices.refresh();
      t.equal(two.said.length, told + 1, `said once: ${two.said.at(-1)}`);
      t.same(two.prices.current(), { version, byPool: NEAR, expectedByPool: EXPECTED }, JSON.stringify(garbage));
    }
    const next = await one.prices.publish(priced(FAR), "applied");
    await two.prices.refresh();
    t.same(two.prices.current(), next);
  });

  t.test("terms and versions that are no numbers of ours keep nobody from publishing", async (t) => {
    const one = replica(world, "numbers", "one");
    for (const [term, version] of [
      ["9e15", "4294967295"],
      ["nan", "inf"],
      ["x", "-1"],
    ] as const) {
      await world.admin.hset("numbers", { term, version, solved: "x" });
      const published = await one.prices.publish(priced(NEAR), "applied");
      t.ok(published.version > 1e9 && published.version < 4e9, `${published.version} after ${term}, ${version}`);
      await world.admin.del("numbers");
    }
  });

  t.test("a key that holds something else is told once, left as it is, and changes nothing", async (t) => {
    const [one, two] = [replica(world, "string", "one"), replica(world, "string", "two")];
    await one.prices.publish(priced(NEAR), "applied");
    await two.prices.refresh();
    await world.admin.set("string", "somebody's");
    await two.prices.refresh();
    await two.prices.refresh();
    t.match(two.said, [/a key that is ours holds what somebody else wrote \(WRONGTYPE/]);
    t.equal(two.said.length, 1);
    await t.rejects(one.prices.publish(priced(FAR), "applied"), { code: "unavailable", message: /WRONGTYPE/ });
    t.same([one.prices.current().byPool, two.prices.current().byPool], [NEAR, NEAR]);
    t.equal(await world.admin.get("string"), "somebody's");
    await world.admin.del("string");
    const next = await one.prices.publish(priced(FAR), "applied");
    await two.prices.refresh();
    t.equal(two.version(), next.version);
  });
}

function testOutage(): void {
  t.test(
    "without Redis the last prices stay for a minute, at who solves and at the others, then there are none",
    async (t) => {
      const server = await RedisServer.start({ folder: testFolder(t) });
      const [up, down] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const events = { redisDown: () => down.resolve(), redisUp: () => up.resolve() };
      using redis = new RedisScripts({ url: server.url }, { clock: systemClock, random: systemRandom, events });
      await up.promise;
      const [one, two] = [replica({ redis }, "k", "one"), replica({ redis }, "k", "two")];
      const { version } = await one.prices.publish(priced(NEAR), "applied");
      await two.prices.refresh();
      await server.kill();
      await down.promise;
      await t.rejects(one.prices.publish(priced(FAR), "applied"), { code: "unavailable" });
      await two.prices.refresh();
      await two.prices.refresh();
      t.same([one.version(), two.version(), two.said.length], [version, version, 1]);
      for (const { clock } of [one, two]) await clock.advance(PRICES_AGE_MS_MAX + 1);
      t.same([one.version(), two.version()], [0, 0]);
    },
  );
}

/** Turns are seconds apart; two in one millisecond are one to readers. */
async function nextMillisecond({ admin }: SharedRedis): Promise<void> {
  const [seconds, micros] = await admin.time();
  const isPast = async (): Promise<boolean> => {
    const [later, rest] = await admin.time();
    return Number(later) > Number(seconds) || Math.floor(Number(rest) / 1000) > Math.floor(Number(micros) / 1000);
  };
  while (!(await isPast()));
}

function timeBefore([seconds]: (string | number)[], ms: number): number {
  return Number(seconds) * 1000 - ms;
}

if (reason === undefined) await main();
else t.test("prices in Redis", { skip: reason }, async () => undefined);
