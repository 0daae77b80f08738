/** Once faults have ended, each edge holds one connection, and of a pool that relays at most one is linked directly for itself alone. */
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { ORIGIN } from "../simulated-network.ts";
import { POOLS, type World } from "../world.ts";
import type { Check } from "./check.ts";

export function waysSettle(): Check {
  return unsettled;
}

export function unsettled(world: World): string | undefined {
  for (const edge of world.edges) {
    const own = world.connectionsOf(edge).filter(({ isHeld }) => isHeld);
    const words = own.map(({ to, isOpenAtBoth, isUnused }) => `${to} (${isUnused ? "unused" : isOpenAtBoth})`);
    if (own.length !== 1 || own[0]?.isOpenAtBoth !== true)
      return `${edge.name} holds ${own.length} connections instead of one: to ${words.join(", ")}`;
  }
  for (const pool of POOLS) {
    const lonely = lonelyOf(world, pool);
    if (lonely.length > (hasRelay(world, pool) ? 1 : Number.POSITIVE_INFINITY))
      return `${lonely.join(" and ")} of pool ${pool} are linked directly, and relay for nobody`;
    const relayed = world.edges.filter(
      (edge) => edge.peer.pool === pool && world.connectionsOf(edge).some(({ to }) => to !== ORIGIN),
    );
    if (relayed.length > 0 && !hasRelay(world, pool))
      return `${relayed[0]?.name} is relayed, which ${pool} does not allow`;
  }
  return undefined;
}

/** Linked directly, by which no sibling hears the origin. */
function lonelyOf({ edges, network }: World, pool: string): readonly string[] {
  const all = [...network.connections];
  const direct = edges.filter(
    ({ name, peer }) => peer.pool === pool && all.some(({ peer: from, to }) => from.name === name && to === ORIGIN),
  );
  return direct.map(({ name }) => name).filter((name) => !all.some(({ to }) => to === name));
}

function hasRelay({ history }: World, pool: string): boolean {
  const json = history.live.get(`NodePool/${pool}`);
  const resource = json === undefined ? undefined : parseStoredResource(json);
  return resource?.kind === "NodePool" && resource.spec.relay;
}
