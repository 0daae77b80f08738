/** The access log: lines wait in memory, bounded, and are written behind the answers, many at once. */
import { type Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";

/** So much is written at once. */
const BATCH_CHARACTERS = 64 * 1024;
/** What waits for a slow disk; a line that comes when it is full is lost, and counted. */
const WAITING_CHARACTERS_MAX = 4 * 1024 * 1024;
/** A line waits no longer, where the disk can keep up. */
const WRITE_MS = 500;

export interface LineSink extends AsyncDisposable {
  /** Throws `storage-failed`. */
  write(text: string): Promise<void>;
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

export class AccessLog implements AsyncDisposable {
  readonly #options: AccessLogOptions;
  readonly #writing: Disposable;
  #waiting = "";
  #lines = 0;
  #lost = 0;
  #atMs = Number.NaN;
  #time = "";
  #written: Promise<void> | undefined;

  constructor(options: AccessLogOptions) {
    this.#options = options;
    this.#writing = options.clock.every(WRITE_MS, () => this.#write());
  }

  /** ISO 8601; made once for all lines of a millisecond. */
  timeOf(epochMs: number): string {
    if (epochMs !== this.#atMs) {
      this.#atMs = epochMs;
      this.#time = new Date(epochMs).toISOString();
    }
    return this.#time;
  }

  /** A line with its end. Never waits. */
  write(line: string): void {
    if (this.#waiting.length + line.length > WAITING_CHARACTERS_MAX) {
      this.#lost += 1;
      return;
    }
    this.#waiting += line;
    this.#lines += 1;
    if (this.#waiting.length >= BATCH_CHARACTERS && this.#written === undefined) void this.#write();
  }

  reopen(): void {
    this.#options.sink.reopen();
  }

  /** Writes what waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#writing[Symbol.dispose]();
    await this.#write();
    await this.#write();
    await this.#options.sink[Symbol.asyncDispose]();
  }

  #write(): Promise<void> {
    const written =
      this.#written ??
      this.#writeWaiting().finally(() => {
        this.#written = undefined;
      });
    this.#written = written;
    return written;
  }

  async #writeWaiting(): Promise<void> {
    const { sink, events } = this.#options;
    if (this.#lost > 0) events.accessLinesLost(this.#lost);
    this.#lost = 0;
    if (this.#lines === 0) return;
    const [text, lines] = [this.#waiting, this.#lines];
    this.#waiting = "";
    this.#lines = 0;
    try {
      await sink.write(text);
    } catch (error) {
      if (!isFailure(error)) throw error;
      events.accessLinesLost(lines);
      events.accessLogFailed(error);
    }
  }
}
