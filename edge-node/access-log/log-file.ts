/** A file that lines are added to. When it is renamed or removed under it, as logrotate does, it is begun anew. */
import { type FileHandle, open, stat } from "node:fs/promises";
import { Failure } from "#domain/failure.ts";
import { fileReasonOf } from "#platform/files/reason.ts";
import type { LineSink } from "./access-log.ts";

export class LogFile implements LineSink {
  readonly #path: string;
  #file: FileHandle | undefined;
  #isReopened = false;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  /** Throws `storage-failed`. */
  static async open(path: string): Promise<LogFile> {
    return new LogFile(path, await openToAppend(path));
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      if (this.#isReopened || !(await this.#isInPlace())) await this.#openAnew();
      await this.#file?.appendFile(bytes);
    } catch (error) {
      throw new Failure("storage-failed", `the access log ${this.#path} cannot be written: ${fileReasonOf(error)}`, {
        cause: error,
      });
    }
  }

  reopen(): void {
    this.#isReopened = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  /** Whether the path still leads to the file that is open. */
  async #isInPlace(): Promise<boolean> {
    if (this.#file === undefined) return false;
    const [held, found] = await Promise.all([this.#file.stat(), stat(this.#path).catch(() => undefined)]);
    return found !== undefined && found.ino === held.ino && found.dev === held.dev;
  }

  async #openAnew(): Promise<void> {
    this.#isReopened = false;
    const before = this.#file;
    this.#file = undefined;
    await before?.close();
    this.#file = await openToAppend(this.#path);
  }
}

async function openToAppend(path: string): Promise<FileHandle> {
  try {
    return await open(path, "a");
  } catch (error) {
    throw new Failure("storage-failed", `the access log ${path} cannot be opened: ${fileReasonOf(error)}`, {
      cause: error,
    });
  }
}
