import t from "tap";
import { Failure } from "#domain/failure.ts";
import { createLogger } from "#platform/logging.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";
import { createEvents } from "./events.ts";

t.test("prices are shown while they are gone by, and of many the dearest", async (t) => {
  const metrics = createMetrics("scheduler");
  const { pricing } = createEvents(createLogger({ program: "scheduler", level: "silent" }), metrics);
  const shown = async () =>
    (await metrics.render()).text.split("\n").filter((line) => /^perigee_scheduler_(pool_)?price_/.test(line));
  const byPool = new Map(Array.from({ length: 100 }, (_, index) => [`p${index}`, 100 + index]));
  const priced = { prices: { version: 7, byPool, expectedByPool: new Map() }, solveMs: 20, error: 0.5 };
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
