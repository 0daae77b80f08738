/** Opens the access log that an operator asks for: `off`, `-` for standard output, or a file. */
import type { Clock } from "#platform/clock.ts";
import { AccessLog, type AccessLogEvents, type LineSink } from "./access-log.ts";
import { LogFile } from "./log-file.ts";

export interface AccessLogTools {
  readonly clock: Clock;
  readonly events: AccessLogEvents;
}

/** `undefined` for `off`. Throws `storage-failed` for a file that cannot be opened. */
export async function openAccessLog(where: string, { clock, events }: AccessLogTools): Promise<AccessLog | undefined> {
  if (where === "off") return undefined;
  const sink = where === "-" ? standardOutput : await LogFile.open(where);
  return new AccessLog({ sink, clock, events });
}

const standardOutput: LineSink = {
  write: (bytes) =>
    new Promise((resolve) => {
      process.stdout.write(bytes, () => resolve());
    }),
  reopen: () => undefined,
  [Symbol.asyncDispose]: () => Promise.resolve(),
};
