/** What a turn of pricing costs the thread that places sessions, with as many cells, pools and sessions as model G has. */
import { RttMap } from "#domain/latency/rtt-map.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import { seededRandom } from "#platform/random.ts";
import type { ToldTurn } from "#platform/redis/told-stream.ts";
import type { Row } from "#test/bench/report.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import type { PoolFacts } from "../../placement/pool-facts.ts";
import { DEMAND_GROUPS_MAX, type DemandAttempt, DemandCounter } from "../../pricing/demand-counter.ts";
import { PriceSolver } from "../../pricing/price-solver.ts";
import { PublishedPrices } from "../../pricing/price-source.ts";
import { SharedDemand } from "../../pricing/shared-demand.ts";
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
/** More than one tells. */
const SESSIONS_PER_TURN = 2_000;
const SESSION_LENGTH = 22;
const CHOICE = { pools: ["p0", "p1", "p2", "p3", "p4", "p5"], rttMs: [4.1, 5.2, 6.3, 7.4, 8.5, 9.6] };
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
    events: {
      priced: nothing,
      pricingFailed: nothing,
      pricesLost: nothing,
      pricesRegained: nothing,
      pricesMissed: nothing,
    },
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
    ...(await exchangedTurns(isSmoke ? 2 : TURNS)),
  ];
}

/** What replicas with a Redis in common do beside it, each second at most: no more fits into a turn. */
async function exchangedTurns(turns: number): Promise<Row[]> {
  const clock = new VirtualClock();
  const texts: string[] = [];
  const nothing = () => undefined;
  const events = {
    ...{ demandTold: nothing, demandLearned: nothing, demandUntold: nothing },
    ...{ demandUnreadable: nothing, demandNotExchanged: nothing },
  };
  const replica = (exchange: (text: string) => readonly ToldTurn[]) =>
    new SharedDemand({
      ...{ clock, events, counter: new DemandCounter(clock) },
      stream: { exchange: async (text) => ({ turns: exchange(text), isBehind: false }) },
      readChoice: () => CHOICE,
    });
  const teller = replica((text) => {
    texts.push(text);
    return [];
  });
  const learner = replica(() => texts.splice(0).map((text) => ({ id: "1-0", by: "teller", text, ageMs: 0 })));
  const toldMs: number[] = [];
  const learnedMs: number[] = [];
  for (let turn = 0; turn < turns; turn += 1) {
    for (let session = 0; session < SESSIONS_PER_TURN; session += 1) teller.attempted(exchangedWish(turn, session));
    const begun = process.threadCpuUsage();
    await teller.turn();
    toldMs.push(cpuMsSince(begun));
    const telling = process.threadCpuUsage();
    await learner.turn();
    learnedMs.push(cpuMsSince(telling));
  }
  return [
    rowOf("a full turn told to other replicas", { unit: "ms CPU", values: toldMs }),
    rowOf("a full turn learned", { unit: "ms CPU", values: learnedMs }),
  ];
}

function exchangedWish(turn: number, session: number): DemandAttempt {
  const client = {
    groups: [`cell:${session % CELLS},0`, "country:PT"],
    coordinates: { latitude: 38.72, longitude: -9.14 },
  };
  const wish = { client, roomMs: 60, renderClass: "small", state: "placed", isNew: true } as const;
  const name = `${turn * SESSIONS_PER_TURN + session}`.padStart(SESSION_LENGTH, "s");
  return { ...wish, session: name, pool: `p${session % POOLS}`, decision: new Uint8Array(1) };
}

function cpuMsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(start);
  return (user + system) / 1000;
}
