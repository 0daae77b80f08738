/** One front process as the main one sees it: its channel, and what it still has to confirm. */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { Clock } from "#platform/clock.ts";
import type { Borrower, Order } from "./lending.ts";
import type { FromFront, FromMain } from "./messages.ts";

/** A process that takes no message for so long stands still: nobody waits for it any longer, it is killed. */
export const ORDER_MS_MAX = 2_000;

export type Told = Exclude<FromFront, { kind: "done" }>;

export interface FrontChildOptions {
  readonly clock: Clock;
  readonly onMessage: (message: Told) => void;
  /** It has not confirmed in time. */
  readonly onSilent: () => void;
  /** `why` is an exit code or a signal. */
  readonly onEnded: (why: string) => void;
}

export class FrontChild implements Borrower {
  readonly #options: FrontChildOptions;
  readonly #process: ChildProcess;
  readonly #unconfirmed = new Map<number, () => void>();
  readonly #ended = Promise.withResolvers<void>();
  #orders = 0;

  constructor(options: FrontChildOptions) {
    this.#options = options;
    // None of the flags that save an edge memory: it is there for speed.
    this.#process = fork(frontModule(), { serialization: "advanced", execArgv: [] });
    this.#process.on("message", (message: FromFront) => this.#receive(message));
    // What cannot be sent to a process that ends is told by its end; one that never began has none.
    this.#process.on("error", (error) => {
      if (this.#process.pid === undefined) this.#onEnded(error.message);
    });
    this.#process.once("exit", (code, signal) => this.#onEnded(signal ?? `exit code ${code}`));
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Resolves once the process is no more. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  send(message: FromMain): void {
    if (this.#process.connected) this.#process.send(message, () => undefined);
  }

  async order(order: Order): Promise<void> {
    const { clock, onSilent } = this.#options;
    this.#orders += 1;
    const id = this.#orders;
    const confirmed = Promise.withResolvers<void>();
    this.#unconfirmed.set(id, confirmed.resolve);
    this.send({ ...order, id });
    using _late = clock.timer(ORDER_MS_MAX, () => {
      onSilent();
      this.kill();
    });
    await Promise.race([confirmed.promise, this.#ended.promise]);
    this.#unconfirmed.delete(id);
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }

  #receive(message: FromFront): void {
    if (message.kind === "done") this.#unconfirmed.get(message.id)?.();
    else this.#options.onMessage(message);
  }

  #onEnded(why: string): void {
    this.#ended.resolve();
    this.#options.onEnded(why);
  }
}

/** Beside this module, or beside the bundle that it is a part of. */
function frontModule(): string {
  const name = import.meta.filename.endsWith(".ts") ? "main.ts" : "front-process.mjs";
  return join(import.meta.dirname, name);
}
