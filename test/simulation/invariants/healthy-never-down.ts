/** No edge whose link is up and whose bytes flow is marked down, by itself or by the origin. */
import { type Connection, ORIGIN } from "../simulated-network.ts";
import type { World } from "../world.ts";
import type { Check } from "./check.ts";

/** What a relayed edge says of itself takes a way more: that of the relay, which may be a slow one. */
const RELAYED_MS_MAX = 5000;

export function healthyNeverDown(): Check {
  /** Since when the origin does not count on an edge that it could hear of. */
  const unheardSinceMs = new WeakMap<Connection, number>();
  return (world) => {
    const { falseDowns, edges, network, origin, nowMs } = world;
    const [first] = falseDowns;
    if (first !== undefined) return first;
    const { running } = origin;
    if (running === undefined) return undefined;
    for (const connection of network.connections) {
      const { name } = connection.peer;
      const isHealthy = isFlowing(connection) && edges.some((edge) => edge.name === name && edge.isUp);
      const isUnheard = isHealthy && running.observed.find(name)?.linkUp !== true;
      if (connection.to === ORIGIN) {
        if (isUnheard) return `${name} is up, and down in the origin's eyes`;
      } else if (!isUnheard || !isRelayFlowing(world, connection)) unheardSinceMs.delete(connection);
      else {
        const sinceMs = unheardSinceMs.get(connection) ?? nowMs;
        unheardSinceMs.set(connection, sinceMs);
        if (nowMs - sinceMs > RELAYED_MS_MAX) return `${name} is up by ${connection.to}, and down in the origin's eyes`;
      }
    }
    return undefined;
  };
}

function isFlowing({ disturbedBy, isOpenAtBoth }: Connection): boolean {
  return disturbedBy === undefined && isOpenAtBoth;
}

function isRelayFlowing({ network }: World, { server }: Connection): boolean {
  for (const connection of network.connections)
    if (connection.edge === server && connection.to === ORIGIN && isFlowing(connection)) return true;
  return false;
}
