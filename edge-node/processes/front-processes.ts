/** The front processes of an edge: started, told what they need, started again when they end, and stopped with it. */
import { Failure } from "#domain/failure.ts";
import type { Address } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import type { AccessLogEvents } from "../access-log/access-log.ts";
import type { EdgeEvents } from "../events.ts";
import type { FrontEvents } from "../front/front.ts";
import type { TlsEvents } from "../front/tls/tls-listener.ts";
import type { SiteTallies } from "../usage/site-tallies.ts";
import type { ProcessEvents } from "./events.ts";
import { FrontChild, type Told } from "./front-child.ts";
import type { Lending } from "./lending.ts";
import type { Counts, FromMain } from "./messages.ts";

const START_MS_MAX = 30_000;
/** After the first end, and doubled by each that follows within the time after which a process counts as sound. */
const RESTART_MS = 100;
const RESTART_DOUBLINGS_MAX = 7;
const SOUND_MS = 30_000;
/** Beyond the grace of its connections: it writes its log, and ends. */
const STOP_MS_MAX = 2_000;

type CountedEvents = Pick<EdgeEvents, "hits" | "sent" | "connectionRefused"> &
  Pick<FrontEvents, "published"> &
  Pick<AccessLogEvents, "accessLinesLost"> &
  Partial<Pick<TlsEvents, "handshakeDone" | "handshakeFailed">>;

export interface FrontProcessesOptions {
  /** Beside the main one. */
  readonly count: number;
  /** What a process is to start with now. */
  readonly start: () => Extract<FromMain, { kind: "start" }>;
  readonly lending: Lending;
  readonly clock: Clock;
  readonly events: ProcessEvents;
  readonly counted: CountedEvents;
  /** Without it nothing is counted by site. */
  readonly usage?: SiteTallies | undefined;
  /** For answers that are being sent when it stops. */
  readonly graceMs: number;
}

export interface FrontAddresses {
  readonly http: Address;
  readonly tls?: Address;
}

export class FrontProcesses implements AsyncDisposable {
  readonly #options: FrontProcessesOptions;
  readonly #children = new Map<FrontChild, FrontAddresses | undefined>();
  readonly #stopping = new AbortController();

  private constructor(options: FrontProcessesOptions) {
    this.#options = options;
  }

  /** Resolves once all listen. Throws `unavailable` where one cannot. */
  static async start(options: FrontProcessesOptions): Promise<FrontProcesses> {
    const processes = new FrontProcesses(options);
    try {
      await Promise.all(Array.from({ length: options.count }, () => processes.#start(0)));
      return processes;
    } catch (error) {
      await processes[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where each that listens does so. */
  get addresses(): readonly FrontAddresses[] {
    return [...this.#children.values()].filter((addresses) => addresses !== undefined);
  }

  tell(message: FromMain): void {
    for (const child of this.#children.keys()) child.send(message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { clock, graceMs } = this.#options;
    this.#stopping.abort();
    const children = [...this.#children.keys()];
    this.tell({ kind: "stop", graceMs });
    using _late = clock.timer(graceMs + STOP_MS_MAX, () => {
      for (const child of children) child.kill();
    });
    await Promise.all(children.map(({ ended }) => ended));
  }

  /** Resolves once it listens; `earlier` processes in its place have ended soon after their start. */
  async #start(earlier: number): Promise<void> {
    const { clock, events, lending, start } = this.#options;
    const listening = Promise.withResolvers<void>();
    const startedMs = clock.monotonicMs();
    const child: FrontChild = new FrontChild({
      clock,
      onMessage: (message) => {
        if (message.kind === "listening") {
          this.#children.set(child, message);
          this.#tellServing();
          listening.resolve();
        } else if (message.kind === "failed") listening.reject(new Failure("unavailable", message.message));
        else this.#receive(child, message);
      },
      onSilent: () => events.frontSilent(child.pid),
      onEnded: (why) => {
        const hasServed = this.#children.get(child) !== undefined;
        this.#children.delete(child);
        lending.leave(child);
        listening.reject(new Failure("unavailable", `a front process ended before it served: ${why}`));
        if (hasServed) this.#tellServing();
        if (hasServed || earlier > 0)
          this.#restart(child, why, clock.monotonicMs() - startedMs < SOUND_MS ? earlier : 0);
      },
    });
    this.#children.set(child, undefined);
    lending.join(child);
    child.send(start());
    using _late = clock.timer(START_MS_MAX, () => child.kill());
    await listening.promise;
  }

  #restart(child: FrontChild, why: string, earlier: number): void {
    if (this.#stopping.signal.aborted) return;
    const { clock, events } = this.#options;
    const againMs = RESTART_MS * 2 ** Math.min(earlier, RESTART_DOUBLINGS_MAX);
    events.frontEnded(child.pid, why, againMs);
    const again = async () => {
      await clock.sleep(againMs, this.#stopping.signal);
      await this.#start(earlier + 1);
    };
    // Told to stop meanwhile, or it ended again: that is told by its own end.
    again().catch(() => undefined);
  }

  #tellServing(): void {
    this.#options.events.frontsServing(this.addresses.length);
  }

  #receive(child: FrontChild, message: Exclude<Told, { kind: "listening" | "failed" }>): void {
    const { lending, events } = this.#options;
    switch (message.kind) {
      case "want":
        lending.lend(child, message);
        break;
      case "counted":
        this.#count(message.counts);
        break;
      case "log-failed":
        events.frontLogFailed(child.pid, message.message);
    }
  }

  #count(counts: Counts): void {
    const { counted, usage, lending, events } = this.#options;
    usage?.addAll(counts.usage);
    for (const [status, count] of counts.hits) {
      counted.hits(status, count);
      events.frontHits(count);
    }
    for (const [status, count] of counts.published) {
      counted.published?.(status, count);
      events.frontHits(count);
    }
    counted.sent(counts.sentBytes);
    if (counts.linesLost > 0) counted.accessLinesLost(counts.linesLost);
    for (const [because, count] of counts.connectionsRefused) repeat(count, () => counted.connectionRefused(because));
    for (const [because, count] of counts.handshakesFailed) repeat(count, () => counted.handshakeFailed?.(because));
    for (const [done, count] of counts.handshakes) {
      const [protocol, isResumed] = done.split(" ");
      repeat(count, () => counted.handshakeDone?.(protocol === "h2" ? "h2" : "http/1.1", isResumed === "true"));
    }
    lending.used(counts.used);
  }
}

function repeat(count: number, run: () => void): void {
  for (let turn = 0; turn < count; turn += 1) run();
}
