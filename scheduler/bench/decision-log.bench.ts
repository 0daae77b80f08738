/** What a decision costs to log and to decide again: sessions with their candidates, through a real log on a real disk. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PlacementRules, PoolCandidate } from "#domain/placement/candidate.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import type { StatedPool } from "#domain/simulation/fleet-pools.ts";
import { makeRecordedDay } from "#domain/simulation/recorded-day.ts";
import { systemClock } from "#platform/clock.ts";
import { type Random, seededRandom } from "#platform/random.ts";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import { DecisionLog } from "../decision-log/decision-log.ts";
import { RecordedLog } from "../decision-log/recorded-log.ts";
import { LogReplay } from "../decision-log/replay-log.ts";
import { idOfBytes } from "../decision-log/segment-encoder.ts";
import type { SessionDecisionRecord } from "../explain/explain-store.ts";
import { decideSession, type SessionDecision } from "../placement/session-decision.ts";

const HELP = `node scheduler/bench/decision-log.bench.ts [options]: decisions logged, found, and decided again
  --decisions <count>  how many (default 1000000)
  --smoke              as little as shows that it runs; judged by nobody
  --json               the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  decisions: { type: "string", default: "1000000" },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

const REPLAY_SECONDS_TARGET = 30;
/** Sessions whose like are logged again and again. */
const DISTINCT = 4_096;
const POOLS = 300;
/** Six that are probed and six that are passed over. */
const CANDIDATES = 12;
/** Between two writes. */
const BATCH = 2_000;
const LOG_BYTES = 16 * 1024 ** 3;

function makeCandidates(random: Random): PoolCandidate[] {
  const first = random.integer(POOLS - CANDIDATES);
  return Array.from({ length: CANDIDATES }, (_, index): PoolCandidate => {
    const slotsTotal = 100 + random.integer(400);
    return {
      ...{ pool: `pool-${first + index}`, labels: { region: "eu", cost: random.ratio() < 0.3 ? "low" : "usual" } },
      ...{ reachable: index < 6 || random.ratio() < 0.5, cordoned: random.ratio() < 0.05, draining: false },
      ...{ rttMs: 40 * random.ratio(), rttSource: "measured", geographyRttMs: 40 * random.ratio() },
      parts: { budgetMs: 50, renderEncodeMsP95: 7 + 2 * random.ratio(), decodeMs: 3, jitterMs: 1, serialisationMs: 1 },
      ...{ slotsTotal, slotsFree: random.integer(slotsTotal), priceMs: 6 * random.ratio(), bundleMs: 0 },
    };
  });
}

const RENDER_CLASS = { name: "small", eyeWidthPixels: 512, eyeHeightPixels: 512, frameRateHz: 72 };
const APP = {
  name: "hall",
  spec: {
    needs: { gpuShareRatio: 0.1, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 8_000_000 },
    classes: [RENDER_CLASS],
  },
};

const constraints = [{ label: "region", operator: "In", values: ["eu"] }] as const;
const rules: PlacementRules = {
  constraints,
  preferences: [{ label: "cost", operator: "In", values: ["low"], bonusMs: 1.5 }],
  ...{ capacityReserveRatio: 0.02, onNoFit: "degrade", stickinessMs: 2 },
};

function recordedOf({ outcome, steps }: SessionDecision, number: number): SessionDecisionRecord {
  const who = { session: `s-${String(number).padStart(22, "0")}`, attempt: 1, client: "prefix:192.0.2.0/24" };
  return {
    ...{ kind: "session", id: "", atMs: 0, ...who, app: "hall", tier: "standard", because: "new", policy: "eu" },
    ...{ notes: [], constraints, steps, coordinates: { latitude: 38.7, longitude: -9.1 } },
    asker: { tenant: "acme", country: "PT", asn: 64_500 + (number % 50), network: "192.0.2.0/24" },
    outcome: "candidate" in outcome ? placedOf(outcome) : outcome,
  };
}

function placedOf({
  state,
  candidate,
  renderClass,
  marginMs,
}: Extract<SessionDecision["outcome"], { candidate: object }>) {
  return { state, pool: candidate.pool, renderClass: renderClass.name, marginMs };
}

function cpuSeconds(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Sessions' decisions by the core, with their ids still to come. */
function makeLikes(pools: PoolIds): SessionDecisionRecord[] {
  const random = seededRandom(1);
  return Array.from({ length: DISTINCT }, (_, number) => {
    const classes = [{ renderClass: RENDER_CLASS, candidates: makeCandidates(random) }];
    return recordedOf(decideSession({ classes, rules, policyRevision: 7, pools }), number);
  });
}

function idOf(number: number): string {
  const bytes = Buffer.alloc(9);
  bytes.writeUInt32BE(number, 0);
  return idOfBytes(bytes);
}

function statedPool(number: number): StatedPool {
  const coordinates = { latitude: 30 + (number % 30), longitude: number / 10 };
  return { metadata: { name: `pool-${number}`, labels: { gpu: "l40s" } }, spec: { region: "eu", coordinates } };
}

async function measureLogging(folder: string, decisions: number) {
  const pools = new PoolIds();
  const likes = makeLikes(pools);
  const stated = new Map(Array.from({ length: POOLS }, (_, number) => [`pool-${number}`, statedPool(number)]));
  let lost = 0;
  const none = (): void => undefined;
  const events = {
    lost(count: number) {
      lost += count;
    },
    failed: (failure: Error) => console.error(failure.message),
    ...{ logged: none, mended: none, dropped: none, sized: none, tornAtStart: none, damagedAtStart: none },
  };
  await using log = await DecisionLog.open({
    ...{ folder, bytesMax: LOG_BYTES, steeringRatio: 0, clock: systemClock, events },
    pools: { poolName: (id) => pools.nameOf(id), findPool: (pool) => stated.get(pool) },
  });
  let appendSeconds = 0;
  const begun = process.cpuUsage();
  for (let number = 0; number < decisions; ) {
    const before = process.cpuUsage();
    for (const end = Math.min(decisions, number + BATCH); number < end; number += 1) {
      const like = likes[number % DISTINCT];
      if (like !== undefined) log.appendSession({ ...like, id: idOf(number), atMs: systemClock.nowMs() });
    }
    appendSeconds += cpuSeconds(before);
    await log.flush();
  }
  const writtenSeconds = cpuSeconds(begun);
  const beforeSearch = systemClock.monotonicMs();
  if ((await log.find(idOf(0))) === undefined) lost += 1;
  return { appendSeconds, writtenSeconds, lost, searchMs: systemClock.monotonicMs() - beforeSearch };
}

function measureReplay(folder: string) {
  const replay = new LogReplay();
  const before = process.cpuUsage();
  const sessions = join(folder, "sessions");
  for (const file of readdirSync(sessions).sort()) replay.replaySegment(readFileSync(join(sessions, file)), file);
  return { replay, seconds: cpuSeconds(before) };
}

/** Sessions of `DISTINCT`, each of which came once and then renewed. */
function measureRecordedDay(folder: string) {
  const log = new RecordedLog();
  const before = process.cpuUsage();
  const sessions = join(folder, "sessions");
  for (const file of readdirSync(sessions).sort()) log.takeSegment(readFileSync(join(sessions, file)), file);
  const made = makeRecordedDay({ sessions: log.sessions, pools: log.pools.list(), apps: [APP], seed: 1 });
  return { arrivals: made?.day.arrivals.count ?? 0, seconds: cpuSeconds(before) };
}

async function measure(folder: string, decisions: number): Promise<Row[]> {
  const { appendSeconds, writtenSeconds, lost, searchMs } = await measureLogging(folder, decisions);
  const { replay, seconds } = measureReplay(folder);
  const recorded = measureRecordedDay(folder);
  const missed = Math.min(DISTINCT, decisions) - recorded.arrivals;
  const wrong = replay.mismatched + replay.faulty + lost + (decisions - replay.sessions) + missed;
  const micro = (all: number): number => rounded((1e6 * all) / decisions);
  const row = (name: string, value: number, unit: string, target: number | null = null): Row => {
    return { row: name, value, unit, baseline: null, target };
  };
  return [
    row(`${decisions} logged decisions made again`, rounded(seconds), "s CPU", REPLAY_SECONDS_TARGET),
    row("of those, that come out otherwise, are damaged or lost", wrong, "decisions", 0),
    row("a day made of them, for a what-if", rounded(recorded.seconds), "s CPU", REPLAY_SECONDS_TARGET),
    row("a decision added to the log, where it is made", micro(appendSeconds), "µs CPU"),
    row("a decision logged, with its part of the writes", micro(writtenSeconds), "µs CPU"),
    row("a decision on disk", rounded(replay.bytes / replay.sessions), "bytes"),
    row("the oldest decision found", rounded(searchMs), "ms"),
  ];
}

function rounded(value: number): number {
  return Math.round(100 * value) / 100;
}

if (options.help) console.log(HELP);
else {
  const folder = mkdtempSync(join(tmpdir(), "perigee-decision-log-"));
  try {
    const rows = await measure(folder, options.smoke ? 5_000 : Number(options.decisions));
    const judged = options.smoke ? rows.map((row) => ({ ...row, target: null })) : rows;
    process.exitCode = printReport(reportOf("decision-log", judged), options.json);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
