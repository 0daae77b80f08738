/**
 * A front process: takes connections at the port that it shares, answers what it has copies of, and brings everything
 * else to the main process. It knows no upstream and no store, and ends with the main process.
 */
import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { type Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { AccessLog } from "../access-log/access-log.ts";
import { openAccessLog } from "../access-log/open-access-log.ts";
import { Front, startFrontListener } from "../front/front.ts";
import { CopiedHits } from "./copied-hits.ts";
import type { FrontTls } from "./front-tls.ts";
import type { FromFront, FromMain, Secrets } from "./messages.ts";
import { RemoteLane } from "./remote-lane.ts";
import { Tally } from "./tally.ts";

const COUNTS_MS = 1_000;

type Start = Extract<FromMain, { kind: "start" }>;

export interface FrontProcessOptions {
  readonly clock: Clock;
  /** Resolves once the channel has taken it. */
  readonly send: (message: FromFront) => Promise<void>;
  /** It has ended in order, and all is told. */
  readonly onStopped: () => void;
}

export class FrontProcess {
  readonly #options: FrontProcessOptions;
  readonly #tally = new Tally();
  readonly #hits: CopiedHits;
  readonly #listeners = new AsyncDisposableStack();
  readonly #behind = new AsyncDisposableStack();
  #front: Front | undefined;
  #tls: FrontTls | undefined;
  /** The latest. */
  #secrets: Secrets | undefined;
  #log: AccessLog | undefined;
  #carriers: string | undefined;

  constructor(options: FrontProcessOptions) {
    this.#options = options;
    this.#hits = new CopiedHits((message) => void options.send(message));
  }

  /** One after the other, as they were sent. */
  receive(message: FromMain): void {
    switch (message.kind) {
      case "start":
        this.#start(message).catch((error: unknown) => this.#fail(error));
        break;
      case "secrets":
        this.#secrets = message.secrets;
        this.#tls?.replace(message.secrets);
        break;
      case "copy":
        this.#hits.take(message.asked, message.stored);
        break;
      case "drop":
        this.#hits.drop(message.cacheKey);
        break;
      case "order":
        this.#hits.apply(message.order);
        break;
      case "forget":
        this.#hits.forget(message.site);
        break;
      case "reopen-log":
        this.#log?.reopen();
        break;
      case "stop":
        void this.#stop(message.graceMs);
    }
    if ("id" in message) void this.#options.send({ kind: "done", id: message.id });
  }

  async #start({ http, tls, carriers, accessLog }: Start): Promise<void> {
    const { clock, send } = this.#options;
    this.#carriers = carriers;
    const accessLogFailed = ({ message }: Failure) => void send({ kind: "log-failed", message });
    const logEvents = { ...this.#tally.events, accessLogFailed };
    this.#log = await openAccessLog(accessLog, { clock, events: logEvents, isShared: true });
    if (this.#log !== undefined) this.#behind.use(this.#log);
    const full = new RemoteLane(carriers);
    const { events, usage } = this.#tally;
    const front = new Front({ finder: this.#hits, clock, events, log: this.#log, full, usage });
    this.#front = front;
    this.#behind.use(clock.every(COUNTS_MS, () => this.#tell()));
    const listener = this.#listeners.use(await startFrontListener(http, front, { reusePort: true }));
    if (tls === undefined) return await send({ kind: "listening", http: listener.address });
    const { startFrontTls } = await import("./front-tls.ts");
    const secrets = this.#secrets ?? tls.secrets;
    this.#tls = this.#listeners.use(await startFrontTls(tls.address, secrets, { front, full, events, clock }));
    await send({ kind: "listening", http: listener.address, tls: this.#tls.address });
  }

  #tell(): Promise<void> {
    return this.#options.send({ kind: "counted", counts: this.#tally.take(this.#hits.takeUsed()) });
  }

  /** The main process is gone, and cannot clean up. */
  abandoned(): void {
    if (this.#carriers !== undefined) rmSync(dirname(this.#carriers), { recursive: true, force: true });
  }

  /** Its listeners first, so that the other processes are given what comes. */
  async #stop(graceMs: number): Promise<void> {
    await this.#listeners.disposeAsync();
    await this.#front?.stop(graceMs);
    await this.#behind.disposeAsync();
    await this.#tell();
    this.#options.onStopped();
  }

  async #fail(error: unknown): Promise<void> {
    if (!isFailure(error)) throw error;
    await this.#options.send({ kind: "failed", message: error.message });
    this.#options.onStopped();
  }
}
