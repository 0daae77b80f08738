/** What a fuzzer of messages is: it makes one of a Random, has it read, and says what became of it. */
import { Failure, type FailureCode } from "#domain/failure.ts";
import type { Random } from "#platform/random.ts";

export type Outcome = "taken" | "refused";

export interface FuzzTarget {
  readonly name: string;
  /** How many of all cases, against those of the others. */
  readonly share: number;
  /** Throws where what was read is neither refused by name nor within its bounds. */
  run(random: Random): Outcome | Promise<Outcome>;
}

/** What `read` gives, `undefined` where it refuses by one of the codes; anything else it throws is a fault. */
export function readOrRefused<T>(read: () => T, ...codes: readonly FailureCode[]): T | undefined {
  try {
    return read();
  } catch (error) {
    checkRefusal(error, codes);
    return undefined;
  }
}

export function checkRefusal(error: unknown, codes: readonly FailureCode[]): void {
  if (!(error instanceof Failure)) throw error;
  if (!codes.includes(error.code)) throw new Error(`refused by ${error.code}: ${error.message}`);
}

/** Throws with what it was about. */
export function check(isRight: boolean, what: string): void {
  if (!isRight) throw new Error(what);
}

export function isIn(value: number, least: number, most: number): boolean {
  return value >= least && value <= most;
}
