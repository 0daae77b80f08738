/** Connections to other edges over mutual TLS: one bounded client a peer, made when it is first asked. */
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { ClientTls } from "#platform/grpc/client.ts";
import { serverNameOf } from "#platform/identity/peer.ts";
import type { Random } from "#platform/random.ts";
import { UpstreamClient, type UpstreamRequest, type UpstreamResponse } from "../upstream/upstream-client.ts";
import type { Peer } from "./membership.ts";

/** Peers are near: one that has no connection by then is as good as gone. */
const PEER_CONNECT_MS_MAX = 500;
/** A peer says at once (102) that it has the request; who waits for one that says nothing waits no longer. */
const PEER_ACCEPT_MS_MAX = 1_000;
/** Nobody waits for a blob: to pass by a sibling that is busy costs more than to wait for it. */
const BLOB_CONNECT_MS_MAX = 5_000;
const BLOB_ACCEPT_MS_MAX = 8_000;
/** Of the longest that a site gives its upstream, when a peer has to ask that. */
const PEER_HEAD_MS_MAX = 60_000;
/** Between two parts of a body, as of an upstream. */
const PEER_IDLE_MS_MAX = 10_000;

/** How long a peer may take to a connection, and then to its first word. */
export interface Patience {
  readonly connectMsMax: number;
  readonly acceptMsMax: number;
}

const PATIENCE: Patience = { connectMsMax: PEER_CONNECT_MS_MAX, acceptMsMax: PEER_ACCEPT_MS_MAX };
export const BLOB_PATIENCE: Patience = { connectMsMax: BLOB_CONNECT_MS_MAX, acceptMsMax: BLOB_ACCEPT_MS_MAX };

export interface PeerClientsOptions {
  readonly tls: (serverName: string) => ClientTls;
  readonly clock: Clock;
  readonly random: Random;
  /** That of a user agent's request unless said. */
  readonly patience?: Patience;
}

interface Known {
  readonly peer: Peer;
  readonly client: UpstreamClient;
}

export class PeerClients implements AsyncDisposable {
  readonly #options: PeerClientsOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: PeerClientsOptions) {
    this.#options = options;
  }

  /** Resolves with the head. Throws as `UpstreamClient.fetch`, and `upstream-timeout` where the peer is silent. */
  async call(peer: Peer, request: UpstreamRequest, headMsMax: number): Promise<UpstreamResponse> {
    const { clock, patience = PATIENCE } = this.#options;
    const late = Promise.withResolvers<never>();
    const giveUpAfter = (ms: number) => clock.timer(ms, () => late.reject(silenceOf(peer, ms)));
    using timers = new DisposableStack();
    const accept = timers.use(giveUpAfter(patience.connectMsMax + patience.acceptMsMax));
    timers.use(giveUpAfter(headMsMax));
    const answering = this.#clientOf(peer).fetch({
      ...request,
      onInterim(status, fields) {
        accept[Symbol.dispose]();
        if (status !== 102) request.onInterim?.(status, fields);
      },
    });
    try {
      return await Promise.race([answering, late.promise]);
    } catch (error) {
      // Whatever comes later is nobody's.
      answering.then(({ discard }) => discard()).catch(() => undefined);
      throw error;
    }
  }

  /** Those of peers that have left or moved are closed when what is under way has ended. */
  update(peers: readonly Peer[]): void {
    const addresses = new Map(peers.map(({ name, address }) => [name, address]));
    for (const [name, { peer, client }] of [...this.#known]) {
      if (addresses.get(name) === peer.address) continue;
      this.#known.delete(name);
      void client.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const clients = [...this.#known.values()].map(({ client }) => client);
    this.#known.clear();
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  }

  #clientOf(peer: Peer): UpstreamClient {
    const known = this.#known.get(peer.name);
    if (known?.peer.address === peer.address) return known.client;
    const { tls, clock, random, patience = PATIENCE } = this.#options;
    const client = new UpstreamClient({
      url: new URL(`https://${peer.address}`),
      tls: tls(serverNameOf({ role: "edge", name: peer.name })),
      ...{ clock, random },
      connectMsMax: patience.connectMsMax,
      ...{ headMsMax: PEER_HEAD_MS_MAX, idleMsMax: PEER_IDLE_MS_MAX },
    });
    this.#known.set(peer.name, { peer, client });
    return client;
  }
}

function silenceOf({ name, address }: Peer, ms: number): Failure {
  return new Failure("upstream-timeout", `edge ${name} at ${address}: nothing for ${ms} ms`, { retryable: true });
}
