/** Retries what may succeed when made again: bounded count, full jitter, within the caller's signal. */
import { isFailure } from "#domain/failure.ts";
import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";

export interface RetryOptions {
  readonly attemptsMax: number;
  readonly firstDelayMs: number;
  readonly delayMsMax: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** Uniform between 0 and the exponential bound ("full jitter", AWS Architecture Blog 2015). */
export function fullJitterMs(
  attempt: number,
  options: Pick<RetryOptions, "firstDelayMs" | "delayMsMax" | "random">,
): number {
  const bound = Math.min(options.delayMsMax, options.firstDelayMs * 2 ** Math.min(attempt, 30));
  return options.random.ratio() * bound;
}

/** Rethrows the last failure, and at once any that is not retryable. */
export async function retry<T>(run: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await run(attempt);
    } catch (error) {
      const mayRetry = isFailure(error) && error.retryable && attempt + 1 < options.attemptsMax;
      if (!mayRetry || options.signal.aborted) throw error;
    }
    await options.clock.sleep(fullJitterMs(attempt, options), options.signal);
  }
}
