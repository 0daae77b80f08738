/** Times as people give them to a command: a date or a time, of UTC where it names no zone. Pure. */
import { Failure } from "#domain/failure.ts";

const TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})?)?$/;

/** Milliseconds since the epoch. Throws `argument-invalid` with the option's name. */
export function timeOf(text: string, option: string): number {
  const [, time, , , zone] = TIME.exec(text) ?? [];
  const ms = TIME.test(text) ? Date.parse(time !== undefined && zone === undefined ? `${text}Z` : text) : Number.NaN;
  if (Number.isNaN(ms)) {
    throw new Failure("argument-invalid", `${option} must be like 2026-11-01 or 2026-11-01T10:00, got ${text}`);
  }
  return ms;
}
