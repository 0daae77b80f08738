/** Writes that survive a crash at any instant: temporary file, fsync, rename, fsync of the folder. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { Failure } from "#domain/failure.ts";

/** Replaces `path` by `bytes` or leaves it as it was; throws `disk-full` or `storage-failed`. */
export function writeFileDurably(path: string, bytes: Uint8Array | string, mode = 0o644): void {
  const temporary = `${path}.partial`;
  try {
    const descriptor = openSync(temporary, "w", mode);
    try {
      writeWhole(descriptor, typeof bytes === "string" ? Buffer.from(bytes) : bytes);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
    syncFolder(dirname(path));
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw storageFailure(`write ${path}`, cause);
  }
}

function writeWhole(descriptor: number, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.length) written += writeSync(descriptor, bytes, written);
}

/** Makes renames and removals in a folder durable. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** What failed on the disk, as a Failure whose code tells a full disk from the rest. */
export function storageFailure(what: string, cause: unknown): Failure {
  const code = errorCodeOf(cause);
  const isFull = code === "ENOSPC" || code === "EDQUOT";
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Failure(isFull ? "disk-full" : "storage-failed", `cannot ${what}: ${reason}`, { cause });
}

/** `ENOENT` and the like; `undefined` where the error has none. */
export function errorCodeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
