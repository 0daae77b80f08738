/** Two replicas' round trips through a real Redis. */
import t from "tap";
import { fibreRttMsBetween } from "#domain/latency/distance-model.ts";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { RedisScripts } from "#platform/redis/redis-scripts.ts";
import { redisIsMissing } from "../../test/redis/redis-server.ts";
import { type SharedRedis, startSharedRedis } from "../../test/redis/shared-redis.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import {
  RTT_SAMPLES_PER_TURN_MAX,
  RTT_TURNS_KEPT_MAX,
  RttExchange,
  type RttExchangePorts,
  SharedRttMap,
} from "./rtt-exchange.ts";

const GROUPS = ["prefix:192.0.2.0/24", "cell:52:13", "country:DE"];
const ENDS = { client: { latitude: 52.5, longitude: 13.4 }, pool: { latitude: 50.1, longitude: 8.7 } };
const AGE_MS_MAX = 86_400_000;
const reason = redisIsMissing();

function replica({ redis }: Pick<RttExchangePorts, "redis">, key: string, clock = new VirtualClock()) {
  const counted = { told: 0, learned: 0, untold: 0, unreadable: 0 };
  const map = new SharedRttMap({ groupsMax: 100, ageMsMax: AGE_MS_MAX });
  const count = (key: keyof typeof counted, samples: number) => {
    counted[key] += samples;
  };
  const events = {
    told: (samples: number) => count("told", samples),
    learned: (samples: number) => count("learned", samples),
    untold: (samples: number) => count("untold", samples),
    unreadable: () => count("unreadable", 1),
  };
  const exchange = new RttExchange(map, { redis, clock, events, incarnation: systemRandom.uuid(), key });
  const measure = (rttMs: number, { pool = "near", ageMs = 0 } = {}) =>
    map.record(GROUPS, { pool, rttMs, atMs: clock.nowMs() - ageMs, source: "session", ends: ENDS });
  const find = (pool = "near") => map.find(GROUPS, pool, clock.nowMs());
  return { map, exchange, counted, measure, find, clock, turn: () => exchange.turn() };
}

async function main(): Promise<void> {
  const world = await startSharedRedis(t);
  testSharing(world);
  testBounds(world);
}

function testSharing(world: SharedRedis): void {
  t.test("what one measured the other knows, and who starts later too; nobody learns its own twice", async (t) => {
    const one = replica(world, "sharing");
    const two = replica(world, "sharing");
    one.measure(12);
    one.measure(12);
    await one.turn();
    await two.turn();
    await one.turn();
    t.equal(two.find()?.smoothedRttMs, 12);
    t.equal(two.find()?.sampleCount, 2);
    t.same(two.map.estimateByDistance(GROUPS, ENDS), one.map.estimateByDistance(GROUPS, ENDS));
    t.not(
      two.map.estimateByDistance(GROUPS, ENDS).rttMs,
      fibreRttMsBetween(ENDS.client, ENDS.pool),
      "learnt by distance",
    );
    t.equal(one.find()?.sampleCount, 2, "its own came back and was left");
    await two.turn();
    t.equal(two.find()?.sampleCount, 2, "what was read is not read again");
    const late = replica(world, "sharing");
    await late.turn();
    t.equal(late.find()?.sampleCount, 2);
    t.same([one.counted.told, two.counted.learned, late.counted.learned], [2, 2, 2]);
    late.measure(12);
    await late.turn();
    await one.turn();
    t.equal(one.find()?.sampleCount, 3);
  });

  t.test("a sample is as old at the other as it was here, and no older than what is believed", async (t) => {
    const one = replica(world, "ages");
    const two = replica(world, "ages", new VirtualClock(5_000_000));
    one.measure(12, { ageMs: 60_000 });
    one.measure(12, { pool: "past", ageMs: AGE_MS_MAX + 60_000 });
    await one.turn();
    await two.turn();
    const ageMs = two.find()?.ageMs ?? 0;
    t.ok(ageMs >= 60_000 && ageMs < 120_000, `${ageMs} ms`);
    t.equal(two.counted.learned, 1);
  });

  t.test("a stream that began again is read from its start", async (t) => {
    const one = replica(world, "again");
    const two = replica(world, "again");
    one.measure(12);
    await one.turn();
    await two.turn();
    const [last] = await world.admin.xrange("again", "-", "+");
    await world.admin.del("again");
    // As after a restart of Redis on a clock that is a minute behind.
    const id = `${Number(last?.[0].split("-")[0]) - 60_000}-0`;
    await world.admin.xadd(
      "again",
      id,
      "by",
      "x",
      "samples",
      JSON.stringify([[GROUPS, "far", 15, 0, "session", 1, []]]),
    );
    await two.turn();
    await two.turn();
    t.equal(two.find("far")?.smoothedRttMs, 15);
  });
}

function testBounds(world: SharedRedis): void {
  t.test(`a turn tells at most ${RTT_SAMPLES_PER_TURN_MAX} samples; more count here only`, async (t) => {
    const one = replica(world, "most");
    for (let sample = 0; sample <= RTT_SAMPLES_PER_TURN_MAX; sample += 1) one.measure(12);
    await one.turn();
    const two = replica(world, "most");
    await two.turn();
    t.same([one.counted.told, one.counted.untold], [RTT_SAMPLES_PER_TURN_MAX, 1]);
    t.equal(one.find()?.sampleCount, RTT_SAMPLES_PER_TURN_MAX + 1);
    t.equal(two.find()?.sampleCount, RTT_SAMPLES_PER_TURN_MAX);
  });

  t.test(`the stream keeps some ${RTT_TURNS_KEPT_MAX} turns, and one turn reads them all`, async (t) => {
    const one = replica(world, "long");
    for (let turn = 0; turn < 2 * RTT_TURNS_KEPT_MAX; turn += 1) {
      one.measure(12);
      await one.turn();
    }
    const kept = await world.admin.xlen("long");
    t.ok(kept >= RTT_TURNS_KEPT_MAX && kept < RTT_TURNS_KEPT_MAX + 128, `${kept} turns`);
    const two = replica(world, "long");
    await two.turn();
    t.equal(two.counted.learned, kept);
    t.ok((await world.admin.pttl("long")) > 0, "the stream ends with the last replica");
  });

  t.test("what is no turn of ours is left out, and the next one read", async (t) => {
    const one = replica(world, "foreign");
    const two = replica(world, "foreign");
    const foreign = ["{", "[]x", '[["g"]]', JSON.stringify([[GROUPS, "near", -1, 0, "session", 1, []]])];
    for (const text of foreign) await world.admin.xadd("foreign", "*", "by", "x", "samples", text);
    one.measure(12);
    await one.turn();
    await two.turn();
    t.equal(two.counted.unreadable, foreign.length);
    t.equal(two.find()?.smoothedRttMs, 12);
  });

  t.test("without Redis each goes by its own, and tells what it measures later", async (t) => {
    const events = { redisDown: () => undefined, redisUp: () => undefined };
    using nowhere = new RedisScripts(
      { url: "redis://127.0.0.1:1" },
      { clock: systemClock, random: systemRandom, events },
    );
    const one = replica({ redis: nowhere }, "nowhere");
    one.measure(12);
    await one.turn();
    t.equal(one.find()?.sampleCount, 1);
    t.same([one.counted.told, one.counted.untold], [0, 1]);
  });
}

if (reason === undefined) await main();
else t.test("round trips in Redis", { skip: reason }, async () => undefined);
