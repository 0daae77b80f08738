/** The access log: lines wait in memory, bounded, and are written behind the answers, many at once. */
import { type Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { type PlainParts, TARGET_CHARACTERS_MAX } from "./access-line.ts";

/**
 * So much is written at once. Lines go into it as they come: joined as one text they cost a hit 6 to 10 microseconds more,
 * most of it for V8 to collect.
 */
const BATCH_BYTES = 64 * 1024;
/** What waits for a slow disk; a line that comes when all are full is lost, and counted. */
export const BATCHES_MAX = 64;
/** A line waits no longer, where the disk can keep up. */
const WRITE_MS = 500;
/** UTF-8 of a UTF-16 code unit. */
const UTF8_BYTES_A_UNIT = 3;
/** Of a plain line without its parts: time, duration, and what is between them. */
const PLAIN_BYTES = 64;
const ZERO = 0x30;
const LINE_END = Buffer.from("}\n");

export interface LineSink extends AsyncDisposable {
  /** Throws `storage-failed`. */
  write(bytes: Uint8Array): Promise<void>;
  /** Where lines go to is opened anew. */
  reopen(): void;
}

export interface AccessLogEvents {
  accessLinesLost(lines: number): void;
  accessLogFailed(failure: Failure): void;
}

export interface AccessLogOptions {
  readonly sink: LineSink;
  readonly clock: Clock;
  readonly events: AccessLogEvents;
}

interface Batch {
  readonly bytes: Buffer;
  used: number;
  lines: number;
}

export class AccessLog implements AsyncDisposable {
  readonly #options: AccessLogOptions;
  readonly #ticking: Disposable;
  /** Full ones, the oldest first; fewer than `BATCHES_MAX`. */
  readonly #waiting: Batch[] = [];
  #batch = emptyBatch();
  #lost = 0;
  #atMs = Number.NaN;
  #time = "";
  /** Of a line, up to its client; made once for all lines of a millisecond. */
  #begun: Uint8Array = Buffer.alloc(0);
  #begunAtMs = Number.NaN;
  #writing: Promise<void> | undefined;

  constructor(options: AccessLogOptions) {
    this.#options = options;
    this.#ticking = options.clock.every(WRITE_MS, () => this.#write());
  }

  /** ISO 8601; made once for all lines of a millisecond. */
  timeOf(epochMs: number): string {
    if (epochMs !== this.#atMs) {
      this.#atMs = epochMs;
      this.#time = new Date(epochMs).toISOString();
    }
    return this.#time;
  }

  /** A line with its end; far shorter than a batch. Never waits. */
  write(line: string): void {
    if (line.length * UTF8_BYTES_A_UNIT > BATCH_BYTES - this.#batch.used && !this.#begin()) {
      this.#lost += 1;
      return;
    }
    this.#batch.used += this.#batch.bytes.write(line, this.#batch.used);
    this.#batch.lines += 1;
  }

  /**
   * The line of a request whose target is bytes `from` to `to` of `head`, put together from bytes: as a text it costs V8 two
   * strings to make, to flatten and to collect.
   */
  writePlain(
    { before, after }: PlainParts,
    head: Uint8Array,
    from: number,
    to: number,
    nowMs: number,
    us: number,
  ): void {
    const targetEnd = Math.min(to, from + TARGET_CHARACTERS_MAX);
    const needed = PLAIN_BYTES + before.byteLength + targetEnd - from + after.byteLength;
    if (needed > BATCH_BYTES - this.#batch.used && !this.#begin()) {
      this.#lost += 1;
      return;
    }
    const { bytes, used } = this.#batch;
    let at = append(bytes, used, this.#beginOf(nowMs));
    at = append(bytes, at, before);
    for (let index = from; index < targetEnd; index += 1, at += 1) bytes[at] = head[index] ?? 0;
    at = append(bytes, at, after);
    at = append(bytes, appendWhole(bytes, at, us), LINE_END);
    this.#batch.used = at;
    this.#batch.lines += 1;
  }

  #beginOf(epochMs: number): Uint8Array {
    if (epochMs !== this.#begunAtMs) {
      this.#begunAtMs = epochMs;
      this.#begun = Buffer.from(`{"time":"${this.timeOf(epochMs)}",`);
    }
    return this.#begun;
  }

  reopen(): void {
    this.#options.sink.reopen();
  }

  /** Writes what waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ticking[Symbol.dispose]();
    await this.#writing;
    await this.#write();
    await this.#options.sink[Symbol.asyncDispose]();
  }

  /** Another batch; false where as many wait as may. */
  #begin(): boolean {
    if (this.#waiting.length + 1 >= BATCHES_MAX) return false;
    this.#waiting.push(this.#batch);
    this.#batch = emptyBatch();
    if (this.#writing === undefined) void this.#write();
    return true;
  }

  #write(): Promise<void> {
    const writing =
      this.#writing ??
      this.#writeAll().finally(() => {
        this.#writing = undefined;
      });
    this.#writing = writing;
    return writing;
  }

  async #writeAll(): Promise<void> {
    if (this.#lost > 0) this.#options.events.accessLinesLost(this.#lost);
    this.#lost = 0;
    if (this.#batch.lines > 0) {
      this.#waiting.push(this.#batch);
      this.#batch = emptyBatch();
    }
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      await this.#writeBatch(next);
      this.#waiting.shift();
    }
  }

  async #writeBatch({ bytes, used, lines }: Batch): Promise<void> {
    const { sink, events } = this.#options;
    try {
      await sink.write(bytes.subarray(0, used));
    } catch (error) {
      if (!isFailure(error)) throw error;
      events.accessLinesLost(lines);
      events.accessLogFailed(error);
    }
  }
}

function emptyBatch(): Batch {
  return { bytes: Buffer.allocUnsafeSlow(BATCH_BYTES), used: 0, lines: 0 };
}

/** Gives where it ends. */
function append(bytes: Uint8Array, at: number, part: Uint8Array): number {
  bytes.set(part, at);
  return at + part.byteLength;
}

/** In decimal digits: a whole number from 0. Gives where it ends. */
function appendWhole(bytes: Uint8Array, at: number, number: number): number {
  let end = at + 1;
  for (let rest = number; rest >= 10; rest = Math.floor(rest / 10)) end += 1;
  let rest = number;
  for (let index = end - 1; index >= at; index -= 1) {
    bytes[index] = ZERO + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  return end;
}
