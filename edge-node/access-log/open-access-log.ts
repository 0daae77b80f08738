/** Opens the access log that an operator asks for: `off`, `-` for standard output, or a file. */
import type { Clock } from "#platform/clock.ts";
import { AccessLog, type AccessLogEvents, type LineSink } from "./access-log.ts";
import { LogFile } from "./log-file.ts";

/** So much a pipe takes as one (PIPE_BUF of Linux): lines of several processes do not run into one another. */
const PIPE_BYTES = 4_096;
const NEWLINE = 0x0a;

export interface AccessLogTools {
  readonly clock: Clock;
  readonly events: AccessLogEvents;
  /** Whether other processes write there too. */
  readonly isShared?: boolean;
}

/** `undefined` for `off`. Throws `storage-failed` for a file that cannot be opened. */
export async function openAccessLog(where: string, tools: AccessLogTools): Promise<AccessLog | undefined> {
  const { clock, events, isShared = false } = tools;
  if (where === "off") return undefined;
  const sink = where === "-" ? standardOutput(isShared) : await LogFile.open(where);
  return new AccessLog({ sink, clock, events });
}

function standardOutput(isShared: boolean): LineSink {
  const write = (bytes: Uint8Array): Promise<void> =>
    new Promise((resolve) => {
      process.stdout.write(bytes, () => resolve());
    });
  return {
    async write(bytes) {
      if (!isShared) return await write(bytes);
      for (const lines of wholeLines(bytes, PIPE_BYTES)) await write(lines);
    },
    reopen: () => undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Pieces of whole lines, of `bytesMax` at most where a line alone is not longer. */
export function* wholeLines(bytes: Uint8Array, bytesMax: number): Generator<Uint8Array> {
  for (let from = 0; from < bytes.byteLength; ) {
    const isRest = bytes.byteLength - from <= bytesMax;
    const last = isRest ? bytes.byteLength - 1 : bytes.lastIndexOf(NEWLINE, from + bytesMax - 1);
    const end = last >= from ? last : bytes.indexOf(NEWLINE, from);
    const to = end < 0 ? bytes.byteLength : end + 1;
    yield bytes.subarray(from, to);
    from = to;
  }
}
