/** This node among the edges of its pool and of the pools above and below: brought to the set as that is stored. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Resources } from "#contracts/codec/set-state.ts";
import type { RevocationSpec } from "#domain/fleet/revocation.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import type { NodeIdentity } from "#platform/identity/node-identity.ts";
import type { Random } from "#platform/random.ts";
import type { PurgeMark } from "../desired-state/applied-purges.ts";
import { isRevoked } from "../desired-state/desired-view.ts";
import type { Upstream } from "../request/fetching.ts";
import type { TierEvents } from "./events.ts";
import { LoopGuard } from "./loop-guard.ts";
import { type Peer, type TierView, tierViewOf } from "./membership.ts";
import type { PeerCallFacts } from "./peer-call.ts";
import { BLOB_PATIENCE, PeerClients } from "./peer-clients.ts";
import { PeerHealth } from "./peer-health.ts";
import type { BlobAnswers, PeerFlow, PeerStreams } from "./peer-listener.ts";
import { SiblingBlobs } from "./sibling-blobs.ts";
import { TierRequests } from "./tier-requests.ts";
import { type TieredOptions, TieredUpstream } from "./tiered-upstream.ts";

export interface TiersParts {
  readonly identity: NodeIdentity;
  readonly resources: () => Resources;
  /** How far this node has applied purges. */
  readonly applied: () => PurgeMark;
  /** This node's id in CDN-Loop: its host name. */
  readonly ownId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: TierEvents;
}

export interface PeerServing {
  readonly streams?: PeerStreams;
  readonly flowOf: (site: string) => PeerFlow | undefined;
  readonly isDenied: (site: string) => boolean;
  readonly blobs: BlobAnswers;
}

export class Tiers implements AsyncDisposable {
  readonly #parts: TiersParts;
  /** Of blobs a sibling is asked over connections of their own: no user agent's request waits behind one. */
  readonly blobs: SiblingBlobs;
  readonly #clients: PeerClients;
  readonly #blobClients: PeerClients;
  readonly #health: PeerHealth;
  readonly #requests: TierRequests;
  readonly #loops: LoopGuard;
  readonly #renewing: Disposable;
  #view: TierView;
  #address: string | undefined;

  constructor(parts: TiersParts) {
    const { identity, clock, random, applied, events } = parts;
    this.#parts = parts;
    this.#loops = new LoopGuard(parts.ownId);
    this.#view = this.#viewNow();
    this.#health = new PeerHealth(clock, random);
    const connecting = { tls: (serverName: string) => identity.clientTls(serverName), clock, random };
    this.#clients = new PeerClients(connecting);
    this.#blobClients = new PeerClients({ ...connecting, patience: BLOB_PATIENCE });
    // New connections show the new certificate.
    this.#renewing = identity.onRenewed(() => this.#updateClients([]));
    this.#requests = new TierRequests({
      view: () => this.#view,
      call: (peer, request, headMsMax) => this.#clients.call(peer, request, headMsMax),
      health: this.#health,
      clock,
      applied,
      events,
    });
    this.blobs = new SiblingBlobs({
      view: () => this.#view,
      call: (peer, request, headMsMax) => this.#blobClients.call(peer, request, headMsMax),
      clock,
      random,
      events,
    });
  }

  /** Where other edges reach this one; `undefined` while it listens to none. */
  get address(): string | undefined {
    return this.#address;
  }

  get view(): TierView {
    return this.#view;
  }

  /** The set has changed. */
  update(): void {
    this.#view = this.#viewNow();
    const peers = [...this.#view.siblings, ...this.#view.parents];
    this.#updateClients(peers);
    this.#health.keep(new Set(peers.map(({ name }) => name)));
    this.blobs.keep(new Set(this.#view.siblings.map(({ name }) => name)));
  }

  upstreamFor(options: Omit<TieredOptions, "requests">): Upstream {
    return this.#loops.marking(new TieredUpstream({ ...options, requests: this.#requests }));
  }

  /** True: the request was here before, and is answered so. */
  refuseLoop(incoming: IncomingMessage, response: ServerResponse): boolean {
    return this.#loops.refuse(incoming, response);
  }

  /** `reachedAt` where it is not where it listens. Loaded now: an edge that listens to none does without. */
  async listen(listenAt: Address, reachedAt: string | undefined, serving: PeerServing) {
    const { startPeerListener } = await import("./peer-listener.ts");
    const { identity, events } = this.#parts;
    const facts = () => this.#factsFor(serving);
    const { flowOf, blobs, streams } = serving;
    const parts = { identity, facts, flowOf, blobs, events, ...(streams === undefined ? {} : { streams }) };
    const listener = await startPeerListener(parts, listenAt);
    this.#address = reachedAt ?? formatAddress(listener.address);
    return listener;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#renewing[Symbol.dispose]();
    await Promise.all([this.#clients, this.#blobClients].map((clients) => clients[Symbol.asyncDispose]()));
  }

  #updateClients(peers: readonly Peer[]): void {
    for (const clients of [this.#clients, this.#blobClients]) clients.update(peers);
  }

  #viewNow(): TierView {
    const { identity, resources } = this.#parts;
    const set = resources();
    return tierViewOf(set, identity.peer, (subject: RevocationSpec["subject"]) => isRevoked(set, subject));
  }

  #factsFor({ flowOf, isDenied }: PeerServing): Omit<PeerCallFacts, "isOverloaded"> {
    const { identity, resources, applied } = this.#parts;
    const { pool } = identity.peer;
    const set = resources();
    const nodeOf = (name: string) => {
      const node = set.get(`Node/${name}`);
      return node?.kind === "Node" ? node.spec : undefined;
    };
    return {
      view: this.#view,
      pool,
      applied: applied(),
      isMember: ({ name }) => nodeOf(name)?.role === "edge" && nodeOf(name)?.pool === pool,
      isRevoked: ({ name, serial }) => isRevoked(set, { kind: "node", name, certificateSerial: serial }),
      isServed: (site) => (flowOf(site) === undefined ? "unknown" : isDenied(site) ? "denied" : "served"),
    };
  }
}
