/** The segments of logs of decisions that a command is given. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "#domain/failure.ts";
import { LOG_KINDS } from "#scheduler/decision-log/decision-log.ts";
import { listSegmentNames } from "#scheduler/decision-log/segment-names.ts";
import { unreadable } from "../text-file.ts";

export interface LogFile {
  /** As a person knows it. */
  readonly file: string;
  readonly path: string;
}

/** Of each folder the oldest first. Throws `argument-invalid` where one has none. */
export function listLogFiles(folders: readonly string[]): readonly LogFile[] {
  return folders.flatMap((folder) => {
    const found: LogFile[] = [];
    for (const part of [".", ...LOG_KINDS]) {
      for (const { file } of listSegmentNames(readFolder(join(folder, part), part === "."))) {
        const path = join(folder, part, file);
        found.push({ file: folders.length === 1 ? join(part, file) : path, path });
      }
    }
    if (found.length > 0) return found;
    const message = `--log ${folder}: there is no segment of a log of decisions; a scheduler has it in dataDir/decisions, once it has decided on a session`;
    throw new Failure("argument-invalid", message);
  });
}

/** A segment may be dropped while others are read: then its decisions are none of the log any more. */
export function readLogFile({ path }: LogFile): Buffer {
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
