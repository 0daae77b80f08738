/** Prices by the configuration: the count of demand, what they are published in, and the turns that make them; or none. */
import { ToldStream } from "#platform/redis/told-stream.ts";
import type { SchedulerConfig } from "../config.ts";
import type { ExplainStore } from "../explain/explain-store.ts";
import type { OpenedLedger } from "../ledger/open-ledger.ts";
import {
  DemandCounter,
  type DemandReports,
  GROUP_SILENT_MS_MAX,
  type TriedChoice,
  UNCOUNTED,
} from "./demand-counter.ts";
import { PriceSolver } from "./price-solver.ts";
import { type PriceBoard, type PriceSource, PublishedPrices, WITHOUT_PRICES } from "./price-source.ts";
import { partsOfArrival, readChoice } from "./recorded-choice.ts";
import {
  DEMAND_TURNS_KEPT_MAX,
  DEMAND_TURNS_PER_READ_MAX,
  SharedDemand,
  type SharedDemandEvents,
} from "./shared-demand.ts";
import { SharedPrices, type SharedPricesEvents } from "./shared-prices.ts";
import { PricingLoop, type PricingPorts } from "./slow-loop.ts";

/** What is counted or solved at one replica is known at the others after so long, at most and on average half of it. */
export const PRICING_EXCHANGE_MS = 1_000;

export interface Pricing {
  readonly wishes: DemandReports;
  readonly prices: PriceSource;
  /** In the replica that holds the slow loop's lease and sees all that is observed. */
  setActive(isActive: boolean): void;
  /** Whether this replica sees all that is observed. */
  setInformed(isInformed: boolean): void;
}

export type PricingNeeds = Pick<PricingPorts, "clock" | "ledger" | "rttMap" | "facts" | "events"> & {
  readonly explain: ExplainStore;
  readonly events: SharedDemandEvents & SharedPricesEvents;
  readonly incarnation: string;
  readonly shared: OpenedLedger["shared"];
};

interface Counting {
  readonly counter: DemandCounter;
  readonly wishes: DemandReports;
  readonly published: PriceBoard & PriceSource;
}

export function openPricing(
  { pricing, name }: Pick<SchedulerConfig, "pricing" | "name">,
  needs: PricingNeeds,
  stack: AsyncDisposableStack,
): Pricing {
  if (!pricing.enabled) {
    const nothing = () => undefined;
    return { wishes: UNCOUNTED, prices: WITHOUT_PRICES, setActive: nothing, setInformed: nothing };
  }
  const { turnSeconds } = pricing;
  const { counter, wishes, published } = openCounting(name, needs, stack);
  const solver = stack.use(new PriceSolver());
  const { pools } = needs.explain;
  const loop = stack.use(new PricingLoop({ ...needs, counter, published, solver, pools, turnSeconds }));
  return {
    ...{ wishes, prices: published },
    setActive: (isActive) => loop.setActive(isActive),
    setInformed: (isInformed) => loop.setInformed(isInformed),
  };
}

/** By this replica alone, or with those that have a Redis in common with it. */
function openCounting(
  holder: string,
  { clock, events, explain, incarnation, shared }: PricingNeeds,
  stack: AsyncDisposableStack,
): Counting {
  const choiceOf = (choice: Uint8Array | TriedChoice) =>
    choice instanceof Uint8Array ? readChoice(choice, explain.pools) : choice;
  const countAt = (published: PriceBoard) =>
    new DemandCounter(clock, (choice) => published.arrived(partsOfArrival(choiceOf(choice))));
  if (shared === undefined) {
    const published = new PublishedPrices(clock);
    const counter = countAt(published);
    return { counter, wishes: counter, published };
  }
  const { redis, prefix } = shared;
  const stream = new ToldStream({
    ...{ redis, incarnation, key: `${prefix}demand/1`, lifetimeMs: GROUP_SILENT_MS_MAX },
    ...{ turnsKeptMax: DEMAND_TURNS_KEPT_MAX, turnsPerReadMax: DEMAND_TURNS_PER_READ_MAX },
  });
  const published = new SharedPrices({ redis, clock, events, holder, key: `${prefix}prices/1` });
  const counter = countAt(published);
  const wishes = new SharedDemand({ clock, counter, stream, events, readChoice: choiceOf });
  const exchange = async () => {
    await wishes.turn();
    await published.refresh();
  };
  stack.use(clock.every(PRICING_EXCHANGE_MS, exchange));
  return { counter, wishes, published };
}
