/** A simulated edge-node: the production set, purges, report queue and link on a simulated disk; killed and started again. */
import type { Watermark } from "#domain/desired-state.ts";
import { type Failure, isFailure } from "#domain/failure.ts";
import { APPLIED_PURGES_MIGRATIONS, AppliedPurges } from "#edge-node/desired-state/applied-purges.ts";
import { type DesiredView, viewOf } from "#edge-node/desired-state/desired-view.ts";
import { POOL_SET_MIGRATIONS, PoolSet, type SignedBatch } from "#edge-node/desired-state/pool-set.ts";
import { SetInForce } from "#edge-node/desired-state/set-in-force.ts";
import { OriginLink } from "#edge-node/link/origin-link.ts";
import { REPORT_QUEUE_MIGRATIONS, ReportQueue } from "#edge-node/reports/report-queue.ts";
import type { ConnectedPeer } from "#platform/identity/peer.ts";
import type { Random } from "#platform/random.ts";
import type { Database } from "#platform/sqlite/database.ts";
import { SimulatedDisk } from "./simulated-disk.ts";
import type { SimulatedNetwork } from "./simulated-network.ts";
import { STREAM_KEY } from "./simulated-origin.ts";
import { type ClockFaults, ProcessKilled, SimulatedProcess } from "./simulated-process.ts";
import { type RelayPlants, SimulatedRelay } from "./simulated-relay.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export const SET_FILE = "desired";
export const PURGES_FILE = "purges";
export const REPORTS_FILE = "reports";
/** Few reports: a full queue is soon made. */
export const REPORTS_BYTES_MAX = 16 * 1024;

/** What the queue of reports tells besides. */
const UNHEARD = {
  reportsCommitted: () => undefined,
  reportsWaiting: () => undefined,
  storageFailed: () => undefined,
};

/** What a planted bug replaces. */
export interface EdgePlants extends RelayPlants {
  readonly monotonicMs?: ClockFaults["monotonicMs"];
  /** The file whose last commit is gone after a crash. */
  readonly forgets?: string;
  readonly set?: (set: PoolSet) => PoolSet;
  /** The database under the report queue. */
  readonly reports?: (database: Database) => Database;
}

/** A purge as the store of responses has seen it: by what was purged, which no two purges have in common. */
export interface SeenPurge {
  readonly path: string;
  readonly atWatermark: Watermark;
  /** The start at which it was seen. */
  readonly start: number;
}

export interface EdgeEvents {
  up(edge: SimulatedEdge): void;
  down(edge: SimulatedEdge, reason: Failure): void;
  refused(edge: SimulatedEdge, failure: Failure): void;
  /** `undefined`: by itself. */
  linkedBy(edge: SimulatedEdge, relay: string | undefined): void;
}

export interface EdgeOptions {
  readonly peer: ConnectedPeer;
  readonly time: VirtualClock;
  readonly random: Random;
  readonly network: () => SimulatedNetwork;
  readonly events: EdgeEvents;
  readonly plants: EdgePlants;
}

interface Running {
  readonly process: SimulatedProcess;
  readonly set: PoolSet;
  readonly reports: ReportQueue;
  readonly inForce: SetInForce;
  readonly link: OriginLink;
  readonly relay: SimulatedRelay;
}

export class SimulatedEdge {
  readonly peer: ConnectedPeer;
  readonly disk: SimulatedDisk;
  readonly #options: EdgeOptions;
  #running: Running | undefined;
  skewMs = 0;
  starts = 0;
  isUp = false;
  /** On its disk, as what a purge does to stored responses is. */
  readonly seenPurges: SeenPurge[] = [];
  /** What each acknowledged report says; no two say the same. */
  readonly acknowledged: string[] = [];
  /** Of those, given up by the queue's own policy. */
  dropped = 0;

  constructor(options: EdgeOptions) {
    this.#options = options;
    this.peer = options.peer;
    this.disk = new SimulatedDisk(options.plants.forgets);
  }

  get name(): string {
    return this.peer.name;
  }

  get running(): Running | undefined {
    return this.#running?.process.isAlive === true ? this.#running : undefined;
  }

  /** What it answers by. */
  get applied(): Watermark | undefined {
    return this.running?.inForce.watermark;
  }

  start(): void {
    const { time, plants } = this.#options;
    this.starts += 1;
    const process = new SimulatedProcess(this.name, time, {
      skewMs: () => this.skewMs,
      ...(plants.monotonicMs === undefined ? {} : { monotonicMs: plants.monotonicMs }),
    });
    process.onKill(() => {
      this.isUp = false;
    });
    try {
      this.#open(process);
    } catch (error) {
      if (!(error instanceof ProcessKilled) && !isFailure(error, "disk-full")) throw error;
      process.kill();
    }
  }

  /** Acknowledged to whoever reports once it is on the disk; where the process is killed before, never. */
  report(value: object): void {
    const acknowledge = (): void => void this.acknowledged.push(JSON.stringify(value));
    this.running?.reports.push({ kind: "session-ended", value }).then(acknowledge, (error: unknown) => {
      if (!isFailure(error, "disk-full") && !isFailure(error, "overloaded")) throw error;
    });
  }

  kill(): void {
    this.#running?.process.kill();
  }

  [Symbol.dispose](): void {
    this.kill();
    this.disk[Symbol.dispose]();
  }

  #open(process: SimulatedProcess): void {
    const { plants, events, random } = this.#options;
    const { clock } = process;
    const open = (name: string, migrations: readonly string[]) => this.disk.open(process, name, migrations);
    const trusted = {
      pool: this.peer.pool,
      keys: () => new Map([[STREAM_KEY.keyId, STREAM_KEY.publicKey]]),
      mints: () => [STREAM_KEY.publicKey],
    };
    const stored = new PoolSet(open(SET_FILE, POOL_SET_MIGRATIONS), trusted);
    const set = plants.set?.(stored) ?? stored;
    const purges = new AppliedPurges(open(PURGES_FILE, APPLIED_PURGES_MIGRATIONS), () => undefined);
    const queue = open(REPORTS_FILE, REPORT_QUEUE_MIGRATIONS);
    const reports = new ReportQueue(plants.reports?.(queue) ?? queue, {
      ...{ clock, random, bytesMax: REPORTS_BYTES_MAX },
      events: {
        reportsDropped: (_kind, count) => {
          this.dropped += count;
        },
        ...UNHEARD,
      },
    });
    const settled = { set, store: { settling: undefined }, onApplied: () => undefined, onLate: () => undefined };
    const inForce = new SetInForce(settled);
    let view = viewOf(set.resources, this.peer.pool);
    const applySet = (): void => {
      const before = view;
      view = viewOf(set.resources, this.peer.pool);
      this.#applyPurges(set.watermark, purges, view);
      inForce.applied(before.sites, view.sites);
    };
    applySet();
    const incarnation = random.uuid();
    const relay = this.#relayOf(process, set);
    const link = new OriginLink({
      ...{ set, reports, clock, random, incarnation },
      connect: this.#options.network().connectFrom(process, this.peer),
      route: (signal) => relay.route.next(signal),
      originTime: { heard: () => undefined },
      softwareVersion: "simulated",
      status: () => this.#status(incarnation, inForce.watermark),
      onBatch: (_envelope: SignedBatch) => {
        applySet();
        relay.applied();
      },
      onUp: () => {
        this.isUp = true;
        relay.up();
        events.up(this);
      },
      onDown: (reason) => {
        this.isUp = false;
        if (process.isAlive) events.down(this, reason);
      },
      events: {
        batchRefused: (failure) => {
          events.refused(this, failure);
          relay.refused(failure);
        },
        originRefused: () => undefined,
        linkFailed: () => undefined,
        storageFailed: () => undefined,
      },
    });
    reports.onCommitted(() => link.sendReports());
    // Whoever is killed while it takes a message leaves its link with that error, which nobody else awaits.
    process.onKill(() => void link[Symbol.asyncDispose]().catch(() => undefined));
    this.#running = { process, set, reports, inForce, link, relay };
  }

  #relayOf(process: SimulatedProcess, set: PoolSet): SimulatedRelay {
    const { plants, events, random } = this.#options;
    const { peer } = this;
    const network = this.#options.network();
    return new SimulatedRelay({
      ...{ peer, process, set, random, plants },
      direct: network.connectFrom(process, peer),
      dial: ({ name: to }, signal) => network.dialSibling({ process, peer, to }, signal),
      linkedBy: (relay) => events.linkedBy(this, relay),
    });
  }

  #applyPurges(watermark: Watermark | undefined, purges: AppliedPurges, { purges: wanted }: DesiredView): void {
    if (watermark === undefined) return;
    purges.apply(watermark.epoch, wanted, ({ match }) => {
      const path = match.kind === "paths" ? match.paths.join() : match.kind;
      this.seenPurges.push({ path, atWatermark: watermark, start: this.starts });
    });
  }

  #status(incarnation: string, watermark: Watermark | undefined) {
    return {
      ...{ incarnation, softwareVersion: "simulated", contentUrl: "http://edge.simulated", hostname: "edge.simulated" },
      ...{ epoch: watermark?.epoch ?? 0, appliedRevision: watermark?.revision ?? 0 },
      ...{ storeBytesUsed: 0, storeBytesMax: 0, certificateExpiresAtMs: 0 },
      ...{ conditions: [], sites: [], agents: [], peerAddress: peerAddressOf(this.name) },
    };
  }
}

export function peerAddressOf(name: string): string {
  return `${name}.simulated:7600`;
}
