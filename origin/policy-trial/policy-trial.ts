/** Simulates a change of policies and pools in a thread of its own: the origin goes on meanwhile. */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { Failure } from "#domain/failure.ts";
import type { Comparison } from "#domain/simulation/compare-days.ts";
import type { DayApp, DayPool } from "#domain/simulation/day.ts";
import type { WrittenPolicy } from "#platform/cel/worlds.ts";

/** Ten times what one takes with its start. */
const TRIAL_MS_MAX = 20_000;
/** MiB of the thread's heap: a day of 50,000 arrivals is some megabytes. */
const THREAD_HEAP_MIB_MAX = 256;

export interface TrialSide {
  readonly pools: readonly DayPool[];
  readonly policies: readonly WrittenPolicy[];
}

export interface TrialQuestion {
  readonly apps: readonly DayApp[];
  readonly before: TrialSide;
  readonly after: TrialSide;
}

export type TrialAnswer = Comparison;

export type PolicyTrial = (question: TrialQuestion) => Promise<TrialAnswer>;

/** One at a time; throws `overloaded` meanwhile, `unavailable` where the thread failed or took too long. */
export function createPolicyTrial(): PolicyTrial {
  let isBusy = false;
  return async (question) => {
    if (isBusy) {
      const message = "another change is being simulated for its guard-rails: try again in some seconds";
      throw new Failure("overloaded", message, { retryable: true });
    }
    isBusy = true;
    try {
      return await ask(question);
    } finally {
      isBusy = false;
    }
  };
}

async function ask(question: TrialQuestion): Promise<TrialAnswer> {
  const worker = new Worker(join(import.meta.dirname, "policy-trial-thread.ts"), {
    resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MIB_MAX },
  });
  const { promise, resolve, reject } = Promise.withResolvers<TrialAnswer>();
  const late = AbortSignal.timeout(TRIAL_MS_MAX);
  const fail = (cause: unknown): void => {
    const because = cause instanceof Error ? cause.message : String(cause);
    reject(new Failure("unavailable", `the simulation failed: ${because}`, { cause }));
  };
  worker.once("message", resolve).once("error", fail);
  worker.once("exit", (status) => fail(new Error(`its thread ended with status ${status}`)));
  late.addEventListener("abort", () => fail(late.reason));
  worker.postMessage(question);
  try {
    return await promise;
  } finally {
    await worker.terminate();
  }
}
