/** Two replicas of the scheduler and one Redis: what one promised the other does not give. */
import t, { type Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { RedisScripts } from "#platform/redis/redis-scripts.ts";
import { RedisServer, redisIsMissing } from "../../test/redis/redis-server.ts";
import { testFolder } from "../../test/test-folder.ts";
import { RedisLedger } from "../ledger/redis-ledger.ts";
import { Client, failureOf, placedIn, RTT, World } from "./session-world.test.ts";

const reason = redisIsMissing();

async function ledgerIn(t: Test, { url }: RedisServer): Promise<RedisLedger> {
  const up = Promise.withResolvers<void>();
  const events = { redisUp: () => up.resolve(), redisDown: up.reject, failed: () => undefined };
  const redis = new RedisScripts({ url }, { clock: systemClock, random: systemRandom, events });
  t.teardown(() => redis[Symbol.dispose]());
  await up.promise;
  return new RedisLedger({ redis, clock: systemClock, events, prefix: "perigee/" });
}

t.test(
  "a session placed by one replica is renewed by another that starts empty, and no slot is given twice",
  { skip: reason ?? false },
  async (t) => {
    const server = await RedisServer.start({ folder: testFolder(t) });
    t.teardown(() => server.kill());
    const world = await World.create();
    for (const { slots } of world.pools.values()) Object.assign(slots, { total: 1, free: 1 });
    const first = await world.replica("s1", await ledgerIn(t, server));
    const one = await Client.create(world);
    const { session, candidates } = await one.create(first.service);
    const placed = placedIn(await one.place(first.service, session, await one.results(candidates, RTT)));
    t.equal(placed.pool, "near");

    const second = await world.replica("s2", await ledgerIn(t, server));
    const two = await Client.create(world);
    const other = await two.create(second.service);
    const elsewhere = await two.place(second.service, other.session, await two.results(other.candidates, RTT));
    t.equal(placedIn(elsewhere).pool, "middle", "near is promised by the other");

    const shown = { session, placement: placed.placement, reason: "pool-lost" } as const;
    const renewed = placedIn(await one.renew(second.service, shown));
    t.equal(renewed.pool, "far", "what is left");
    const three = await Client.create(world);
    const late = await three.create(first.service);
    const waiting = await three.place(first.service, late.session, await three.results(late.candidates, RTT));
    t.equal(waiting.state, "queued", "who was renewed may be there, unreported");
    await one.end(second.service, session);
    const freed = await three.place(first.service, late.session, await three.results(late.candidates, RTT));
    t.equal(placedIn(freed).pool, "near", "ended at the one, freed for both");
    t.equal(await first.ledger.countSessions("hall"), 2);
    t.equal(await second.ledger.countSessions("hall"), 2);
  },
);

t.test(
  "a session that is being made stays with its replica: another does not know it, and it is created again",
  { skip: reason ?? false },
  async (t) => {
    const server = await RedisServer.start({ folder: testFolder(t) });
    t.teardown(() => server.kill());
    const world = await World.create();
    const first = await world.replica("s1", await ledgerIn(t, server));
    const second = await world.replica("s2", await ledgerIn(t, server));
    const client = await Client.create(world);
    const { session, candidates } = await client.create(first.service);
    const results = await client.results(candidates, RTT);
    t.equal((await failureOf(client.place(second.service, session, results))).code, "not-found");
    placedIn(await client.place(first.service, session, results));
  },
);

t.test(
  "with Redis gone a session is refused so that it may be asked for again",
  { skip: reason ?? false },
  async (t) => {
    const server = await RedisServer.start({ folder: testFolder(t) });
    const world = await World.create();
    const { service } = await world.replica("s1", await ledgerIn(t, server));
    const client = await Client.create(world);
    await server.kill();
    const { code, retryable } = await failureOf(client.create(service));
    t.same({ code, retryable }, { code: "unavailable", retryable: true });
  },
);
