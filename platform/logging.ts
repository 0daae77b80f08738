/** The one place that makes loggers: JSON lines by pino, secrets redacted. */
import { type DestinationStream, type Logger, pino } from "pino";

export type { Logger };

export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Field names whose values never reach a log, at the top and one level down. */
const SECRET_FIELDS = [
  "authorization",
  "cookie",
  "set-cookie",
  "token",
  "joinToken",
  "appToken",
  "key",
  "privateKey",
  "proof",
];

export interface LoggerOptions {
  readonly program: string;
  readonly level: LogLevel;
  readonly destination?: DestinationStream;
}

export function createLogger({ program, level, destination }: LoggerOptions): Logger {
  const paths = SECRET_FIELDS.flatMap((field) => [`["${field}"]`, `*["${field}"]`]);
  const options = {
    level,
    base: { program },
    redact: { paths, censor: "[redacted]" },
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
