/** Encodings that wait and are under way: each of a content once, so many at once, and no more bytes than are named. */
import type { ContentCoding } from "#domain/http/content-coding.ts";
import type { Fields } from "#domain/http/fields.ts";
import type { StoredResponse } from "../store/stored-response.ts";

/** Of the four threads that Node has: the others read and write files. */
const ENCODINGS_AT_ONCE_MAX = 2;
/** Content that waits to be encoded; beyond it a response goes out as it is, and the next hit asks again. */
export const ENCODINGS_WAITING_BYTES_MAX = 32 * 1024 * 1024;

export interface EncodingJob {
  readonly stored: StoredResponse;
  /** Its body. */
  readonly content: Uint8Array;
  readonly coding: ContentCoding;
  /** The fields that the response varies by, of the request that lacked it. */
  readonly request: Fields;
}

export class EncodingJobs {
  readonly #run: (job: EncodingJob) => Promise<void>;
  /** Waiting and under way, by content. */
  readonly #codings = new Map<Uint8Array, Set<ContentCoding>>();
  readonly #waiting: EncodingJob[] = [];
  #waitingBytes = 0;
  #running = 0;
  #idle = Promise.withResolvers<void>();

  /** `run` never rejects. */
  constructor(run: (job: EncodingJob) => Promise<void>) {
    this.#run = run;
    this.#idle.resolve();
  }

  has(content: Uint8Array, coding: ContentCoding): boolean {
    return this.#codings.get(content)?.has(coding) === true;
  }

  /** False where too much waits. */
  add(job: EncodingJob): boolean {
    const { content, coding } = job;
    if (this.#waitingBytes + content.byteLength > ENCODINGS_WAITING_BYTES_MAX) return false;
    if (this.#codings.size === 0) this.#idle = Promise.withResolvers();
    this.#codings.set(content, (this.#codings.get(content) ?? new Set()).add(coding));
    this.#waiting.push(job);
    this.#waitingBytes += content.byteLength;
    this.#goOn();
    return true;
  }

  /** Resolves when nothing waits and nothing is under way. */
  settled(): Promise<void> {
    return this.#idle.promise;
  }

  #goOn(): void {
    const job = this.#running < ENCODINGS_AT_ONCE_MAX ? this.#waiting.shift() : undefined;
    if (job === undefined) return;
    this.#running += 1;
    this.#waitingBytes -= job.content.byteLength;
    void this.#run(job).then(() => this.#done(job));
  }

  #done({ content, coding }: EncodingJob): void {
    this.#running -= 1;
    const codings = this.#codings.get(content);
    codings?.delete(coding);
    if (codings?.size === 0) this.#codings.delete(content);
    if (this.#codings.size === 0) this.#idle.resolve();
    this.#goOn();
  }
}
