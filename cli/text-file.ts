/** Reads the text files that a command names. */
import { readFileSync } from "node:fs";
import { Failure } from "#domain/failure.ts";
import { fileReasonOf } from "#platform/files/reason.ts";

/** Throws `argument-invalid` with `shown` and the system's reason. */
export function readTextFile(path: string, shown = path): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw unreadable(shown, cause);
  }
}

export function unreadable(shown: string, cause: unknown): Failure {
  return new Failure("argument-invalid", `${shown} cannot be read: ${fileReasonOf(cause)}`, { cause });
}
