import t from "tap";
import { Failure } from "#domain/failure.ts";
import { createLogger } from "#platform/logging.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";
import { createEvents } from "./events.ts";
import { NO_PRICES } from "./pricing/price-source.ts";

t.test("prices are shown while they are gone by, and of many the dearest", async (t) => {
  const metrics = createMetrics("scheduler");
  const { pricing } = createEvents(createLogger({ program: "scheduler", level: "silent" }), metrics);
  const shown = async () =>
    (await metrics.render()).text.split("\n").filter((line) => /^perigee_scheduler_(pool_)?price_/.test(line));
  const byPool = new Map(Array.from({ length: 100 }, (_, index) => [`p${index}`, 100 + index]));
  const prices = { version: 7, byPool, expectedByPool: new Map() };
  const priced = { prices, isFollowed: false, solveMs: 20, error: 0.5 };
  pricing.priced({ ...priced, mode: "damped" });
  const lines = await shown();
  t.equal(lines.filter((line) => line.includes("pool_price")).length, 64);
  for (const line of [
    'pool_price_seconds{pool="p99"} 0.199',
    "price_version 7",
    'price_mode{mode="damped"} 1',
    'price_mode{mode="applied"} 0',
    "price_solve_seconds_sum 0.02",
  ])
    t.ok(lines.includes(`perigee_scheduler_${line}`), line);

  const failure = new Failure("unavailable", "the thread that solves prices failed");
  pricing.pricingFailed(failure, priced.prices);
  t.ok((await shown()).includes('perigee_scheduler_pool_price_seconds{pool="p99"} 0.199'), "they stay");
  pricing.pricingFailed(failure, undefined);
  pricing.pricingFailed(failure, undefined);
  pricing.pricesLost(-0.01);
  const after = await shown();
  t.notOk(after.some((line) => line.includes("pool_price")));
  for (const line of [
    'price_turns_total{outcome="failed"} 3',
    'price_fallbacks_total{reason="stale"} 1',
    'price_fallbacks_total{reason="losing"} 1',
    'price_mode{mode="damped"} 0',
  ])
    t.ok(after.includes(`perigee_scheduler_${line}`), line);
});

t.test(
  "a replica that goes by another's prices shows them and how they were made, and alerts once when they are too old",
  async (t) => {
    const metrics = createMetrics("scheduler");
    const { pricing } = createEvents(createLogger({ program: "scheduler", level: "silent" }), metrics);
    const has = async (line: string) => (await metrics.render()).text.split("\n").includes(`perigee_scheduler_${line}`);
    const turn = {
      solveMs: undefined,
      error: 0,
      prices: { version: 7, byPool: new Map([["near", 4]]), expectedByPool: new Map() },
    };
    pricing.priced({ ...turn, mode: "damped", isFollowed: true });
    t.ok(await has('price_mode{mode="damped"} 1'));
    t.ok(await has("price_version 7"));
    t.ok(await has('pool_price_seconds{pool="near"} 0.004'));
    t.ok(await has('price_turns_total{outcome="followed"} 1'));
    pricing.priced({ ...turn, prices: NO_PRICES, mode: "off-inactive", isFollowed: false });
    pricing.pricesMissed();
    pricing.pricesMissed();
    t.ok(await has('price_mode{mode="off-inactive"} 1'));
    t.ok(await has('price_fallbacks_total{reason="stale"} 1'));
    t.ok(await has("price_version 0"));
  },
);
t.test("what the content plan has under way is shown by pool, of many those with most, and what waits", async (t) => {
  const metrics = createMetrics("scheduler");
  const { fillsPlanned } = createEvents(createLogger({ program: "scheduler", level: "silent" }), metrics);
  const shown = async () =>
    (await metrics.render()).text.split("\n").filter((line) => line.startsWith("perigee_scheduler_planned_fill"));
  const underWay = new Map(Array.from({ length: 100 }, (_, index) => [`p${index}`, 1000 + index]));
  fillsPlanned({ begun: 3, begunBytes: 500, waiting: { window: 4, budget: 5 }, underWay });
  fillsPlanned({ begun: 1, begunBytes: 100, waiting: { window: 0, budget: 2 }, underWay });
  const lines = await shown();
  t.equal(lines.filter((line) => line.includes("fill_bytes{")).length, 64);
  for (const line of [
    "planned_fills_total 4",
    "planned_fill_bytes_total 600",
    'planned_fill_bytes{pool="p99"} 1099',
    'planned_fills_waiting{for="window"} 0',
    'planned_fills_waiting{for="budget"} 2',
  ])
    t.ok(lines.includes(`perigee_scheduler_${line}`), line);
  fillsPlanned({ begun: 0, begunBytes: 0, waiting: { window: 0, budget: 0 }, underWay: new Map() });
  t.notOk(
    (await shown()).some((line) => line.includes("fill_bytes{")),
    "nothing is under way",
  );
});
