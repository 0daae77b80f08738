/** A real Redis of a test file's own, as its operator and as the programs that share it reach it. */
import { Redis } from "ioredis";
import type { Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { RedisScripts } from "#platform/redis/redis-scripts.ts";
import { testFolder } from "../test-folder.ts";
import { RedisServer } from "./redis-server.ts";

export interface SharedRedis {
  readonly server: RedisServer;
  readonly admin: Redis;
  readonly redis: RedisScripts;
}

/** Connected; there until the test is over. */
export async function startSharedRedis(t: Test): Promise<SharedRedis> {
  const server = await RedisServer.start({ folder: testFolder(t) });
  const admin = new Redis(server.url);
  const up = Promise.withResolvers<void>();
  const events = { redisDown: () => undefined, redisUp: () => up.resolve() };
  const redis = new RedisScripts({ url: server.url }, { clock: systemClock, random: systemRandom, events });
  t.teardown(async () => {
    redis[Symbol.dispose]();
    admin.disconnect();
    await server.kill();
  });
  await up.promise;
  return { server, admin, redis };
}
