/** Retries a call that failed for a reason that may pass: bounded count, full jitter, inside the caller's deadline. */
import { assert } from "#domain/assert.ts";
import { isFailure } from "#domain/failure.ts";
import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";

export interface RetryPolicy {
  /** Calls in all, the first included. */
  readonly attemptsMax: number;
  /** Ceiling of the first wait; it doubles from wait to wait. */
  readonly baseMs: number;
  /** Ceiling of every wait. */
  readonly capMs: number;
}

export interface RetryContext {
  readonly clock: Clock;
  readonly random: Random;
  /** The deadline of all attempts together. */
  readonly signal: AbortSignal;
}

/** Wait before attempt `attempt + 1`, uniform below the ceiling: "full jitter" of Brooker, AWS Architecture Blog, 2015. */
export function backoffMs(policy: RetryPolicy, attempt: number, random: Random): number {
  return random.ratio() * Math.min(policy.capMs, policy.baseMs * 2 ** (attempt - 1));
}

/** Calls `attempt` with 1, 2, …; throws the last error once attempts or time are spent or the error is not retryable. */
export async function retry<T>(
  policy: RetryPolicy,
  context: RetryContext,
  attempt: (signal: AbortSignal, number: number) => Promise<T>,
): Promise<T> {
  assert(policy.attemptsMax >= 1, `attemptsMax must be at least 1, got ${policy.attemptsMax}`);
  for (let number = 1; ; number += 1) {
    context.signal.throwIfAborted();
    try {
      return await attempt(context.signal, number);
    } catch (error) {
      const mayPass = isFailure(error) && error.retryable && number < policy.attemptsMax;
      if (!mayPass || context.signal.aborted) throw error;
      await context.clock.sleep(backoffMs(policy, number, context.random), context.signal);
    }
  }
}
