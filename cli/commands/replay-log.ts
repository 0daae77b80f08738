/** `perigee simulate --log`: every decision of a log made again by this program's core, and compared bit for bit. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { LogReplay } from "#scheduler/decision-log/replay-log.ts";
import { listSegmentNames } from "#scheduler/decision-log/segment-names.ts";
import { type Output, printValue } from "../output.ts";
import { unreadable } from "../text-file.ts";

const BYTES_A_MEBIBYTE = 1024 ** 2;

/** Throws `argument-invalid` where there is no log, and `storage-failed` where it is damaged or is decided otherwise. */
export function replayLogFolder(output: Output, folder: string, format: "text" | "json"): void {
  const files = listSegments(folder);
  const replay = new LogReplay();
  const begunMs = systemClock.monotonicMs();
  for (const file of files) replay.replaySegment(readSegment(join(folder, file)), file);
  const seconds = (systemClock.monotonicMs() - begunMs) / 1000;
  if (format === "json") printValue(output, "json", resultOf(replay, files.length, seconds));
  else for (const line of linesOf(replay, files.length, seconds)) output.line(line);
  if (replay.mismatched > 0 || replay.faulty > 0) throw failureOf(replay, folder);
}

function listSegments(folder: string): string[] {
  const found: string[] = [];
  for (const part of [".", "sessions", "steering"]) {
    const below = readFolder(join(folder, part), part === ".");
    found.push(...listSegmentNames(below).map(({ file }) => join(part, file)));
  }
  if (found.length > 0) return found;
  const message = `--log ${folder}: there is no segment of a log of decisions; a scheduler has it in dataDir/decisions`;
  throw new Failure("argument-invalid", message);
}

/** A segment may be dropped while others are read: then its decisions are none of the log any more. */
function readSegment(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return Buffer.alloc(0);
    throw unreadable(path, error);
  }
}

function readFolder(path: string, mustBe: boolean): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (!mustBe) return [];
    throw unreadable(`--log ${path}`, error);
  }
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
