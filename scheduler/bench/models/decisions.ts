/** What a decision costs at 10,000 nodes: cells with shortlists of 32 pools, each decision with the record that explains it. */
import { join } from "node:path";
import { type Coordinates, distanceKm } from "#domain/geography.ts";
import type { PlacementRules } from "#domain/placement/candidate.ts";
import {
  type CellPools,
  decideForCell,
  planCellPools,
  type SessionAsk,
  SHORTLIST_POOLS_MAX,
} from "#domain/placement/cell-pools.ts";
import { addDemand } from "#domain/placement/contention.ts";
import { DecisionFrame, NOWHERE } from "#domain/placement/decision-frame.ts";
import { encodeDecision, RECORD_BYTES_MAX, replayDecision } from "#domain/placement/decision-record.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import {
  makePoolTable,
  type PoolTable,
  type TabledPool,
  tableRules,
  withExpected,
  withPrices,
} from "#domain/placement/pool-table.ts";
import { BUDGET_MS_BY_TIER, TIERS } from "#domain/policy/placement-policy.ts";
import { type Random, seededRandom } from "#platform/random.ts";
import { medianOf, type Row } from "#test/bench/report.ts";
import { readCities } from "./cities.ts";
import { cumulate, drawIndex, normal, uniform } from "./draws.ts";
import { type ModelRun, rounded } from "./model.ts";
import { readRows } from "./recorded.ts";

const CELLS = 5_000;
const NODES_PER_POOL = 31;
const NODE_SLOTS = { from: 8, to: 63 } as const;
const LOAD_RATIO = 0.8;
/** Decisions measured, in rounds of which the median counts: another program's burst spoils one. */
const ROUNDS = 9;
const DECISIONS_PER_ROUND = 100_000;
/** Few enough that no collection runs between two readings of the heap. */
const HEAP_DECISIONS = 2_000;
const HEAP_READINGS = 31;
/** Records are written one after the other, over the oldest at the end. */
const LOG_BYTES = 64 * 1024 ** 2;
const CPU_MICROSECONDS_TARGET = 3.3;

export function decisions({ data, seeds, isSmoke, say }: ModelRun): Row[] {
  const world = makeWorld(data, seededRandom(1));
  const filled = isSmoke ? 1_000 : Math.floor(LOAD_RATIO * world.slots);
  const run = new DecisionRun(world, filled);
  run.decide(filled);
  const perRound = isSmoke ? 1_000 : DECISIONS_PER_ROUND;
  const microseconds: number[] = [];
  for (let round = 0; round < Math.max(seeds, ROUNDS); round += 1) {
    microseconds.push(cpuMicroseconds(() => run.decide(perRound)) / perRound);
  }
  const again = cpuMicroseconds(() => run.replay(perRound)) / perRound;
  say(run.describe());
  const recordBytes = run.recordBytesMean;
  const heapBytes = medianOf(Array.from({ length: HEAP_READINGS }, () => heapBytesOf(run, HEAP_DECISIONS)));
  const rest = { unit: "µs CPU", baseline: null };
  return [
    {
      row: "a decision with its record, median",
      value: rounded(medianOf(microseconds)),
      target: CPU_MICROSECONDS_TARGET,
      ...rest,
    },
    {
      row: "a decision with its record, worst round",
      value: rounded(Math.max(...microseconds)),
      target: null,
      ...rest,
    },
    { row: "a record decided again", value: rounded(again), target: null, ...rest },
    {
      row: "heap allocated for a decision, beside its record",
      value: rounded(heapBytes),
      unit: "bytes",
      baseline: rounded(recordBytes),
      target: rounded(recordBytes),
    },
  ];
}

function cpuMicroseconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** Of decisions in a row, each. Negative where a collection ran; the median of many readings is not of those. */
function heapBytesOf(run: DecisionRun, count: number): number {
  const before = process.memoryUsage();
  run.decide(count);
  const after = process.memoryUsage();
  return (after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers) / count;
}

interface World {
  readonly table: PoolTable;
  readonly cells: readonly CellPools[];
  /** Cells in the order of their sessions, again from the start at the end. */
  readonly arrivals: Uint16Array;
  readonly slots: number;
}

const ARRIVALS = 2 ** 20;

function makeWorld(data: string, random: Random): World {
  const pops = readRows(join(data, "cloudflare_pops.csv"), ",").slice(1);
  const pools = pops.map((fields) => makePool(fields, random));
  const table = makePoolTable(pools, new PoolIds());
  const prices = Float64Array.from(table.names, () => Math.max(0, 4 * normal(random)));
  const penalty = Float64Array.from(table.names, () => uniform(random, 0.5, 4));
  const cities = readCities(data);
  const places = Array.from({ length: CELLS }, () => drawIndex(random, cumulate(cities.weights)));
  const seen = places.map((city) => {
    const place = displaced(
      cities.list[city]?.coordinates ?? { latitude: 0, longitude: 0 },
      0.8 * normal(random),
      random,
    );
    return drawCell(table, place, penalty, random);
  });
  const weights = places.map(() => Math.exp(0.8 * normal(random)));
  const cumulated = cumulate(weights);
  const arrivals = Uint16Array.from({ length: ARRIVALS }, () => drawIndex(random, cumulated));
  const slots = table.slotsTotal.reduce((sum, total) => sum + total, 0);
  const expected = new Float64Array(table.count);
  const indices = Uint16Array.from(table.names, (_, pool) => pool);
  for (const [cell, { rttMs }] of seen.entries()) {
    const share = (weights[cell] ?? 0) / (cumulated.at(-1) ?? 1);
    addDemand(expected, { pools: indices, rttMs, from: 0, to: table.count }, share * LOAD_RATIO * slots);
  }
  const cells = seen.map(({ pools }) => pools);
  return { table: withExpected(withPrices(table, prices, 1), expected), cells, arrivals, slots };
}

function makePool([iata = "", place = "", latitude, longitude]: readonly string[], random: Random): TabledPool {
  const at = { latitude: Number(latitude), longitude: Number(longitude) };
  const slots = Array.from(
    { length: NODES_PER_POOL },
    () => NODE_SLOTS.from + random.integer(NODE_SLOTS.to - NODE_SLOTS.from + 1),
  );
  const slotsTotal = slots.reduce((sum, node) => sum + node, 0);
  return {
    pool: iata,
    region: place.split(", ").at(-1) ?? "",
    labels: { cost: random.ratio() < 0.3 ? "low" : "usual", hosting: random.ratio() < 0.05 ? "foreign" : "own" },
    coordinates: displaced(at, uniform(random, -0.75, 0.75), random),
    ...{ reachable: random.ratio() > 0.02, cordoned: random.ratio() < 0.02, draining: random.ratio() < 0.02 },
    ...{ slotsTotal, slotsFree: slotsTotal, renderEncodeMsP95: uniform(random, 7, 9) },
  };
}

/** What is measured of all pools from a place, and the pools as a cell there sees them. */
function drawCell(table: PoolTable, place: Coordinates, penalty: Float64Array, random: Random) {
  const accessMs = uniform(random, 1, 5);
  const km = table.coordinates.map((pool) => distanceKm(place, pool));
  const rttMs = km.map(
    (distance, pool) => accessMs + (penalty[pool] ?? 0) + distance * 0.0105 * (1 + Math.exp(0.6 * normal(random))),
  );
  const pools: CellPools = planCellPools(table, {
    rttMsOf: (pool) => rttMs[pool] ?? 0,
    sourceOf: () => "history",
    geographyMsOf: (pool) => (km[pool] ?? 0) * 0.015,
  });
  return { rttMs, pools };
}

function displaced({ latitude, longitude }: Coordinates, degrees: number, random: Random): Coordinates {
  const angle = uniform(random, 0, 2 * Math.PI);
  const north = Math.max(-89, Math.min(89, latitude + degrees * Math.cos(angle)));
  return { latitude: north, longitude: ((longitude + degrees * Math.sin(angle) + 540) % 360) - 180 };
}

/** No session runs there. */
const NO_POOL = 65_535;

/** Sessions come one after the other; each is placed, and the oldest of as many as are to run ends. */
class DecisionRun {
  readonly #world: World;
  readonly #view: Parameters<typeof decideForCell>[1];
  readonly #asks: readonly SessionAsk[];
  readonly #frame = new DecisionFrame();
  readonly #log = new DataView(new ArrayBuffer(LOG_BYTES));
  /** Pool of each running session, around. */
  readonly #running: Uint16Array;
  readonly #outcomes: Record<string, number> = { placed: 0, degraded: 0, queued: 0, rejected: 0 };
  #offset = 0;
  #decided = 0;
  #widened = 0;
  #bytes = 0;

  constructor(world: World, sessions: number) {
    this.#world = world;
    this.#running = new Uint16Array(sessions).fill(NO_POOL);
    const policy: PlacementRules = {
      constraints: [{ label: "hosting", operator: "NotIn", values: ["foreign"] }],
      preferences: [{ label: "cost", operator: "In", values: ["low"], bonusMs: 1.5 }],
      ...{ capacityReserveRatio: 0.02, onNoFit: "degrade", stickinessMs: 2 },
    };
    this.#view = { table: world.table, rules: tableRules(world.table, policy, 1) };
    const device = { decodeMs: 3, jitterMs: 1, serialisationMs: 1, currentPool: NOWHERE };
    this.#asks = TIERS.map((tier) => ({ budgetMs: BUDGET_MS_BY_TIER[tier], ...device }));
  }

  get recordBytesMean(): number {
    return this.#bytes / this.#decided;
  }

  decide(count: number): void {
    for (let made = 0; made < count; made += 1) this.#decideNext();
  }

  #decideNext(): void {
    const { cells, arrivals, table } = this.#world;
    const frame = this.#frame;
    const cell = cells[arrivals[this.#decided % ARRIVALS] ?? 0];
    const ask = this.#asks[this.#decided % this.#asks.length];
    if (cell === undefined || ask === undefined) throw new TypeError("a session is of a cell and a tier");
    decideForCell(frame, this.#view, cell, ask);
    if (this.#offset + RECORD_BYTES_MAX > LOG_BYTES) this.#offset = 0;
    const end = encodeDecision(frame, this.#log, this.#offset);
    this.#bytes += end - this.#offset;
    this.#offset = end;
    const slot = this.#decided % this.#running.length;
    const ended = this.#running[slot] ?? NO_POOL;
    if (ended !== NO_POOL) table.slotsFree[ended] = (table.slotsFree[ended] ?? 0) + 1;
    // The table's only names, given in its order: a pool's id is its index.
    const chosen = frame.chosenAt === NOWHERE ? NO_POOL : (frame.pools[frame.chosenAt] ?? NO_POOL);
    if (chosen !== NO_POOL) table.slotsFree[chosen] = (table.slotsFree[chosen] ?? 0) - 1;
    this.#running[slot] = chosen;
    this.#outcomes[frame.state] = (this.#outcomes[frame.state] ?? 0) + 1;
    if (frame.count > SHORTLIST_POOLS_MAX) this.#widened += 1;
    this.#decided += 1;
  }

  /** From the start of the log, around. */
  replay(count: number): void {
    let offset = 0;
    for (let made = 0; made < count; made += 1) {
      if (offset >= this.#offset) offset = 0;
      offset = replayDecision(this.#log, offset, this.#frame);
    }
  }

  describe(): string {
    const ratios = Object.entries(this.#outcomes).map(([state, count]) => `${state} ${this.#percent(count)} %`);
    const widened = `${this.#percent(this.#widened)} % beyond the shortlist`;
    return `${this.#decided} decisions: ${ratios.join(", ")}; ${widened}; ${rounded(this.recordBytesMean)} bytes a record`;
  }

  #percent(count: number): number {
    return rounded((100 * count) / this.#decided);
  }
}
