/** A log of decisions of one kind: entries wait in memory, bounded, and are written behind, many at once. */
import { assert } from "#domain/assert.ts";
import { type Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { ByteWriter } from "./bytes.ts";
import type { Entry } from "./entries.ts";
import { ENTRY_BYTES_MAX, type LoggedDecision, type LoggedPools, SegmentEncoder } from "./segment-encoder.ts";
import { SegmentFolder } from "./segment-folder.ts";
import type { SegmentName } from "./segment-names.ts";
import { type FoundDecision, findLast } from "./segment-reader.ts";

/** So much is written at once. */
const BATCH_BYTES = 256 * 1024;
/** An entry waits no longer, where the disk can keep up. */
const WRITE_MS = 200;
const EXPIRE_EVERY_MS = 60_000;
/** What waits for a slow disk; a decision that comes then is lost, and counted. */
export const WAITING_BYTES_MAX = 16 * 1024 ** 2;
/** Dropped whole: one with an hour's decisions keeps the oldest for an hour too long. */
export const SEGMENT_MS_MAX = 3_600_000;
/** Read whole into memory to find a decision in it. */
const SEGMENT_BYTES_MAX = 16 * 1024 ** 2;
/** Of one log; the fewer, the more is dropped at once. */
const SEGMENTS_A_LOG = 16;
/** One segment, whatever entry it ends with, leaves room for others. */
const LOG_BYTES_MIN = 8 * ENTRY_BYTES_MAX;

export type LossReason = "overloaded" | "too-long" | "write-failed";

export interface SegmentLogEvents {
  logged(decisions: number): void;
  lost(decisions: number, because: LossReason): void;
  /** Once, until `mended`. */
  failed(failure: Failure): void;
  mended(): void;
  dropped(bytes: number, because: "age" | "size"): void;
  sized(bytes: number): void;
  tornAtStart(file: string, bytes: number): void;
  damagedAtStart(file: string, offset: number, reason: string): void;
}

export interface SegmentLogOptions {
  readonly folder: string;
  readonly bytesMax: number;
  readonly pools: LoggedPools;
  readonly clock: Clock;
  readonly events: SegmentLogEvents;
}

interface Batch {
  readonly segment: SegmentName;
  readonly entries: ByteWriter;
  decisions: number;
  atMs: number;
}

interface Segment {
  readonly name: SegmentName;
  readonly encoder: SegmentEncoder;
  bytes: number;
}

export class SegmentLog implements AsyncDisposable {
  readonly #options: SegmentLogOptions;
  readonly #folder: SegmentFolder;
  readonly #segmentBytes: number;
  readonly #expiring: Disposable;
  #writeTimer: Disposable | undefined;
  #segment: Segment | undefined;
  /** The oldest first; the last one may grow. */
  #waiting: Batch[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #scanning: Promise<unknown> = Promise.resolve();
  #isFailing = false;

  private constructor(options: SegmentLogOptions, folder: SegmentFolder) {
    this.#options = options;
    this.#folder = folder;
    this.#segmentBytes = Math.min(SEGMENT_BYTES_MAX, Math.floor(options.bytesMax / SEGMENTS_A_LOG));
    assert(options.bytesMax >= LOG_BYTES_MIN, `a log of decisions has ${LOG_BYTES_MIN} bytes or more`);
    this.#expiring = options.clock.every(EXPIRE_EVERY_MS, () => this.flush());
  }

  /** Throws `disk-full` or `storage-failed` where the folder cannot be made or read. */
  static async open(options: SegmentLogOptions): Promise<SegmentLog> {
    const { folder: path, bytesMax, events } = options;
    const folder = new SegmentFolder(path, bytesMax);
    const mended = await folder.load();
    if (mended?.end.kind === "torn") events.tornAtStart(mended.file, mended.bytesCut);
    if (mended?.end.kind === "corrupt") events.damagedAtStart(mended.file, mended.end.offset, mended.end.reason);
    return new SegmentLog(options, folder);
  }

  /** Never waits and never throws for want of room: what is lost is counted. */
  append(decision: LoggedDecision): void {
    const { events, clock } = this.#options;
    const decisions = decision.kind === "ended" ? 0 : 1;
    if (this.#waitingBytes >= WAITING_BYTES_MAX) {
      events.lost(decisions, "overloaded");
      return;
    }
    const segment = this.#segmentFor(clock.nowMs());
    const batch = this.#batchOf(segment.name);
    const before = batch.entries.length;
    const isLogged = segment.encoder.encode(decision, batch.entries);
    const added = batch.entries.length - before;
    segment.bytes += added;
    this.#waitingBytes += added;
    batch.atMs = clock.nowMs();
    if (isLogged) batch.decisions += decisions;
    else events.lost(decisions, "too-long");
    if (batch.entries.length >= BATCH_BYTES && this.#writing === undefined) void this.flush();
    this.#writeSoon();
  }

  /** Writes what waits, and drops what is too old. */
  flush(): Promise<void> {
    this.#writeTimer?.[Symbol.dispose]();
    this.#writeTimer = undefined;
    const writing =
      this.#writing ??
      this.#writeAll().finally(() => {
        this.#writing = undefined;
        if (this.#waiting.length > 0) this.#writeSoon();
      });
    this.#writing = writing;
    return writing;
  }

  /** The last decision for which `matches` holds. One search at a time: each reads whole segments. */
  find(matches: (bytes: Buffer, entry: Entry) => boolean): Promise<FoundDecision | undefined> {
    const found = this.#scanning.then(() => this.#scan(matches));
    this.#scanning = found.catch(() => undefined);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#expiring[Symbol.dispose]();
    await this.#writing;
    await this.flush();
    await this.#folder.close();
  }

  async #scan(matches: (bytes: Buffer, entry: Entry) => boolean): Promise<FoundDecision | undefined> {
    await this.#writing;
    await this.flush();
    for await (const bytes of this.#folder.newestFirst()) {
      const found = findLast(bytes, (entry) => matches(bytes, entry));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #writeSoon(): void {
    this.#writeTimer ??= this.#options.clock.timer(WRITE_MS, () => void this.flush());
  }

  #segmentFor(nowMs: number): Segment {
    const current = this.#segment;
    const isFit =
      current !== undefined &&
      current.bytes < this.#segmentBytes &&
      Math.abs(nowMs - current.name.beganAtMs) < SEGMENT_MS_MAX;
    if (isFit) return current;
    const encoder = new SegmentEncoder(this.#options.pools);
    const begun = { name: this.#folder.begin(nowMs), encoder, bytes: 0 };
    this.#segment = begun;
    return begun;
  }

  #batchOf(segment: SegmentName): Batch {
    const last = this.#waiting.at(-1);
    if (last !== undefined && last.segment === segment && last.entries.length < BATCH_BYTES) return last;
    const batch = { segment, entries: new ByteWriter(), decisions: 0, atMs: 0 };
    this.#waiting.push(batch);
    return batch;
  }

  async #writeAll(): Promise<void> {
    const { events, clock } = this.#options;
    for (let batch = this.#waiting.shift(); batch !== undefined; batch = this.#waiting.shift()) {
      await this.#write(batch);
      this.#waitingBytes -= batch.entries.length;
    }
    await this.#expire(clock.nowMs());
    events.sized(this.#folder.bytes);
  }

  async #write({ segment, entries, decisions, atMs }: Batch): Promise<void> {
    const { events } = this.#options;
    try {
      const dropped = await this.#folder.append(segment, entries.written, atMs);
      if (dropped > 0) events.dropped(dropped, "size");
      events.logged(decisions);
      if (this.#isFailing) events.mended();
      this.#isFailing = false;
    } catch (error) {
      if (!isFailure(error)) throw error;
      events.lost(decisions + this.#abandon(segment), "write-failed");
      this.#tellOnce(error);
    }
  }

  async #expire(nowMs: number): Promise<void> {
    const { events } = this.#options;
    try {
      const dropped = await this.#folder.expire(nowMs);
      if (dropped > 0) events.dropped(dropped, "age");
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#tellOnce(error);
    }
  }

  #tellOnce(failure: Failure): void {
    if (!this.#isFailing) this.#options.events.failed(failure);
    this.#isFailing = true;
  }

  /** What waits for the segment refers to names that it will not have. Answers how many decisions. */
  #abandon(segment: SegmentName): number {
    const isOf = (batch: Batch): boolean => batch.segment === segment;
    const abandoned = this.#waiting.filter(isOf);
    this.#waiting = this.#waiting.filter((batch) => !isOf(batch));
    for (const { entries } of abandoned) this.#waitingBytes -= entries.length;
    if (this.#segment?.name === segment) this.#segment = undefined;
    return abandoned.reduce((sum, { decisions }) => sum + decisions, 0);
  }
}
