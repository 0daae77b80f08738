/** The ledger on a real Redis; its time is given to the scripts where a test turns it. */
import { Redis } from "ioredis";
import t, { type Test } from "tap";
import { type Clock, systemClock } from "#platform/clock.ts";
import { startTcpLink } from "#platform/links/tcp-link.ts";
import { systemRandom } from "#platform/random.ts";
import { REDIS_CALL_MS_MAX, RedisScripts } from "#platform/redis/redis-scripts.ts";
import { ledgerContract } from "../../test/contract/ledger-contract.ts";
import { RedisServer, redisIsMissing } from "../../test/redis/redis-server.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { testFolder } from "../../test/test-folder.ts";
import type { EdgeReport } from "./ledger.ts";
import { ledgerScripts } from "./ledger-scripts.ts";
import { RedisLedger } from "./redis-ledger.ts";

const NOW_KEY = "test/now";
const BASE_MS = 1_800_000_000_000;
const turned = ledgerScripts(`local now = tonumber(redis.call('GET', '${NOW_KEY}'))`);
const reason = redisIsMissing();

/** Of one fleet, each on a connection of its own where none is given. */
interface World {
  readonly server: RedisServer;
  readonly admin: Redis;
  readonly redis: RedisScripts;
}

async function main(): Promise<void> {
  const server = await RedisServer.start({ folder: testFolder(t) });
  const admin = new Redis(server.url);
  const { redis, up } = connectTo(t, server.url);
  await up();
  t.teardown(async () => {
    admin.disconnect();
    await server.kill();
  });
  await admin.ping();
  const world = { server, admin, redis };
  ledgerContract({ name: "redis", open: (clock) => openTurned(clock, world), runs: 40 });
  testScripts(world);
  await t.test("what is lost with Redis", (t) => testLost(t, server));
}

const small = { pool: "near", renderClass: "small", excludedAgents: new Set<string>() };
const wish = (session: string, attempt = 1) => ({ ...small, session, attempt, app: "hall", appSessionsMax: 100 });

function report(free: number, sessions: readonly string[] = []): EdgeReport {
  const measured = { startedAtMs: 0, remotePathMsP50: 0, remotePathMsP95: 0, rttMs: 0 };
  const running = sessions.map((session) => ({ session, attempt: 1, app: "hall", renderClass: "small", ...measured }));
  const slots = [{ renderClass: "small", total: 2, free, frameMsP95: 8 }];
  const agent = { agent: "a", incarnation: "1", ready: true, reasons: [], slots, sessions: running };
  return { pool: "near", node: "near-1", agents: [agent] };
}

function testScripts(world: World): void {
  t.test("every key expires, and all are under the prefix", async (t) => {
    const clock = new VirtualClock();
    const prefix = "expiring/";
    const ledger = openTurned(clock, world, { prefix });
    await ledger.report(report(1, ["s-0"]));
    await ledger.probed({ pool: "near", freeSlots: { small: 1 }, ageMs: 0 });
    t.equal(await ledger.reserve(wish("s-1")), "reserved");
    const keys = await world.admin.keys(`${prefix}*`);
    t.same(keys.map((key) => key.slice(`${prefix}ledger/2/`.length)).sort(), [
      "a/hall",
      "e/near/near-1",
      "p/near",
      "q/near",
      "r/s-1",
    ]);
    for (const key of keys) t.ok((await world.admin.pttl(key)) > 0, key);
  });

  t.test("two replicas share what is promised, and one that starts empty goes on", async (t) => {
    const clock = new VirtualClock();
    const [first, second] = ["", ""].map(() => openTurned(clock, world, { prefix: "shared/" }));
    if (first === undefined || second === undefined) throw new Error("there are two");
    await first.report(report(2));
    t.equal(await first.reserve(wish("s-1")), "reserved");
    t.equal(await second.reserve(wish("s-2")), "reserved");
    t.equal(await first.reserve(wish("s-3")), "full");
    t.equal(await second.reserve(wish("s-1", 2)), "reserved", "the session's own");
    await second.report(report(1, ["s-2"]));
    t.equal(await first.countSessions("hall"), 2);
  });

  t.test("a reservation that gets there late is left, so that what was decided since stands", async (t) => {
    const clock = new VirtualClock();
    const late = { ms: 0 };
    const slow = openTurned(clock, world, { prefix: "late/", beforeRun: () => clock.advance(late.ms) });
    await slow.report(report(2));
    late.ms = REDIS_CALL_MS_MAX + 1;
    await t.rejects(slow.reserve(wish("s-1")), { code: "unavailable", retryable: true });
    t.equal((await slow.capacities([small]))[0]?.slotsFree, 2);
    late.ms = REDIS_CALL_MS_MAX;
    t.equal(await slow.reserve(wish("s-1")), "reserved", "at the last moment");
  });

  t.test("a report that was held up does not undo a younger one", async (t) => {
    const clock = new VirtualClock();
    const quick = openTurned(clock, world, { prefix: "stalled/" });
    const gate = Promise.withResolvers<void>();
    const old = openTurned(clock, world, { prefix: "stalled/", beforeReport: () => gate.promise });
    await old.countSessions("hall");
    const telling = old.report(report(2));
    await clock.advance(1);
    await quick.report(report(1, ["s-1"]));
    gate.resolve();
    await telling;
    t.equal((await quick.capacities([small]))[0]?.slotsFree, 1);
  });

  t.test("Redis forgets its scripts and is told them again", async (t) => {
    const ledger = openTurned(new VirtualClock(), world);
    await ledger.report(report(2));
    await world.admin.script("FLUSH");
    t.equal(await ledger.reserve(wish("s-1")), "reserved");
  });
}

/** By the server's own time. */
async function testLost(t: Test, server: RedisServer): Promise<void> {
  const link = await startTcpLink({
    ...{ clock: systemClock, random: systemRandom, rttMs: 0 },
    listen: { host: "127.0.0.1", port: 0 },
    target: { host: server.host, port: server.port },
  });
  t.teardown(() => link[Symbol.asyncDispose]());
  const { redis, heard, up } = connectTo(t, `redis://127.0.0.1:${link.address.port}`);
  await up();
  const failed: string[] = [];
  const ledger = new RedisLedger({
    ...{ redis, clock: systemClock, prefix: "lost/" },
    events: { failed: (operation, { code }) => failed.push(`${operation} ${code}`) },
  });
  await ledger.report(report(2));
  t.equal(await ledger.reserve(wish("s-1")), "reserved");

  link.halfOpen();
  await t.rejects(ledger.reserve(wish("s-2")), { code: "unavailable", retryable: true }, "within its deadline");
  link.cut();
  await t.rejects(ledger.reserve(wish("s-2")), { code: "unavailable", retryable: true });
  await ledger.report(report(2));
  t.same(failed.slice(-3), ["reserve unavailable", "reserve unavailable", "report unavailable"]);
  const again = up();
  link.restore();
  await again;
  t.equal(await ledger.reserve(wish("s-1")), "reserved", "the same attempt finds its own");
  t.same((await ledger.capacities([small]))[0]?.slotsFree, 1);

  await server.kill();
  await t.rejects(ledger.reserve(wish("s-3")), { code: "unavailable", retryable: true });
  const back = up();
  await server.start();
  await back;
  t.equal(await ledger.reserve(wish("s-3")), "closed", "nothing is known");
  await ledger.report(report(2));
  t.equal(await ledger.reserve(wish("s-3")), "reserved");
  t.same(heard, ["up", "down", "up", "down", "up"], "each once");
}

interface Connected {
  readonly redis: RedisScripts;
  readonly heard: readonly string[];
  /** Of the next time that it is up, by itself. */
  up(): Promise<void>;
}

function connectTo(t: Test, url: string): Connected {
  const heard: string[] = [];
  let rising = Promise.withResolvers<void>();
  const events = {
    redisDown: () => void heard.push("down"),
    redisUp() {
      heard.push("up");
      rising.resolve();
      rising = Promise.withResolvers();
    },
  };
  const redis = new RedisScripts({ url }, { clock: systemClock, random: systemRandom, events });
  t.teardown(() => redis[Symbol.dispose]());
  return { redis, heard, up: () => rising.promise };
}

interface Turned {
  readonly prefix?: string;
  readonly beforeRun?: () => Promise<unknown>;
  readonly beforeReport?: () => Promise<unknown>;
}

/** An empty ledger, where no prefix is given, on the clock of the test. */
function openTurned(clock: VirtualClock | Clock, { redis, admin }: World, turn: Turned = {}): RedisLedger {
  const prefix = turn.prefix ?? `${systemRandom.uuid()}/`;
  return new RedisLedger({
    redis: {
      run: async (script, keys, words) => {
        await turn.beforeRun?.();
        if (script === turned.report) await turn.beforeReport?.();
        await admin.set(NOW_KEY, BASE_MS + clock.monotonicMs());
        return redis.run(script, keys, words);
      },
    },
    ...{ clock, prefix, scripts: turned, events: { failed: () => undefined } },
  });
}

if (reason === undefined) await main();
else t.test("the ledger on Redis", { skip: reason }, async () => undefined);
