/** Writes files so that a crash at any instant leaves the old or the new content, never a part: temporary, fsync, rename. */
import { open, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Failure } from "#domain/failure.ts";

const TEMPORARY_SUFFIX = ".perigee-tmp";
/** Readable and writable by the owner only, where the caller does not say. */
const MODE_DEFAULT = 0o600;

let temporaries = 0;

/** True for the name of a file that a crash may have left beside its target; safe to remove at start. */
export function isTemporaryName(name: string): boolean {
  return name.startsWith(".") && name.endsWith(TEMPORARY_SUFFIX);
}

/** A name in the target's folder that no other writer uses while this process lives. */
export function temporaryPath(path: string): string {
  temporaries += 1;
  return join(dirname(path), `.${basename(path)}.${process.pid}.${temporaries}${TEMPORARY_SUFFIX}`);
}

/** Turns a file system error into `disk-full` or `storage-failed`. */
export function storageFailure(error: unknown, path: string): Failure {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new Failure("disk-full", `${path}: no space is left; free some on its disk`, {
      retryable: true,
      cause: error,
    });
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new Failure("storage-failed", `${path}: ${reason}`, { cause: error });
}

/** Makes names that were added to or removed from a folder survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function writeSynced(path: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  const file = await open(path, "w", mode);
  try {
    await file.chmod(mode);
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Puts a synced temporary file in place of `path`. Throws `disk-full` or `storage-failed`. */
export async function renameDurably(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
    await syncFolder(dirname(to));
  } catch (error) {
    throw storageFailure(error, to);
  }
}

/** Replaces `path` whole; once it resolves, the content survives a power cut. Throws `disk-full` or `storage-failed`. */
export async function writeFileDurably(path: string, bytes: Uint8Array | string, mode = MODE_DEFAULT): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    await writeSynced(temporary, bytes, mode);
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    // Best effort: a temporary that stays is recognised by its name and removed at the next start.
    await unlink(temporary).catch(() => undefined);
    throw storageFailure(error, path);
  }
}
