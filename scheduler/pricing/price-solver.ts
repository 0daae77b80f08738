/** Solves prices in a thread of their own, one problem at a time; a solve that hangs ends with its thread. */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { Failure } from "#domain/failure.ts";
import type { PriceProblem, PriceSolution } from "#domain/placement/prices.ts";

/** Twenty times what 5,000 cells with 32 pools each take. */
export const SOLVE_MS_MAX = 10_000;
/** MiB of the thread's heap: a problem of 20,000 cells is some megabytes. */
const THREAD_HEAP_MIB_MAX = 128;

export interface SolveQuestion {
  readonly problem: PriceProblem;
  readonly previous: Float64Array | undefined;
}

export interface SolveAnswer {
  readonly solution: PriceSolution;
  /** Of the thread. */
  readonly cpuMs: number;
}

export class PriceSolver implements AsyncDisposable {
  #worker: Worker | undefined;
  #isBusy = false;

  /** Throws `overloaded` while another is being solved, `unavailable` where the thread failed or took too long. */
  async solve(problem: PriceProblem, previous?: Float64Array): Promise<SolveAnswer> {
    if (this.#isBusy) throw new Failure("overloaded", "prices are being solved: ask again when they are");
    this.#isBusy = true;
    try {
      return await this.#ask({ problem, previous });
    } catch (error) {
      await this.#end();
      throw error;
    } finally {
      this.#isBusy = false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }

  #ask(question: SolveQuestion): Promise<SolveAnswer> {
    this.#worker ??= new Worker(join(import.meta.dirname, "price-solver-thread.ts"), {
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MIB_MAX },
    });
    const worker = this.#worker;
    const { promise, resolve, reject } = Promise.withResolvers<SolveAnswer>();
    const late = AbortSignal.timeout(SOLVE_MS_MAX);
    const fail = (cause: unknown): void =>
      reject(new Failure("unavailable", "the thread that solves prices failed", { cause }));
    const exited = (status: number): void => fail(new Error(`it ended with status ${status}`));
    const timedOut = (): void => fail(late.reason);
    worker.once("message", resolve).once("error", fail).once("exit", exited);
    late.addEventListener("abort", timedOut);
    worker.postMessage(question);
    return promise.finally(() => {
      worker.off("message", resolve).off("error", fail).off("exit", exited);
      late.removeEventListener("abort", timedOut);
    });
  }

  async #end(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
}
