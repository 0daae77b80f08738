/** The relay of an edge-node, and its ways to the origin, from what the edge holds. */
import type { EdgeParts } from "../edge-parts.ts";
import type { ConnectOrigin } from "../link/origin-link.ts";
import { checkMember } from "../sessions/membership.ts";
import { createRelayEvents } from "./events.ts";
import { Relay } from "./relay.ts";
import { relaysBefore } from "./relay-order.ts";
import type { RelayRoute } from "./relay-route.ts";

export interface OpenRelay {
  readonly relay: Relay;
  /** Loaded with what the link is made by. */
  readonly openRoute: (direct: ConnectOrigin) => Promise<RelayRoute>;
}

export function openRelay(parts: EdgeParts): OpenRelay {
  const { identity, set, isRevoked, tiers, sync, originTime, clock, random, logger, metrics } = parts;
  const { pool } = identity.peer;
  const events = createRelayEvents(logger, metrics);
  const hasRelay = () => {
    const resource = set.resources.get(`NodePool/${pool}`);
    return resource?.kind === "NodePool" && resource.spec.relay;
  };
  const relay = new Relay({
    ...{ set, clock, events },
    checkMember: (peer) => checkMember({ pool, resources: set.resources, isRevoked }, peer, ["edge"]),
    isOpen: () => hasRelay() && sync.now().status,
    originNowMs: () => originTime.nowMs(),
  });
  const openRoute = async (direct: ConnectOrigin): Promise<RelayRoute> => {
    const [{ RelayRoute }, { dialRelay }] = await Promise.all([
      import("./relay-route.ts"),
      import("./relay-stream.ts"),
    ]);
    const dialling = { clock, tls: (serverName: string) => identity.clientTls(serverName) };
    return new RelayRoute({
      ...{ direct, relay, clock, random, events },
      candidates: () => relaysBefore(pool, tiers.view),
      dial: (peer, signal) => dialRelay(peer, signal, dialling),
    });
  };
  return { relay, openRoute };
}
