/**
 * Makes a million reservations from replicas that are killed, with wrong clocks and bad ways to Redis, and judges them at
 * the agents: by every promise, whether they have slots for all who may come, and in the end, whether all is free again.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import { type Random, seededRandom, systemRandom } from "#platform/random.ts";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import { RedisServer, redisIsMissing } from "#test/redis/redis-server.ts";
import { RESERVATION_MS } from "../ledger/ledger.ts";
import { PoolAgents } from "./torture/agents.ts";
import { Clients } from "./torture/clients.ts";
import { Edges } from "./torture/edges.ts";
import { breakThings, FAULTS, type FaultCounts } from "./torture/faults.ts";
import { Replica } from "./torture/replicas.ts";
import { fastMs, type Scale } from "./torture/scaled-time.ts";
import { TimedCalls } from "./torture/timed-calls.ts";

const POOLS = 100;
const SLOTS = 40;
const REPLICAS = 3;
const CONCURRENCY = 400;
const TURN_MS = 4;
/** By then every report is made of what agents told when all was over; in fast milliseconds. */
const LAST_REPORT_MS = 10_000;
const FILL_TRIES_MAX = 500;
const PROGRESS_LINES = 10;

const HELP = `node scheduler/bench/torture-ledger.bench.ts [options]: reservations in Redis under kill -9, judged at the agents
  --reserves <count>  (1000000)
  --seed <number>     of what is broken, and when (a random one, printed)
  --smoke             20,000 reservations
  --json              the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  reserves: { type: "string", default: "1000000" },
  seed: { type: "string", default: String(systemRandom.integer(2 ** 31)) },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

const say = (line: string) => {
  if (!options.json) console.log(line);
};

/** How much faster time is. Calls have this part of their deadline, and a run this part of a promise to wait at its end. */
const FACTOR = options.smoke ? 8 : 5;

interface World {
  readonly server: RedisServer;
  readonly replicas: readonly Replica[];
  readonly pools: readonly PoolAgents[];
  readonly clients: Clients;
  readonly edges: Edges;
  readonly calls: TimedCalls;
  readonly nowMs: () => number;
}

/** Everything that is due, until it is over. */
async function turnWhile(world: World, goesOn: () => boolean): Promise<void> {
  while (goesOn()) {
    const nowMs = world.nowMs();
    world.calls.run(nowMs);
    world.edges.turn(nowMs);
    for (const replica of world.replicas) replica.flush();
    await systemClock.sleep(TURN_MS);
  }
}

/** Each slot that agents have free is asked for, and one more: how many the ledger gives of a pool. */
async function fill(world: World, pool: PoolAgents): Promise<number> {
  const [replica] = world.replicas;
  if (replica === undefined) throw new Error("there are replicas");
  let given = 0;
  let answered = 0;
  const ask = (index: number, tries: number): void => {
    const order = { kind: "reserve", session: `last-${pool.pool}-${index}`, attempt: 1, pool: pool.pool } as const;
    replica.order(order, ({ outcome }) => {
      // The machine was busy with something else: the same one again finds its own, and reports open the pool.
      if (tries < FILL_TRIES_MAX && (outcome === "unavailable" || outcome === "closed")) return ask(index, tries + 1);
      answered += 1;
      if (outcome === "reserved") given += 1;
    });
  };
  for (let index = 0; index <= pool.slots; index += 1) ask(index, 1);
  await turnWhile(world, () => answered <= pool.slots);
  return given;
}

async function open(folder: string, random: Random): Promise<World> {
  const scale: Scale = { startMs: systemClock.nowMs(), factor: FACTOR };
  const nowMs = () => fastMs(scale);
  const server = await RedisServer.start({ folder });
  const replicas: Replica[] = [];
  for (let index = 0; index < REPLICAS; index += 1) replicas.push(await Replica.start(server, scale, random));
  const pools = Array.from({ length: POOLS }, (_, index) => new PoolAgents(`pool-${index}`, SLOTS));
  const calls = new TimedCalls(nowMs());
  const later = (atMs: number, run: () => void) => calls.add(atMs, run);
  const clients = new Clients({ pools, random, replicas, nowMs, later });
  return { server, replicas, pools, clients, calls, nowMs, edges: new Edges(pools, replicas, random, nowMs()) };
}

interface Judged {
  readonly world: World;
  readonly faults: FaultCounts;
  /** Free at the agents and refused, and the other way round. */
  readonly lost: number;
  readonly tooMany: number;
}

async function torture(folder: string, reserves: number): Promise<Judged> {
  const random = seededRandom(Number(options.seed));
  const world = await open(folder, random);
  const { clients, replicas, edges, pools, nowMs } = world;
  try {
    await turnWhile(world, () => replicas.some(({ isReady }) => !isReady));
    const stop = new AbortController();
    const breaking = breakThings(world, random, stop.signal);
    let said = 0;
    await turnWhile(world, () => {
      while (clients.waiting < CONCURRENCY && clients.counts.asked < reserves && clients.begin());
      if (clients.counts.asked >= said + reserves / PROGRESS_LINES) {
        said = clients.counts.asked;
        say(`${said} asked: ${JSON.stringify(Object.fromEntries(clients.counts.outcomes))}`);
      }
      return clients.counts.asked < reserves || clients.waiting > 0;
    });
    clients.isClosing = true;
    stop.abort();
    const faults = await breaking;
    edges.isReliable = true;
    const endMs = nowMs() + RESERVATION_MS + LAST_REPORT_MS;
    say(`all asked: the last promise ends in ${Math.round((endMs - nowMs()) / FACTOR / 1_000)} s`);
    await turnWhile(world, () => nowMs() < endMs || replicas.some(({ isReady }) => !isReady));
    say(`all over: each of ${pools.length} pools is asked for what its agents have free, and one more`);
    let [lost, tooMany] = [0, 0];
    for (const pool of pools) {
      const { free } = pool;
      const given = await fill(world, pool);
      lost += Math.max(0, free - given);
      tooMany += Math.max(0, given - free);
    }
    return { world, faults, lost, tooMany };
  } finally {
    for (const replica of replicas) await replica.stop();
    await world.server.kill();
  }
}

function rowsOf({ world, faults, lost, tooMany }: Judged): readonly Row[] {
  const { counts } = world.clients;
  const row = (name: string, value: number, target: number | null = null): Row => {
    return { row: name, value, unit: "count", baseline: null, target };
  };
  const outcome = (word: string) => counts.outcomes.get(word) ?? 0;
  const connected = (word: string) => counts.connects.get(word) ?? 0;
  return [
    row("reservations_asked", counts.asked),
    ...["reserved", "full", "closed", "superseded", "unavailable", "died"].map((word) =>
      row(`of_them_${word}`, outcome(word)),
    ),
    row("asked_again_with_the_answer_lost", counts.retried),
    row("released", counts.released),
    row("reports", world.edges.told),
    ...FAULTS.map((fault) => row(`faults_${fault}`, faults[fault])),
    row("connected", connected("leased")),
    row("connected_too_late", connected("expired")),
    row("promised_without_a_slot", counts.promisedTooMany, 0),
    row("connected_without_a_slot", connected("no-slot"), 0),
    row("slots_lost_after_expiry", lost, 0),
    row("slots_given_that_are_not_free", tooMany, 0),
  ];
}

async function run(): Promise<number> {
  const missing = redisIsMissing();
  if (missing !== undefined) {
    console.error(missing);
    return 1;
  }
  const reserves = options.smoke ? 20_000 : Number(options.reserves);
  say(`seed ${options.seed}: again with --reserves ${reserves} --seed ${options.seed}`);
  const folder = mkdtempSync(join(tmpdir(), "perigee-torture-ledger-"));
  const judged = await torture(folder, reserves);
  rmSync(folder, { recursive: true, force: true });
  const { counts, overbooked } = judged.world.clients;
  const name = options.smoke ? "torture:ledger (smoke)" : "torture:ledger";
  const status = printReport(reportOf(name, rowsOf(judged)), options.json);
  if (overbooked.length > 0) console.error(`met no slot: ${overbooked.join(", ")}`);
  const isTried =
    judged.faults.kill > 0 && (counts.connects.get("leased") ?? 0) >= reserves / 100 && counts.retried > 0;
  if (!isTried) console.error("too little was killed, lost or connected: nothing was tried");
  return isTried ? status : 1;
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
