/** Whether the origin is there, and since when not: kept on disk, so that a restart does not begin the outage anew. */
import { readFile } from "node:fs/promises";
import type { Clock } from "#platform/clock.ts";
import { writeFileDurably } from "#platform/files/durable.ts";

/** How old what is written may be while the link stands: by so much an outage may seem longer than it is. */
const WRITE_MS = 60_000;

export class LinkState implements Disposable {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #writing: Disposable;
  #isUp = false;
  #lastUpMs: number;

  private constructor(path: string, clock: Clock, onError: (error: unknown) => void, lastUpMs: number) {
    this.#path = path;
    this.#clock = clock;
    this.#onError = onError;
    this.#lastUpMs = lastUpMs;
    this.#writing = clock.every(WRITE_MS, () => (this.#isUp ? this.#write() : undefined));
  }

  static async open(path: string, clock: Clock, onError: (error: unknown) => void): Promise<LinkState> {
    const text = await readFile(path, "utf8").catch(() => "");
    const lastUpMs = Number.parseInt(text, 10);
    return new LinkState(path, clock, onError, Number.isSafeInteger(lastUpMs) ? lastUpMs : clock.nowMs());
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** 0 while the link stands. */
  get cutOffMs(): number {
    return this.#isUp ? 0 : Math.max(0, this.#clock.nowMs() - this.#lastUpMs);
  }

  set(isUp: boolean): void {
    this.#isUp = isUp;
    void this.#write();
  }

  [Symbol.dispose](): void {
    this.#writing[Symbol.dispose]();
  }

  async #write(): Promise<void> {
    this.#lastUpMs = this.#clock.nowMs();
    await writeFileDurably(this.#path, `${this.#lastUpMs}\n`).catch(this.#onError);
  }
}
