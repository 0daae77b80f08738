/** Warm processes that wait for a session, and what starting them says of this machine's GPU and encoder. */
import { Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { backoffMs } from "#platform/concurrency/retry.ts";
import type { Random } from "#platform/random.ts";
import type { SessionProcess, StartProcess } from "./session-process.ts";

const RESTART = { attemptsMax: 1, baseMs: 1_000, capMs: 30_000 };
const DOUBLINGS_MAX = 10;
/**
 * A process that starts takes a core, which the session that took its predecessor comes up with. It is as nice as any:
 * without CAP_SYS_NICE or an RLIMIT_NICE of 20, as services and containers are run, a niceness cannot be lowered again.
 */
export const REFILL_AFTER_MS = 500;

export type HostHealth =
  | { readonly kind: "starting" }
  | { readonly kind: "good"; readonly adapterName: string; readonly isSoftware: boolean }
  | { readonly kind: "failed"; readonly failure: Failure };

export interface SparesOptions {
  readonly count: number;
  readonly start: StartProcess;
  readonly clock: Clock;
  readonly random: Random;
  readonly onHealth: (health: HostHealth) => void;
}

interface Wait {
  /** Only so that a session comes up by itself. */
  readonly isCourtesy: boolean;
}

export class Spares implements AsyncDisposable {
  readonly #options: SparesOptions;
  readonly #warm = new Set<SessionProcess>();
  readonly #starting = new Set<Promise<SessionProcess>>();
  readonly #stopping = new AbortController();
  #health: HostHealth = { kind: "starting" };
  #failures = 0;
  /** No more are started until it is over. */
  #wait: Wait | undefined;

  constructor(options: SparesOptions) {
    this.#options = options;
    this.#refill();
  }

  get health(): HostHealth {
    return this.#health;
  }

  /** A warm one, else the next to be so. Throws `gpu-unavailable`, `encoder-unavailable`, `unavailable`, `deadline-exceeded`. */
  async take(): Promise<SessionProcess> {
    this.#stopping.signal.throwIfAborted();
    for (const process of this.#warm) {
      this.#warm.delete(process);
      this.#refillLater(REFILL_AFTER_MS, { isCourtesy: true });
      return process;
    }
    const [next] = this.#starting;
    if (next === undefined) return this.#start();
    this.#starting.delete(next);
    return next;
  }

  /** Resolves when none is starting or about to, which takes a core: what is measured meanwhile is not the machine. */
  async settled(): Promise<void> {
    if (this.#wait?.isCourtesy === true) this.#endWait(this.#wait);
    while (this.#starting.size > 0) await Promise.allSettled(this.#starting);
  }

  /** Takes back what was used for nothing that lasts; one too many is stopped. */
  giveBack(process: SessionProcess): void {
    this.#keep(process);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Failure("unavailable", "the agent is stopping"));
    const started = await Promise.allSettled(this.#starting);
    const processes = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const all = [...this.#warm, ...processes];
    for (const process of all) process.stop("stopping");
    await Promise.all(all.map(({ ended }) => ended));
  }

  /** Brings the count up again, one after the other: starting takes a core. One is started anyway, to know the GPU. */
  #refill(): void {
    const { count } = this.#options;
    const wanted = this.#health.kind === "good" ? count : Math.max(1, count);
    const isFull = this.#warm.size + this.#starting.size >= wanted;
    if (isFull || this.#starting.size > 0 || this.#wait !== undefined || this.#stopping.signal.aborted) return;
    const starting = this.#start();
    this.#starting.add(starting);
    starting.then(
      (process) => {
        // Whoever took it while it was starting has it.
        if (this.#starting.delete(starting)) this.#keep(process);
        this.#refill();
      },
      () => {
        this.#starting.delete(starting);
        this.#retryLater();
      },
    );
  }

  #keep(process: SessionProcess): void {
    if (this.#warm.size >= this.#options.count || this.#stopping.signal.aborted) {
      process.stop("not-needed");
      return;
    }
    this.#warm.add(process);
    process.ended.then(() => {
      if (this.#warm.delete(process)) this.#retryLater();
    }, undefined);
  }

  async #start(): Promise<SessionProcess> {
    try {
      const process = await this.#options.start();
      const { adapterName, isSoftware } = process;
      this.#failures = 0;
      this.#note({ kind: "good", adapterName, isSoftware });
      return process;
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#failures += 1;
      if (!this.#stopping.signal.aborted) this.#note({ kind: "failed", failure: error });
      throw error;
    }
  }

  #retryLater(): void {
    const { random } = this.#options;
    this.#refillLater(backoffMs(RESTART, Math.min(Math.max(1, this.#failures), DOUBLINGS_MAX), random), {
      isCourtesy: false,
    });
  }

  #refillLater(waitMs: number, wait: Wait): void {
    if (this.#wait !== undefined) return;
    this.#wait = wait;
    const { clock } = this.#options;
    clock.sleep(waitMs, this.#stopping.signal).then(
      () => this.#endWait(wait),
      () => undefined,
    );
  }

  #endWait(wait: Wait): void {
    if (this.#wait !== wait) return;
    this.#wait = undefined;
    this.#refill();
  }

  #note(health: HostHealth): void {
    this.#health = health;
    this.#options.onHealth(health);
  }
}
