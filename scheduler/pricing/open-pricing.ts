/** Prices by the configuration: the count of demand, what they are published in, and the turns that make them; or none. */
import type { SchedulerConfig } from "../config.ts";
import type { ExplainStore } from "../explain/explain-store.ts";
import { DemandCounter, type DemandReports, UNCOUNTED } from "./demand-counter.ts";
import { PriceSolver } from "./price-solver.ts";
import { type PriceSource, PublishedPrices, WITHOUT_PRICES } from "./price-source.ts";
import { partsOfArrival } from "./recorded-choice.ts";
import { PricingLoop, type PricingPorts } from "./slow-loop.ts";

export interface Pricing {
  readonly wishes: DemandReports;
  readonly prices: PriceSource;
  /** In the replica that holds the slow loop's lease and sees all that is observed. */
  setActive(isActive: boolean): void;
}

type PricingNeeds = Pick<PricingPorts, "clock" | "ledger" | "rttMap" | "facts" | "events"> & {
  readonly explain: ExplainStore;
};

export function openPricing(
  { pricing }: SchedulerConfig,
  { explain, ...needs }: PricingNeeds,
  stack: AsyncDisposableStack,
): Pricing {
  if (!pricing.enabled) return { wishes: UNCOUNTED, prices: WITHOUT_PRICES, setActive: () => undefined };
  const { turnSeconds } = pricing;
  const { pools } = explain;
  const published = new PublishedPrices(needs.clock);
  const counter = new DemandCounter(needs.clock, (decision) => published.arrived(partsOfArrival(decision, pools)));
  const solver = stack.use(new PriceSolver());
  const loop = stack.use(new PricingLoop({ ...needs, counter, published, solver, pools, turnSeconds }));
  return { wishes: counter, prices: published, setActive: (isActive) => loop.setActive(isActive) };
}
