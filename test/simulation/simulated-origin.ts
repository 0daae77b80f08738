/** A simulated origin: the production log, records, distribution and NodeSync on a simulated disk; killed and started again. */
import { EPOCH_CONTEXT, epochBytes } from "#domain/desired-state.ts";
import { Failure } from "#domain/failure.ts";
import { Members } from "#origin/enrolment/members.ts";
import { PeerAddresses } from "#origin/enrolment/peer-addresses.ts";
import type { LocalLog } from "#origin/log/resource-log.ts";
import { SQLITE_LOG_MIGRATIONS, sqliteLogOn } from "#origin/log/sqlite-log.ts";
import { Distribution } from "#origin/node-rpc/distribution.ts";
import { type NodeLinkEvents, serveNodes } from "#origin/node-rpc/node-sync.ts";
import { ObservedNodes } from "#origin/observed/observed-nodes.ts";
import { RECORDS_MIGRATIONS, type Records, recordsOn } from "#origin/records/records.ts";
import { importPrivateKey, signBytes } from "#platform/identity/signatures.ts";
import { SimulatedDisk } from "./simulated-disk.ts";
import type { Listener } from "./simulated-network.ts";
import { type ClockFaults, ProcessKilled, SimulatedProcess } from "./simulated-process.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** The same in every run: a signature, and so each byte, is told by the seed. It mints epochs as well. */
export const STREAM_KEY = importPrivateKey(`-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIHNpbXVsYXRlZC1zdHJlYW0ta2V5LW9mLTMyLWJ5dGVz
-----END PRIVATE KEY-----
`);

export const LOG_FILE = "log";
const RECORDS_FILE = "records";

/** What a planted bug replaces. */
export interface OriginPlants {
  readonly log?: (log: LocalLog) => LocalLog;
  readonly records?: (records: Records) => Records;
  readonly monotonicMs?: ClockFaults["monotonicMs"];
  /** Nobody hears of what is written later. */
  readonly followsNothing?: boolean;
  /** The file whose last commit is gone after a crash. */
  readonly forgets?: string;
}

export interface OriginOptions {
  readonly time: VirtualClock;
  readonly events: NodeLinkEvents;
  readonly plants: OriginPlants;
}

interface Running extends Listener {
  readonly log: LocalLog;
  readonly observed: ObservedNodes;
  readonly distribution: Distribution;
  readonly stopping: AbortController;
}

export class SimulatedOrigin {
  readonly #options: OriginOptions;
  readonly disk: SimulatedDisk;
  #running: Running | undefined;
  /** Of its wall clock. */
  skewMs = 0;
  /** Starts so far: who looks at it sees by it that this is another process. */
  starts = 0;

  constructor(options: OriginOptions) {
    this.#options = options;
    this.disk = new SimulatedDisk(options.plants.forgets);
  }

  /** `undefined` while no process of it lives. */
  get running(): Running | undefined {
    return this.#running?.process.isAlive === true ? this.#running : undefined;
  }

  start(): void {
    const { time, events, plants } = this.#options;
    const faults: ClockFaults = {
      skewMs: () => this.skewMs,
      ...(plants.monotonicMs === undefined ? {} : { monotonicMs: plants.monotonicMs }),
    };
    this.starts += 1;
    const process = new SimulatedProcess("origin", time, faults);
    const { clock } = process;
    const stored = sqliteLogOn(this.disk.open(process, LOG_FILE, SQLITE_LOG_MIGRATIONS), `start-${this.starts}`);
    const log = plants.log?.(stored) ?? stored;
    const kept = recordsOn(this.disk.open(process, RECORDS_FILE, RECORDS_MIGRATIONS));
    const records = plants.records?.(kept) ?? kept;
    const [members, observed, distribution] = [
      new Members(log),
      new ObservedNodes(),
      new Distribution(log, STREAM_KEY, () => ({
        signature: signBytes(EPOCH_CONTEXT, epochBytes(log.epoch), STREAM_KEY),
      })),
    ];
    const peerAddresses = new PeerAddresses(log, clock);
    const serve = serveNodes({ members, distribution, observed, peerAddresses, records, clock, events });
    const stopping = new AbortController();
    this.#running = { process, serve, log, observed, distribution, stopping };
    const followers = plants.followsNothing === true ? [] : [distribution.run(stopping.signal)];
    for (const follow of [...followers, members.follow(stopping.signal)]) follow.catch(ignoreDeath);
  }

  /** Records that are kept, whichever process wrote them. */
  records(): readonly { readonly node: string; readonly json: string }[] {
    return this.disk
      .read(RECORDS_FILE, "SELECT node, json FROM records")
      .map((row) => ({ node: String(row["node"]), json: String(row["json"]) }));
  }

  kill(): void {
    this.#running?.process.kill();
  }

  [Symbol.dispose](): void {
    this.#running?.stopping.abort(new Failure("unavailable", "the simulation has ended"));
    this.kill();
    this.disk[Symbol.dispose]();
  }
}

function ignoreDeath(error: unknown): void {
  if (!(error instanceof ProcessKilled)) throw error;
}
