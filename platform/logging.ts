/** JSON log records by pino: one logger a program, secrets redacted. Imports nothing else: it is on the edge's start path. */
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from "pino";

export type { Logger } from "pino";

export const LOG_LEVELS = ["error", "warn", "info", "debug", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Field names whose values are never written, at the top of a record and one and two levels below. */
const SECRET_FIELDS = ["authorization", "cookie", '["set-cookie"]', "token", "key", "privateKey", "password"] as const;

function redactedPaths(): string[] {
  return SECRET_FIELDS.flatMap((field) => {
    const below = field.startsWith("[") ? field : `.${field}`;
    return [field, `*${below}`, `*.*${below}`];
  });
}

/** Writes to standard output unless a destination is given. A cache key goes under `cacheKey`: `key` is redacted. */
export function createLogger(options: {
  readonly program: string;
  readonly level: LogLevel;
  readonly destination?: DestinationStream;
}): Logger {
  const settings = {
    level: options.level,
    base: { program: options.program, pid: process.pid },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: redactedPaths(), censor: "[redacted]" },
  };
  return options.destination === undefined ? pino(settings) : pino(settings, options.destination);
}
