/** The RTT map of a scheduler: its own, or one that it shares with the other replicas where these have a Redis in common. */
import { RttMap } from "#domain/latency/rtt-map.ts";
import type { Clock } from "#platform/clock.ts";
import type { OpenedLedger } from "../ledger/open-ledger.ts";
import { RTT_EXCHANGE_MS, RttExchange, type RttExchangeEvents, SharedRttMap } from "./rtt-exchange.ts";

/** Prefixes, cells and countries: some kilobytes each with its pools. */
export const RTT_GROUPS_MAX = 20_000;
/** Paths change within days; a day sees each hour's load. */
export const RTT_AGE_MS_MAX = 86_400_000;

export interface RttMapTools {
  readonly clock: Clock;
  readonly events: RttExchangeEvents;
  readonly incarnation: string;
}

export function openRttMap(
  { shared }: Pick<OpenedLedger, "shared">,
  { clock, events, incarnation }: RttMapTools,
  stack: AsyncDisposableStack,
): RttMap {
  const options = { groupsMax: RTT_GROUPS_MAX, ageMsMax: RTT_AGE_MS_MAX };
  if (shared === undefined) return new RttMap(options);
  const map = new SharedRttMap(options);
  const { redis, prefix } = shared;
  const exchange = new RttExchange(map, { redis, clock, events, incarnation, key: `${prefix}rtt/1` });
  stack.use(clock.every(RTT_EXCHANGE_MS, () => exchange.turn()));
  return map;
}
