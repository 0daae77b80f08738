import t, { type Test } from "tap";
import { Failure } from "#domain/failure.ts";
import { RttMap } from "#domain/latency/rtt-map.ts";
import type { PlacementRules, PoolCandidate } from "#domain/placement/candidate.ts";
import { loadCandidates } from "#domain/placement/candidate-loading.ts";
import { decidePlacement } from "#domain/placement/decision.ts";
import { DecisionFrame } from "#domain/placement/decision-frame.ts";
import { recordOf } from "#domain/placement/decision-record.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import { solvePrices } from "#domain/placement/prices.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { RESERVATION_MS, type SlotQuery } from "../ledger/ledger.ts";
import type { PoolFacts } from "../placement/pool-facts.ts";
import { DemandCounter, type TriedChoice } from "./demand-counter.ts";
import { PriceSolver } from "./price-solver.ts";
import { NO_PRICES, PRICES_AGE_MS_MAX, type PriceMode, PublishedPrices } from "./price-source.ts";
import { partsOfArrival, readChoice } from "./recorded-choice.ts";
import { PricingLoop, type PricingPorts } from "./slow-loop.ts";

const TURN_MS = 5_000;
const FRAME_MS = 8;
const PLACES = { near: { latitude: 40, longitude: 0 }, middle: { latitude: 40, longitude: 10 } };
/** Who stands between the two has either; who stands on the other side of `near` has no other. */
const CLIENTS = {
  between: { groups: ["cell:40,4"], coordinates: { latitude: 40, longitude: 4 } },
  halfway: { groups: ["cell:40,5"], coordinates: { latitude: 40, longitude: 5 } },
  beyond: { groups: ["cell:40,-8"], coordinates: { latitude: 40, longitude: -8 } },
};
/** 24 ms are left for the network: some 1,400 km. */
const ROOM_MS = 32;

function poolFacts(pool: keyof typeof PLACES): PoolFacts {
  const edge = { node: `${pool}-1`, contentUrl: `http://${pool}.test`, cordoned: false, draining: false };
  const edges = [{ ...edge, state: "connected" as const }];
  return { pool, labels: {}, coordinates: PLACES[pool], edges, excludedAgents: new Set() };
}

function start(t: Test, changes: Partial<PricingPorts> = {}) {
  const clock = new VirtualClock();
  const counter = new DemandCounter(clock);
  const published = new PublishedPrices(clock);
  const told: string[] = [];
  const slots: Record<string, number> = { near: 50, middle: 100 };
  const capacityOf = ({ pool }: SlotQuery) => {
    const slotsTotal = slots[pool] ?? 0;
    return { isOpen: true, slotsTotal, slotsFree: slotsTotal - counter.countAt(pool), frameMsP95: FRAME_MS };
  };
  const pools = new PoolIds();
  const loop = new PricingLoop({
    ...{ clock, counter, published, pools, turnSeconds: TURN_MS / 1000 },
    facts: { listPools: () => [poolFacts("near"), poolFacts("middle")] },
    ledger: { capacities: async (queries) => queries.map(capacityOf) },
    rttMap: new RttMap({ groupsMax: 10, ageMsMax: 1e6 }),
    solver: { solve: async (problem, previous) => ({ solution: solvePrices(problem, previous), cpuMs: 1 }) },
    events: {
      priced: ({ mode }) => told.push(mode),
      pricingFailed: ({ code }, left) => told.push(`${code}, ${left === undefined ? "none" : "some"} left`),
      pricesMissed: () => told.push("missed"),
      pricesLost: () => told.push("lost"),
      pricesRegained: () => told.push("regained"),
    },
    ...changes,
  });
  t.teardown(() => loop[Symbol.dispose]());
  loop.setActive(true);
  let count = 0;
  const come = (client: keyof typeof CLIENTS, sessions: number, pool = "near", decision?: Uint8Array) => {
    for (let index = 0; index < sessions; index += 1) {
      count += 1;
      const wish = { client: CLIENTS[client], roomMs: ROOM_MS, renderClass: "small", isNew: true };
      counter.attempted({ ...wish, session: `s${count}`, state: "placed", pool, decision });
    }
  };
  return { clock, counter, published, loop, told, come, slots, pools };
}

t.test("a pool that more want than it holds has a price, and one with room has none", async (t) => {
  const { clock, published, told, come } = start(t);
  t.equal(published.current().version, 0);
  come("between", 10);
  come("beyond", 40);
  await clock.advance(TURN_MS);
  const { byPool, version } = published.current();
  t.ok((byPool.get("near") ?? 0) > 1, `near has a price, got ${byPool.get("near")}`);
  t.notOk(byPool.has("middle"));
  t.equal(version, Math.floor(clock.nowMs() / 1000), "the second in which it came to be");
  await clock.advance(TURN_MS);
  t.ok(published.current().version >= version);
  t.match(told, ["applied", /applied|damped/]);
});

t.test("prices are solved by the thread as they are here", async (t) => {
  await using solver = new PriceSolver();
  const [inThread, here] = [start(t, { solver }), start(t)];
  for (const { come, loop } of [inThread, here]) {
    come("between", 40);
    come("beyond", 140);
    await loop.turn();
  }
  t.ok(here.published.current().byPool.has("near"));
  t.same(inThread.published.current(), here.published.current());
});

t.test("below 70 % of what is predicted nothing has a price, and nothing is solved", async (t) => {
  const solver = {
    solve: async () => {
      throw new Failure("unavailable", "not to be asked");
    },
  };
  const { clock, published, told, come } = start(t, { solver });
  come("beyond", 8);
  await clock.advance(2 * TURN_MS);
  t.equal(published.current().version, 0);
  t.same(told, ["off-uncontended", "off-uncontended"]);
});

t.test("what is expected of each pool is told where nothing has a price, and who comes counts at once", async (t) => {
  const { clock, published, loop, come, slots } = start(t);
  slots["near"] = 500;
  published.arrived(new Map([["near", 3]]));
  t.equal(published.current().expectedByPool.size, 0, "nobody says yet what is expected");
  come("halfway", 4);
  come("beyond", 4);
  await clock.advance(TURN_MS);
  const { version, expectedByPool } = published.current();
  const [near = 0, middle = 0] = ["near", "middle"].map((pool) => expectedByPool.get(pool));
  t.equal(version, 0);
  t.ok(middle > 0.36 * 2, `e⁻¹ of half of those halfway, and those to come: ${middle}`);
  t.ok(Math.abs(near - 3 * middle) < 1e-9, `those beyond and the other half: ${near}`);
  published.arrived(new Map([["middle", 0.5]]));
  t.equal(published.current().expectedByPool.get("middle"), middle + 0.5);
  await clock.advance(TURN_MS);
  t.ok((published.current().expectedByPool.get("middle") ?? 0) < middle + 0.5, "the turn has them");
  loop.setActive(false);
  await clock.advance(PRICES_AGE_MS_MAX + TURN_MS);
  t.equal(published.current().expectedByPool.size, 0, "too old");
});

t.test("slots that sessions use which nobody here counts are not there", async (t) => {
  const elsewhere = { isOpen: true, slotsTotal: 50, slotsFree: 12, frameMsP95: FRAME_MS };
  const { clock, published, come } = start(t, {
    ledger: { capacities: async (queries) => queries.map(() => elsewhere) },
  });
  come("beyond", 12);
  await clock.advance(TURN_MS);
  t.ok(published.current().byPool.has("near"), "12 of the 24 that are left, and more to come");
});

t.test("what other replicas count is no slot taken from elsewhere, but somebody who comes again", async (t) => {
  const slots = { near: 12, middle: 100 };
  const { clock, published, counter, loop } = start(t, {
    ledger: {
      capacities: async (queries) =>
        queries.map(({ pool }) => ({
          ...{ isOpen: true, slotsTotal: pool === "near" ? 50 : 100, frameMsP95: FRAME_MS },
          slotsFree: pool === "near" ? slots.near : slots.middle,
        })),
    },
  });
  await clock.advance(TURN_MS);
  t.equal(published.current().version, 0, "nobody is expected, so nothing is scarce");
  for (let index = 0; index < 38; index += 1) {
    const wish = { client: CLIENTS.beyond, roomMs: ROOM_MS, renderClass: "small", isNew: true, pool: "near" };
    const at = { atMs: clock.monotonicMs(), by: "another" };
    counter.count({ ...wish, session: `t${index}`, state: "placed" }, at);
  }
  await clock.advance(TURN_MS);
  t.ok(published.current().byPool.has("near"), "38 of 50 are taken by those who are expected again");
  loop.setActive(false);
});

t.test("a replica that follows takes for ended what runs nowhere, where it sees all that is observed", async (t) => {
  const running = new Set(["s1"]);
  const hasSession = (session: string) => running.has(session);
  const { clock, counter, loop, come } = start(t, {
    facts: { listPools: () => [{ ...poolFacts("near"), hasSession }, poolFacts("middle")] },
  });
  loop.setActive(false);
  come("between", 2);
  await clock.advance(RESERVATION_MS + TURN_MS);
  t.equal(counter.countAt("near"), 2, "nothing is known of who runs");
  loop.setInformed(true);
  await clock.advance(TURN_MS);
  t.equal(counter.countAt("near"), 1);
});

t.test("who follows says how the prices of another were made, and once that they have grown too old", async (t) => {
  const board = { mode: "damped" as PriceMode | undefined, begun: 0 };
  const shared = {
    isStale: false,
    get followedMode() {
      return board.mode;
    },
    current: () => ({ version: 7, byPool: new Map([["near", 4]]), expectedByPool: new Map() }),
    arrived: () => undefined,
    begin: () => {
      board.begun += 1;
    },
    publish: () => NO_PRICES,
  };
  const { clock, loop, told } = start(t, { published: shared });
  loop.setActive(false);
  await clock.advance(TURN_MS);
  t.same(told, ["damped"]);
  board.mode = undefined;
  await clock.advance(2 * TURN_MS);
  t.same(told, ["damped", "off-inactive", "missed", "off-inactive"]);
  loop.setActive(true);
  loop.setActive(true);
  t.equal(board.begun, 2, "each lease begins once");
});

t.test("a solver that fails leaves the last prices, for a minute", async (t) => {
  const solver = {
    isBroken: false,
    async solve(...[problem, previous]: Parameters<PricingPorts["solver"]["solve"]>) {
      if (solver.isBroken) throw new Failure("unavailable", "the thread that solves prices failed");
      return { solution: solvePrices(problem, previous), cpuMs: 1 };
    },
  };
  const { clock, published, told, come } = start(t, { solver });
  come("between", 10);
  come("beyond", 40);
  await clock.advance(TURN_MS);
  const before = published.current();
  t.not(before.version, 0);
  solver.isBroken = true;
  await clock.advance(PRICES_AGE_MS_MAX);
  t.equal(published.current(), before);
  t.equal(told.at(-1), "unavailable, some left");
  await clock.advance(TURN_MS);
  t.equal(published.current().version, 0);
  t.equal(told.at(-1), "unavailable, none left");
  solver.isBroken = false;
  await clock.advance(TURN_MS);
  t.ok(published.current().version > before.version, "and it goes on");
});

t.test("without the lease the last prices stay for a minute, and demand is learnt all the same", async (t) => {
  const { clock, published, loop, told, come } = start(t);
  come("between", 10);
  come("beyond", 40);
  await clock.advance(TURN_MS);
  loop.setActive(false);
  await clock.advance(PRICES_AGE_MS_MAX);
  t.not(published.current().version, 0);
  await clock.advance(TURN_MS);
  t.equal(published.current().version, 0);
  t.equal(told.at(-1), "off-inactive");
  loop.setActive(true);
  await clock.advance(TURN_MS);
  t.not(published.current().version, 0);
});

const rules: PlacementRules = {
  constraints: [],
  preferences: [],
  capacityReserveRatio: 0,
  onNoFit: "queue",
  stickinessMs: 2,
};

/** The record of a decision between pools at these round trips; 52 ms is the limit. */
function decisionOf(pools: PoolIds, rttByPool: Record<string, number>): Uint8Array {
  const frame = new DecisionFrame();
  const parts = { budgetMs: 60, renderEncodeMsP95: FRAME_MS, decodeMs: 0, jitterMs: 0, serialisationMs: 0 };
  const standing = { labels: {}, reachable: true, cordoned: false, draining: false };
  const candidates = Object.entries(rttByPool).map(
    ([pool, rttMs]): PoolCandidate => ({
      ...{ pool, rttMs, rttSource: "measured", parts, ...standing },
      ...{ slotsTotal: 50, slotsFree: 0, priceMs: 0, bundleMs: 0 },
    }),
  );
  loadCandidates(frame, { candidates, rules }, pools);
  decidePlacement(frame);
  return recordOf(frame);
}

t.test("who comes counts in parts at the pools that are as near as its nearest, as it measured them", async (t) => {
  const pools = new PoolIds();
  const decision = decisionOf(pools, { a: 5, b: 4.5, c: 5.6, beyond: 60 });
  t.same(
    partsOfArrival(readChoice(decision, pools)),
    new Map([
      ["a", 0.5],
      ["b", 0.5],
    ]),
  );
  t.equal(partsOfArrival(readChoice(decisionOf(pools, { beyond: 60 }), pools)).size, 0);
  const told: (Uint8Array | TriedChoice)[] = [];
  const counter = new DemandCounter(new VirtualClock(), (first) => told.push(first));
  const wish = { client: CLIENTS.between, roomMs: ROOM_MS, renderClass: "small", session: "s", isNew: true, decision };
  counter.attempted({ ...wish, state: "waiting" });
  counter.attempted({ ...wish, state: "placed", pool: "a" });
  counter.attempted({ ...wish, state: "placed", pool: "a", session: "other", isNew: false });
  t.same(told, [decision], "a session once, and not one that runs already");
});

t.test("prices that the last decisions would have been better without are dropped, and come back", async (t) => {
  // Turns of a quarter of a stay: 2,000 decisions in some sixty of them.
  const turnSeconds = 300;
  const { clock, published, told, come, counter, pools } = start(t, { turnSeconds });
  const either = decisionOf(pools, { near: 4, middle: 5 });
  const onlyMiddle = decisionOf(pools, { middle: 5 });
  const onlyNear = decisionOf(pools, { near: 4 });
  let ended = 0;
  /** 130 sessions come in a stay, and as many go: the forecast has it that `near` is scarce. */
  const turns = async (word: string, decisionAt: (index: number) => Uint8Array) => {
    for (let turn = 0; turn < 150 && told.at(-2) !== word; turn += 1) {
      for (let index = 0; index < 32; index += 1) come("beyond", 1, "near", decisionAt(index));
      for (; counter.alive > 130; ended += 1) counter.ended(`s${ended + 1}`);
      await clock.advance(turnSeconds * 1000);
    }
  };
  // Whoever has a choice leaves `near`, which would have held them all, and takes the room of those who have none.
  await turns("lost", (index) => (index % 3 === 0 ? either : onlyMiddle));
  t.same(told.slice(-2), ["lost", "off-losing"]);
  t.equal(published.current().version, 0);
  await turns("regained", (index) => (index % 3 === 0 ? onlyNear : either));
  t.match(told.slice(-2), ["regained", /applied|damped/]);
  t.ok(published.current().byPool.has("near"));
});
