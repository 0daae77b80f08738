/** An edge of which only the sync client is there: the production link and set over a database in memory, no cache. */

import type { NodeStatus } from "#domain/fleet/node.ts";
import { POOL_SET_MIGRATIONS, PoolSet, type SignedBatch } from "#edge-node/desired-state/pool-set.ts";
import { connectByGrpc } from "#edge-node/link/grpc-origin.ts";
import { OriginLink } from "#edge-node/link/origin-link.ts";
import { REPORT_QUEUE_MIGRATIONS, ReportQueue } from "#edge-node/reports/report-queue.ts";
import type { Address } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import type { ClientTls } from "#platform/grpc/client.ts";
import type { TrustedKeys } from "#platform/identity/signatures.ts";
import type { Random } from "#platform/random.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { HollowRelay } from "./hollow-relay.ts";

/** It reports nothing. */
const REPORTS_BYTES_MAX = 1024;

export interface HollowEdgeOptions {
  readonly name: string;
  readonly pool: string;
  /** Where siblings reach it; without it, it has a stream to the origin of its own. */
  readonly peer?: string;
  /** What it holds from before. */
  readonly held: readonly SignedBatch[];
  readonly address: Address;
  readonly tls: ClientTls;
  readonly keys: TrustedKeys;
  readonly clock: Clock;
  readonly random: Random;
  readonly onApplied: (revision: number) => void;
  /** A link that stood has ended. */
  readonly onDown: () => void;
  /** What went wrong with it, or with what came by it. */
  readonly onFault: (message: string) => void;
}

export class HollowEdge implements AsyncDisposable {
  readonly #options: HollowEdgeOptions;
  readonly #desired = openDatabase(":memory:", { migrations: POOL_SET_MIGRATIONS, durability: "normal" });
  readonly #queued = openDatabase(":memory:", { migrations: REPORT_QUEUE_MIGRATIONS, durability: "normal" });
  readonly #set: PoolSet;
  readonly #reports: ReportQueue;
  readonly #relaying: HollowRelay | undefined;
  #link: OriginLink | undefined;
  #isUp = false;

  constructor(options: HollowEdgeOptions) {
    this.#options = options;
    const { name, pool, keys, clock, random, peer: address, held, tls } = options;
    this.#set = new PoolSet(this.#desired, { pool, keys: () => keys });
    for (const envelope of held) this.#set.apply(envelope);
    const direct = connectByGrpc({ nextAddress: () => options.address, tls: () => tls });
    const set = this.#set;
    this.#relaying =
      address === undefined ? undefined : new HollowRelay({ name, pool, address, tls, set, direct, clock, random });
    const nothing = (): void => undefined;
    this.#reports = new ReportQueue(this.#queued, {
      ...{ clock, random, bytesMax: REPORTS_BYTES_MAX },
      events: {
        reportsDropped: nothing,
        reportsCommitted: nothing,
        reportsWaiting: nothing,
        storageFailed: nothing,
      },
    });
  }

  get name(): string {
    return this.#options.name;
  }

  /** Siblings that it may wait for when it connects. */
  get rank(): number {
    return this.#relaying?.rank ?? 0;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get revision(): number {
    return this.#set.watermark?.revision ?? 0;
  }

  /** Siblings reach it from now on, where they may. */
  async listen(): Promise<void> {
    await this.#relaying?.listen();
  }

  /** What was applied stays; the link is made as after a start. Resolves when it stands. */
  connect(): Promise<void> {
    const standing = Promise.withResolvers<void>();
    const { address, tls, clock, random, name, onApplied, onDown, onFault } = this.#options;
    const relaying = this.#relaying;
    const route = relaying?.newRoute();
    this.#link ??= new OriginLink({
      ...(route === undefined ? {} : { route: (signal) => route.next(signal) }),
      connect: connectByGrpc({ nextAddress: () => address, tls: () => tls }),
      incarnation: `${name}-1`,
      softwareVersion: "hollow",
      set: this.#set,
      reports: this.#reports,
      originTime: { heard: () => undefined },
      status: () => this.#status(),
      onBatch: () => {
        onApplied(this.revision);
        relaying?.applied();
      },
      onUp: () => {
        this.#isUp = true;
        standing.resolve();
      },
      onDown: () => {
        this.#isUp = false;
        onDown();
      },
      events: {
        batchRefused: ({ message }) => {
          onFault(message);
          relaying?.refused();
        },
        originRefused: (_code, message) => onFault(message),
        linkFailed: ({ message }) => onFault(message),
        storageFailed: ({ message }) => onFault(message),
      },
      clock,
      random,
    });
    return standing.promise;
  }

  async disconnect(): Promise<void> {
    const link = this.#link;
    this.#link = undefined;
    await link?.[Symbol.asyncDispose]();
    this.#isUp = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect();
    await this.#relaying?.[Symbol.asyncDispose]();
    for (const database of [this.#desired, this.#queued]) database.close();
  }

  #status(): NodeStatus {
    const { name } = this.#options;
    return {
      incarnation: `${name}-1`,
      softwareVersion: "hollow",
      contentUrl: "https://192.0.2.1:443",
      hostname: `${name}.edge.test`,
      epoch: this.#set.watermark?.epoch ?? 0,
      appliedRevision: this.revision,
      ...(this.#options.peer === undefined ? {} : { peerAddress: this.#options.peer }),
      storeBytesUsed: 0,
      storeBytesMax: 1_000_000_000,
      certificateExpiresAtMs: 0,
      conditions: [{ type: "OfflineReady", status: true, reason: "Ready", message: "", sinceMs: 0 }],
      sites: [],
      agents: [],
    };
  }
}
