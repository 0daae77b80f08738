/** `perigee simulate --log`: every decision of a log made again by this program's core, and compared bit for bit. */
import { Failure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { LogReplay } from "#scheduler/decision-log/replay-log.ts";
import { type Output, printValue } from "../output.ts";
import { listLogFiles, readLogFile } from "../simulation/log-files.ts";

const BYTES_A_MEBIBYTE = 1024 ** 2;

/** Throws `argument-invalid` where there is no log, and `storage-failed` where it is damaged or is decided otherwise. */
export function replayLogs(output: Output, folders: readonly string[], format: "text" | "json"): void {
  const files = listLogFiles(folders);
  const replay = new LogReplay();
  const begunMs = systemClock.monotonicMs();
  for (const file of files) replay.replaySegment(readLogFile(file), file.file);
  const seconds = (systemClock.monotonicMs() - begunMs) / 1000;
  if (format === "json") printValue(output, "json", resultOf(replay, files.length, seconds));
  else for (const line of linesOf(replay, files.length, seconds)) output.line(line);
  if (replay.mismatched > 0 || replay.faulty > 0) throw failureOf(replay, folders.join(", "));
}

function linesOf(replay: LogReplay, segments: number, seconds: number): string[] {
  const { sessions, contents, steps, bytes, mismatched, faulty, torn } = replay;
  const what = `${sessions} decisions on sessions (${steps} steps) and ${contents} on content`;
  const where = `${segments} segments of ${(bytes / BYTES_A_MEBIBYTE).toFixed(1)} MiB`;
  return [
    `${what} decided again in ${seconds.toFixed(1)} s, from ${where}`,
    mismatched === 0 ? "all come out as they are logged, bit for bit" : `${mismatched} come out otherwise`,
    ...replay.mismatches.map(({ decision, reason, file, offset }) => `${decision}: ${reason} (${file} at ${offset})`),
    ...(mismatched > replay.mismatches.length ? [`and ${mismatched - replay.mismatches.length} others`] : []),
    ...(torn === 0
      ? []
      : [`${torn} segments end in what was not written whole: of a scheduler that writes, or was killed`]),
    ...replay.faults.map(({ reason, file, offset }) => `damaged: ${file} at ${offset}: ${reason}`),
    ...(faulty > replay.faults.length ? [`and ${faulty - replay.faults.length} other faults`] : []),
  ];
}

function resultOf(replay: LogReplay, segments: number, seconds: number) {
  const { sessions, contents, steps, bytes, mismatched, mismatches, faulty, faults, torn } = replay;
  return { sessions, contents, steps, segments, bytes, seconds, mismatched, mismatches, faulty, faults, torn };
}

function failureOf({ mismatched, faulty, decisions }: LogReplay, folder: string): Failure {
  const otherwise = `${mismatched} of ${decisions} decisions come out otherwise than they are logged`;
  const cause = "the log is of another version's core, or was changed";
  const damaged = faulty === 0 ? "" : `; ${faulty} entries are damaged and were not decided again`;
  return new Failure("storage-failed", `${folder}: ${otherwise}${mismatched === 0 ? "" : `: ${cause}`}${damaged}`);
}
