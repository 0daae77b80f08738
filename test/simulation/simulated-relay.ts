/** How a simulated edge hears the origin, and what it relays to siblings: the production relay and route over the simulated network. */
import type { Failure } from "#domain/failure.ts";
import { isRevoked } from "#edge-node/desired-state/desired-view.ts";
import type { PoolSet } from "#edge-node/desired-state/pool-set.ts";
import type { ConnectOrigin } from "#edge-node/link/origin-link.ts";
import { type Peer, tierViewOf } from "#edge-node/pool/membership.ts";
import { RelayRefused } from "#edge-node/relay/refusals.ts";
import { Relay } from "#edge-node/relay/relay.ts";
import { relaysBefore } from "#edge-node/relay/relay-order.ts";
import { RelayRoute } from "#edge-node/relay/relay-route.ts";
import { checkMember } from "#edge-node/sessions/membership.ts";
import { SyncState } from "#edge-node/status/sync-state.ts";
import type { ConnectedPeer } from "#platform/identity/peer.ts";
import type { Random } from "#platform/random.ts";
import type { Listener } from "./simulated-network.ts";
import type { SimulatedProcess } from "./simulated-process.ts";

/** What a planted bug replaces. */
export interface RelayPlants {
  readonly relay?: (relay: Relay) => Relay;
  readonly relaysBefore?: typeof relaysBefore;
}

export interface SimulatedRelayOptions {
  readonly peer: ConnectedPeer;
  readonly process: SimulatedProcess;
  readonly set: PoolSet;
  readonly random: Random;
  readonly direct: ConnectOrigin;
  readonly dial: (sibling: Peer, signal: AbortSignal) => Promise<ConnectOrigin>;
  readonly plants: RelayPlants;
  /** By whom the origin is heard now; `undefined`: directly. */
  readonly linkedBy: (relay: string | undefined) => void;
}

export class SimulatedRelay {
  readonly listener: Listener;
  readonly route: RelayRoute;
  readonly #relay: Relay;
  readonly #sync: SyncState;

  constructor({ peer, process, set, random, direct, dial, plants, linkedBy }: SimulatedRelayOptions) {
    const { name, pool } = peer;
    const { clock } = process;
    this.#sync = new SyncState({ quarantine: () => undefined, damage: () => set.damage });
    const revoked = (subject: Parameters<typeof isRevoked>[1]) => isRevoked(set.resources, subject);
    const hasRelay = (): boolean => {
      const resource = set.resources.get(`NodePool/${pool}`);
      return resource?.kind === "NodePool" && resource.spec.relay;
    };
    const relay = new Relay({
      ...{ set, clock, events: { relaying: () => undefined } },
      checkMember: (sibling) => checkMember({ pool, resources: set.resources, isRevoked: revoked }, sibling, ["edge"]),
      isOpen: () => hasRelay() && this.#sync.now().status,
      originNowMs: () => clock.nowMs(),
    });
    this.#relay = plants.relay?.(relay) ?? relay;
    const before = plants.relaysBefore ?? relaysBefore;
    this.route = new RelayRoute({
      ...{ direct, dial, clock, random, relay: this.#relay },
      candidates: () => before(pool, tierViewOf(set.resources, peer, revoked)),
      events: { linkedBy, relayFailed: () => undefined },
    });
    this.listener = {
      process,
      serve: (messages, call) => this.#relay.serve(messages, call),
      refusalFor: (sibling) => {
        const code = this.#relay.refusalFor(sibling);
        return code === undefined ? undefined : new RelayRefused(name, { code, message: "" });
      },
    };
  }

  up(): void {
    this.#sync.cleared();
  }

  applied(): void {
    this.#sync.cleared();
    this.#relay.applied();
    this.route.reconsider();
  }

  refused(failure: Failure): void {
    this.#sync.refused(failure);
    this.#relay.refused();
    this.route.refused();
  }
}
