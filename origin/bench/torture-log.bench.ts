/** Kills origins and members of etcd with SIGKILL while they write, and checks that what was acknowledged is there, in order, once. */
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import { type Random, seededRandom, systemRandom } from "#platform/random.ts";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import { EtcdCluster, etcdIsMissing } from "#test/etcd/etcd-cluster.ts";
import { openEtcdLog } from "../log/etcd/etcd-log.ts";
import type { LogRow } from "../log/resource-log.ts";
import { judge, type Verdict } from "./torture/judge.ts";
import { OriginProcess } from "./torture/origin-process.ts";
import { Writer } from "./torture/writers.ts";

const MEMBERS = 3;
const ORIGINS = 2;
const WRITERS_PER_ORIGIN = 4;
/** One kill in so many takes a second member along: no majority, until they are back. */
const MAJORITY_EVERY = 6;
const RUN_MS_MAX = 800;
const DOWN_MS_MAX = 300;
const ROWS_MAX = 10_000_000;

const HELP = `node origin/bench/torture-log.bench.ts [options]: two origins on three members of etcd, under kill -9
  --kills <count>  of origins and members (200)
  --seed <number>  of what is killed, and when (a random one, printed)
  --folder <path>  on the disk to be tried; a new folder in it (the system's temporary folder)
  --smoke          12 kills
  --json           the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  kills: { type: "string", default: "200" },
  seed: { type: "string", default: String(systemRandom.integer(2 ** 31)) },
  folder: { type: "string" },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

const say = (line: string) => {
  if (!options.json) console.log(line);
};

interface World {
  readonly cluster: EtcdCluster;
  readonly origins: readonly OriginProcess[];
  readonly writers: readonly Writer[];
}

interface Kills {
  origins: number;
  members: number;
  /** Of origins, with a write of theirs unanswered. */
  midWrite: number;
}

/** The second origin has the first one's keys, as the operator copies them. */
async function startOrigins(folder: string, cluster: EtcdCluster): Promise<readonly OriginProcess[]> {
  const origins: OriginProcess[] = [];
  for (let index = 0; index < ORIGINS; index += 1) {
    const dataDir = join(folder, `origin-${index}`);
    if (index > 0) cpSync(join(folder, "origin-0"), dataDir, { recursive: true });
    const origin = new OriginProcess({ name: `${index}`, dataDir, endpoints: cluster.endpoints });
    origin.start();
    await origin.ready();
    origins.push(origin);
  }
  return origins;
}

async function killSomething({ cluster, origins, writers }: World, random: Random, kills: Kills): Promise<void> {
  const at = random.integer(MEMBERS + ORIGINS);
  const origin = origins[at - MEMBERS];
  if (origin !== undefined) {
    if (writers.some((writer) => writer.name.startsWith(`o${origin.name}`) && writer.isWaiting)) kills.midWrite += 1;
    kills.origins += 1;
    await origin.kill();
    await systemClock.sleep(random.integer(DOWN_MS_MAX));
    origin.start();
    // Not always: what is killed next may be one that is starting.
    if (random.integer(2) === 0) await origin.ready();
    return;
  }
  const down = random.integer(MAJORITY_EVERY) === 0 ? [at, (at + 1) % MEMBERS] : [at];
  for (const member of down) await cluster.killMember(member);
  kills.members += down.length;
  await systemClock.sleep(random.integer(DOWN_MS_MAX));
  for (const member of down) cluster.startMember(member);
}

async function allRows(endpoints: readonly string[]): Promise<readonly LogRow[]> {
  const events = { logWatchFailed: () => undefined };
  const onLost = (error: unknown): never => {
    throw error;
  };
  const tools = { clock: systemClock, random: systemRandom, events, onLost };
  using log = await openEtcdLog({ endpoints, prefix: "/perigee/", ...tools });
  return log.changesAfter(0, ROWS_MAX);
}

/** The two have come to say the same. */
async function revisionsAgree(world: World, token: string, revision: number): Promise<boolean> {
  const signal = systemClock.deadline(20_000);
  for (const { api } of world.origins) {
    for (;;) {
      const headers = { authorization: `Bearer ${token}` };
      const text = await (await fetch(`${api}/v1/resources/ContentPolicy`, { headers, signal })).text();
      if (text.includes(`"revision":${revision},`)) break;
      if (signal.aborted) return false;
      await systemClock.sleep(50);
    }
  }
  return true;
}

async function torture(
  folder: string,
  killsWanted: number,
): Promise<{ kills: Kills; verdict: Verdict; disagree: number }> {
  const random = seededRandom(Number(options.seed));
  await using cluster = await EtcdCluster.start(folder, MEMBERS);
  const origins = await startOrigins(folder, cluster);
  try {
    const token = readFileSync(join(folder, "origin-0", "first-token"), "utf8").trim();
    const writers = origins.flatMap(({ name, api }) =>
      Array.from({ length: WRITERS_PER_ORIGIN }, (_, index) => new Writer(`o${name}w${index}`, api, token)),
    );
    const world = { cluster, origins, writers };
    const stopping = new AbortController();
    const running = writers.map((writer) => writer.run(stopping.signal));
    const kills: Kills = { origins: 0, members: 0, midWrite: 0 };
    for (let said = 0; kills.origins + kills.members < killsWanted; ) {
      await systemClock.sleep(random.integer(RUN_MS_MAX));
      await killSomething(world, random, kills);
      const all = kills.origins + kills.members;
      if (all < said + 20) continue;
      said = all;
      say(`${all} kills, ${writers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)} acknowledged`);
    }
    await cluster.ready();
    for (const origin of origins) await origin.ready();
    stopping.abort();
    await Promise.all(running);
    const rows = await allRows(cluster.endpoints);
    const agree = await revisionsAgree(world, token, rows.length);
    return { kills, verdict: judge(rows, writers), disagree: agree ? 0 : 1 };
  } finally {
    for (const origin of origins) await origin.kill();
  }
}

async function run(): Promise<number> {
  const missing = etcdIsMissing();
  if (missing !== undefined) {
    console.error(missing);
    return 1;
  }
  const killsWanted = options.smoke ? 12 : Number(options.kills);
  say(`seed ${options.seed}: again with --kills ${killsWanted} --seed ${options.seed}`);
  const folder = mkdtempSync(join(options.folder ?? tmpdir(), "perigee-torture-log-"));
  const { kills, verdict, disagree } = await torture(folder, killsWanted);
  const row = (name: string, value: number, target: number | null = null): Row => {
    return { row: name, value, unit: "count", baseline: null, target };
  };
  const rows = [
    row("kills_of_origins", kills.origins),
    row("of_them_with_a_write_unanswered", kills.midWrite),
    row("kills_of_members", kills.members),
    row("writes_acknowledged", verdict.acknowledged),
    row("unanswered_writes_that_are_there", verdict.unanswered_there),
    ...(["lost", "reordered", "twice", "halved", "gaps"] as const).map((name) => row(name, verdict[name], 0)),
    row("origins_disagree", disagree, 0),
  ];
  const status = printReport(reportOf(options.smoke ? "torture:log (smoke)" : "torture:log", rows), options.json);
  const isTried = verdict.acknowledged >= killsWanted && kills.midWrite > 0;
  if (!isTried) console.error("too little was written between the kills: nothing was tried");
  if (status === 0) rmSync(folder, { recursive: true, force: true });
  else console.error(`what there was is in ${folder}`);
  return isTried ? status : 1;
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
