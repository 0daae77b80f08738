/** 64-bit integers of the wire as numbers: exact, or refused. Pure. */
import { Failure } from "#domain/failure.ts";

/** Throws `argument-invalid` beyond 2^53 - 1: no revision or time comes near. */
export function fromUint64(value: bigint, what: string): number {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw new Failure("argument-invalid", `${what} must be at most ${Number.MAX_SAFE_INTEGER}, got ${value}`);
}

export function toUint64(value: number): bigint {
  return BigInt(value);
}
