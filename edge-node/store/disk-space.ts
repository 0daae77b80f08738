/** What the disk tier may take and takes: reserved before it is written, given back when the file is gone. */
import { join } from "node:path";
import { Failure } from "#domain/failure.ts";
import { removeFile } from "./body-file.ts";
import type { DiskIndex, DroppedRow } from "./disk-index.ts";

/** Folders that share the files. */
const FOLDERS = 64;

export interface StoreUsage {
  readonly bytes: number;
  readonly bytesMax: number;
  readonly objects: number;
}

export interface DiskSpaceOptions {
  readonly folder: string;
  readonly bytesMax: number;
  readonly index: DiskIndex;
  readonly onEvicted: (objects: number) => void;
}

export class DiskSpace {
  readonly #options: DiskSpaceOptions;
  #bytes: number;
  #objects: number;
  #reservedBytes = 0;
  /** Files are removed as they were dropped: those of one step at once. */
  #removing: Promise<void> = Promise.resolve();

  constructor(options: DiskSpaceOptions) {
    this.#options = options;
    ({ bytes: this.#bytes, objects: this.#objects } = options.index.usage());
  }

  get usage(): StoreUsage {
    return { bytes: this.#bytes + this.#reservedBytes, bytesMax: this.#options.bytesMax, objects: this.#objects };
  }

  pathOf(file: string): string {
    return join(this.#options.folder, "bodies", folderOf(file), file);
  }

  /** Evicts until `bytes` more are within the quota, and takes them; throws `disk-full` where they never are. */
  async reserve(bytes: number, key: string): Promise<void> {
    const { bytesMax, index, onEvicted } = this.#options;
    const over = () => this.#bytes + this.#reservedBytes + bytes - bytesMax;
    if (over() > 0) await this.#removing;
    while (over() > 0) {
      const dropped = index.evict(over());
      if (dropped.length === 0)
        throw new Failure("disk-full", `${key}: ${bytes} bytes more are over the store's quota`);
      onEvicted(dropped.length);
      await this.forget(dropped);
    }
    this.#reservedBytes += bytes;
  }

  release(bytes: number): void {
    this.#reservedBytes -= bytes;
  }

  added(bytes: number): void {
    this.#bytes += bytes;
    this.#objects += 1;
  }

  /** Of a step: tens of rows. Resolves once the files are gone. */
  forget(dropped: readonly DroppedRow[]): Promise<void> {
    this.#objects -= dropped.length;
    this.#removing = this.#removing.then(async () => {
      await Promise.all(dropped.map((row) => this.#remove(row)));
    });
    return this.#removing;
  }

  async #remove({ file, bytes }: DroppedRow): Promise<void> {
    await removeFile(this.pathOf(file));
    this.#bytes -= bytes;
  }
}

export function folderNames(): readonly string[] {
  return Array.from({ length: FOLDERS }, (_, name) => String(name));
}

function folderOf(file: string): string {
  return String(Number(file.split("-")[1]) % FOLDERS);
}
