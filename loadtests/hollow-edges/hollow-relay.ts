/** What of a hollow edge relays, and finds its relay: the production code over real connections between the edges. */
import { isRevoked } from "#edge-node/desired-state/desired-view.ts";
import type { PoolSet } from "#edge-node/desired-state/pool-set.ts";
import type { ConnectOrigin } from "#edge-node/link/origin-link.ts";
import { type TierView, tierViewOf } from "#edge-node/pool/membership.ts";
import { startPeerListener } from "#edge-node/pool/peer-listener.ts";
import { Relay } from "#edge-node/relay/relay.ts";
import { relaysBefore } from "#edge-node/relay/relay-order.ts";
import { RelayRoute } from "#edge-node/relay/relay-route.ts";
import { dialRelay, RelayStreams } from "#edge-node/relay/relay-stream.ts";
import { checkMember } from "#edge-node/sessions/membership.ts";
import { parseAddress } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import type { ClientTls } from "#platform/grpc/client.ts";
import type { Random } from "#platform/random.ts";

export interface HollowRelayOptions {
  readonly name: string;
  readonly pool: string;
  readonly address: string;
  readonly tls: ClientTls;
  readonly set: PoolSet;
  readonly direct: ConnectOrigin;
  readonly clock: Clock;
  readonly random: Random;
}

export class HollowRelay implements AsyncDisposable {
  #route: RelayRoute | undefined;
  readonly #options: HollowRelayOptions;
  readonly #relay: Relay;
  #view: TierView;
  #listener: AsyncDisposable | undefined;

  constructor(options: HollowRelayOptions) {
    this.#options = options;
    const { pool, set, clock } = options;
    this.#view = this.#viewNow();
    this.#relay = new Relay({
      ...{ set, clock },
      checkMember: (peer) =>
        checkMember(
          { pool, resources: set.resources, isRevoked: (subject) => isRevoked(set.resources, subject) },
          peer,
          ["edge"],
        ),
      isOpen: () => true,
      originNowMs: () => clock.nowMs(),
      events: { relaying: () => undefined },
    });
  }

  /** As after a start: nothing is known of who answers. */
  newRoute(): RelayRoute {
    const { pool, direct, clock, random, tls } = this.#options;
    const dialling = { clock, tls: (serverName: string) => ({ ...tls, serverName }) };
    this.#route = new RelayRoute({
      ...{ direct, clock, random, relay: this.#relay },
      candidates: () => relaysBefore(pool, this.#view),
      dial: (peer, signal) => dialRelay(peer, signal, dialling),
      events: { linkedBy: () => undefined, relayFailed: () => undefined },
    });
    return this.#route;
  }

  /** Siblings that it asks before it goes to the origin itself. */
  get rank(): number {
    return relaysBefore(this.#options.pool, this.#view).length;
  }

  async listen(): Promise<void> {
    const { address, tls, clock } = this.#options;
    const { own, authoritiesPem } = tls;
    if (own === undefined) throw new Error("a hollow edge has a certificate");
    this.#listener = await startPeerListener(
      {
        identity: {
          serverTls: (clientCertificate) => ({ ...own, authoritiesPem, clientCertificate }),
          onRenewed: () => ({ [Symbol.dispose]: () => undefined }),
        },
        facts: () => {
          throw new Error("a hollow edge has no content");
        },
        flowOf: () => undefined,
        blobs: { answer: () => Promise.reject(new Error("a hollow edge has no content")) },
        streams: new RelayStreams(this.#relay, clock),
        events: { peerAnswered: () => undefined, peerDeclined: () => undefined, broke: () => undefined },
      },
      parseAddress(address),
    );
  }

  applied(): void {
    this.#view = this.#viewNow();
    this.#relay.applied();
    this.#route?.reconsider();
  }

  refused(): void {
    this.#relay.refused();
    this.#route?.refused();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener?.[Symbol.asyncDispose]();
  }

  #viewNow(): TierView {
    const { set, name, pool } = this.#options;
    return tierViewOf(set.resources, { name, pool }, (subject) => isRevoked(set.resources, subject));
  }
}
