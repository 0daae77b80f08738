/** The segments of a log on disk: appended to, bounded in bytes and in age, the newest mended at start. */
import { type FileHandle, mkdir, open, readdir, readFile, stat, truncate, unlink } from "node:fs/promises";
import { join } from "node:path";
import { storageFailure } from "#platform/files/durable.ts";
import { fileReasonOf } from "#platform/files/reason.ts";
import { type SegmentEnd, segmentHeader, walkEntries } from "./entries.ts";
import { listSegmentNames, nameSegment, type SegmentName } from "./segment-names.ts";

/** Every session decision can be asked for so long. */
export const DECISIONS_KEPT_MS = 86_400_000;

interface StoredSegment extends SegmentName {
  bytes: number;
  /** Its decisions are not younger. */
  endedAtMs: number;
}

export interface MendedSegment {
  readonly file: string;
  readonly end: SegmentEnd;
  /** Taken off its end. */
  readonly bytesCut: number;
}

export class SegmentFolder {
  readonly #folder: string;
  readonly #bytesMax: number;
  /** The oldest first. */
  readonly #segments: StoredSegment[] = [];
  #open: { readonly segment: StoredSegment; readonly file: FileHandle } | undefined;
  #number = 0;

  constructor(folder: string, bytesMax: number) {
    this.#folder = folder;
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Takes what is there, and cuts off what a killed process had not written whole. Throws `disk-full` or `storage-failed`. */
  async load(): Promise<MendedSegment | undefined> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const names = listSegmentNames(await readdir(this.#folder));
      for (const [index, name] of names.entries()) {
        const { size } = await stat(join(this.#folder, name.file));
        const endedAtMs = names[index + 1]?.beganAtMs ?? name.beganAtMs;
        this.#segments.push({ ...name, bytes: size, endedAtMs });
        this.#number = name.number;
      }
    } catch (error) {
      throw storageFailure(error, this.#folder);
    }
    const newest = this.#segments.at(-1);
    if (newest === undefined) return undefined;
    return await this.#mend(newest).catch((error: unknown): MendedSegment => {
      return { file: newest.file, end: { kind: "corrupt", offset: 0, reason: fileReasonOf(error) }, bytesCut: 0 };
    });
  }

  async #mend(newest: StoredSegment): Promise<MendedSegment> {
    const path = join(this.#folder, newest.file);
    const end = walkEntries(await readFile(path), ({ atMs }) => {
      newest.endedAtMs = Math.max(newest.endedAtMs, atMs);
    });
    if (end.kind !== "torn") return { file: newest.file, end, bytesCut: 0 };
    const bytesCut = newest.bytes - end.offset;
    await truncate(path, end.offset);
    newest.bytes = end.offset;
    if (end.offset === 0) await this.#drop(newest);
    return { file: newest.file, end, bytesCut };
  }

  /** A segment that is written to next; a file once something is. */
  begin(nowMs: number): SegmentName {
    this.#number += 1;
    return nameSegment(this.#number, nowMs);
  }

  /**
   * Adds whole entries to a segment, of which no earlier one is written to any more, after dropping the oldest
   * segments that leave no room for them. Answers bytes dropped. Throws `disk-full` or `storage-failed`: the segment
   * then ends before these entries, and cannot be added to.
   */
  async append(name: SegmentName, entries: Uint8Array, atMs: number): Promise<number> {
    try {
      const isNew = this.#open?.segment.number !== name.number;
      if (isNew) await this.close();
      const added = isNew ? Buffer.concat([segmentHeader(), entries]) : entries;
      const dropped = await this.#makeRoom(added.byteLength);
      const { segment, file } = this.#open ?? (await this.#create(name));
      await file.appendFile(added);
      segment.bytes += added.byteLength;
      segment.endedAtMs = Math.max(segment.endedAtMs, atMs);
      return dropped;
    } catch (error) {
      await this.#abandon();
      throw storageFailure(error, join(this.#folder, name.file));
    }
  }

  /** Drops segments without a decision that is young enough. Answers bytes dropped. Throws `storage-failed`. */
  async expire(nowMs: number): Promise<number> {
    const old = this.#segments.filter(({ endedAtMs }) => endedAtMs + DECISIONS_KEPT_MS <= nowMs);
    let dropped = 0;
    for (const segment of old) {
      if (segment === this.#open?.segment) await this.close();
      dropped += await this.#drop(segment).catch((error: unknown) => {
        throw storageFailure(error, join(this.#folder, segment.file));
      });
    }
    return dropped;
  }

  /** Segments from the newest to the oldest, each read when it is come to. */
  async *newestFirst(): AsyncGenerator<Buffer> {
    for (const { file } of this.#segments.toReversed()) {
      const bytes = await readFile(join(this.#folder, file)).catch(ignoreGone);
      if (bytes !== undefined) yield bytes;
    }
  }

  async close(): Promise<void> {
    const file = this.#open?.file;
    this.#open = undefined;
    await file?.close();
  }

  async #create(name: SegmentName) {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const file = await open(join(this.#folder, name.file), "ax", 0o600);
    const segment: StoredSegment = { ...name, bytes: 0, endedAtMs: name.beganAtMs };
    this.#segments.push(segment);
    this.#open = { segment, file };
    return this.#open;
  }

  async #makeRoom(bytes: number): Promise<number> {
    let dropped = 0;
    while (this.bytes + bytes > this.#bytesMax) {
      const [oldest] = this.#segments;
      if (oldest === undefined || oldest === this.#open?.segment) break;
      dropped += await this.#drop(oldest);
    }
    return dropped;
  }

  async #drop(segment: StoredSegment): Promise<number> {
    await unlink(join(this.#folder, segment.file)).catch(ignoreGone);
    this.#segments.splice(this.#segments.indexOf(segment), 1);
    return segment.bytes;
  }

  /** A part of what was to be added may be there: it is cut off, or else read as a torn end. */
  async #abandon(): Promise<void> {
    const abandoned = this.#open;
    this.#open = undefined;
    if (abandoned === undefined) return;
    const { segment, file } = abandoned;
    await file.truncate(segment.bytes).catch(() => undefined);
    await file.close().catch(() => undefined);
    if (segment.bytes === 0) await this.#drop(segment).catch(() => undefined);
  }
}

/** Somebody else has removed it. */
function ignoreGone(error: unknown): undefined {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
  throw error;
}
