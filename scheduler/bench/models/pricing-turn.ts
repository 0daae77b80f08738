/** What a turn of pricing costs the thread that places sessions, with as many cells, pools and sessions as model G has. */
import { RttMap } from "#domain/latency/rtt-map.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import { seededRandom } from "#platform/random.ts";
import type { Row } from "#test/bench/report.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import type { PoolFacts } from "../../placement/pool-facts.ts";
import { DEMAND_GROUPS_MAX, DemandCounter } from "../../pricing/demand-counter.ts";
import { PriceSolver } from "../../pricing/price-solver.ts";
import { PublishedPrices } from "../../pricing/price-source.ts";
import { PricingLoop } from "../../pricing/slow-loop.ts";
import { uniform } from "./draws.ts";
import { type ModelRun, rowOf } from "./model.ts";

const POOLS = 323;
const CELLS = DEMAND_GROUPS_MAX - 1;
const SESSIONS = 280_000;
const SLOTS = 1_000;
const TURN_MS = 5_000;
/** The first ones make shortlists of what none has. */
const TURNS_NOT_COUNTED = 60;
const TURNS = 20;
/** Beyond the end: the turns are called for one by one. */
const NEVER_SECONDS = 1e9;

export async function pricingTurn({ isSmoke }: ModelRun): Promise<Row[]> {
  const random = seededRandom(1);
  const place = () => ({ latitude: uniform(random, -60, 60), longitude: uniform(random, -180, 180) });
  const clock = new VirtualClock();
  const counter = new DemandCounter(clock);
  const facts = Array.from({ length: POOLS }, (_, index): PoolFacts => {
    const edge = { node: `e${index}`, contentUrl: "", state: "connected" as const, cordoned: false, draining: false };
    const about = { pool: `p${index}`, labels: {}, coordinates: place(), edges: [edge], hasSession: () => true };
    return { ...about, excludedAgents: new Set() };
  });
  const clients = Array.from({ length: CELLS }, (_, cell) => ({ groups: [`cell:${cell},0`], coordinates: place() }));
  const begun = process.threadCpuUsage();
  for (let session = 0; session < SESSIONS; session += 1) {
    const client = clients[session % CELLS];
    if (client === undefined) continue;
    const wish = { client, roomMs: 60, renderClass: "small", state: "placed", isNew: true } as const;
    counter.attempted({ ...wish, session: `s${session}`, pool: `p${session % POOLS}` });
  }
  const countedMs = cpuMsSince(begun);
  const capacityOf = (pool: string) => {
    const free = Math.max(0, SLOTS - counter.countAt(pool));
    return { isOpen: true, slotsTotal: SLOTS, slotsFree: free, frameMsP95: 8 };
  };
  await using solver = new PriceSolver();
  const nothing = () => undefined;
  using loop = new PricingLoop({
    ...{ clock, counter, solver, published: new PublishedPrices(clock), turnSeconds: NEVER_SECONDS },
    facts: { listPools: () => facts },
    ledger: { capacities: async (queries) => queries.map(({ pool }) => capacityOf(pool)) },
    rttMap: new RttMap({ groupsMax: 1, ageMsMax: 1 }),
    pools: new PoolIds(),
    events: { priced: nothing, pricingFailed: nothing, pricesLost: nothing, pricesRegained: nothing },
  });
  loop.setActive(true);
  const turnsMs: number[] = [];
  const before = isSmoke ? 0 : TURNS_NOT_COUNTED;
  for (let turn = 0; turn < before + (isSmoke ? 2 : TURNS); turn += 1) {
    await clock.advance(TURN_MS);
    const start = process.threadCpuUsage();
    await loop.turn();
    if (turn >= before) turnsMs.push(cpuMsSince(start));
  }
  return [
    rowOf("a session counted", { unit: "µs CPU", values: [(1000 * countedMs) / SESSIONS] }),
    rowOf("a turn of pricing, beside its solve", { unit: "ms CPU", values: turnsMs }),
  ];
}

function cpuMsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(start);
  return (user + system) / 1000;
}
