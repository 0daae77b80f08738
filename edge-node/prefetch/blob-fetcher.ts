/** Brings blobs into the folder: each once at a time, so many at once, ahead of requests or because one asks. */
import type { Digest } from "#domain/content/release.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { ArrivingBlob } from "../published/arriving-blob.ts";
import type { BlobFolder } from "../published/blob-folder.ts";
import { type BlobNeed, BlobPull, type BlobSources, OriginState } from "./blob-pull.ts";
import { RelayLead } from "./relay-lead.ts";

/** Those asked for by requests and siblings; beyond it a request is told to come again. */
export const FETCHES_MAX = 256;
/** Half of the connections: requests find the rest free. */
export const PREFETCHES_AT_ONCE = 8;
/** One whose source began again, two whose bytes were wrong; the last one asks no sibling that had a part in them. */
export const FETCH_ATTEMPTS_MAX = 4;
/** Of one worker: what cannot be had for so many cannot be had for the rest. */
export const PREFETCH_FAILURES_MAX = 16;

export interface BlobFetcherOptions extends BlobSources {
  readonly folder: BlobFolder;
  readonly fetched: (bytes: number) => void;
  readonly fetchFailed: (error: unknown) => void;
}

export interface BlobFetch {
  readonly arriving: ArrivingBlob;
  /** Resolves once the blob is verified and durable. */
  readonly done: Promise<void>;
}

export class BlobFetcher {
  readonly #options: BlobFetcherOptions;
  readonly #fetches = new Map<Digest, BlobFetch>();
  readonly #waiting = new Map<Digest, string>();
  /** Of the last fetch that failed, until one succeeds. */
  #failedFor: string | undefined;
  readonly #lead: RelayLead;
  readonly #origin: OriginState;
  /** Of the last turn: those that were not tried come before them. */
  #failedLast: ReadonlySet<Digest> = new Set();

  constructor(options: BlobFetcherOptions) {
    this.#options = options;
    this.#lead = new RelayLead(options.clock);
    this.#origin = new OriginState(this.#lead);
    options.signal.addEventListener("abort", () => this.#lead.goOnAlone(), { once: true });
  }

  /** Resolves once the blob is verified and durable. Throws what `BlobFolder.receive` and the sources throw, `overloaded`. */
  ensure(need: BlobNeed): Promise<void> {
    return this.#options.folder.has(need.digest) ? Promise.resolve() : this.#begin(need, false).done;
  }

  /** The fetch of what is not here, for a sibling: joined, or started. */
  beginAhead(need: BlobNeed): BlobFetch {
    return this.#begin(need, true);
  }

  /** What there is of a blob while it is fetched; `undefined` while it is not. */
  arriving(digest: Digest): ArrivingBlob | undefined {
    return this.#fetches.get(digest)?.arriving;
  }

  /** A sibling lives: it has asked for something. */
  heard(sibling: string): void {
    this.#options.siblings.heard(sibling);
  }

  /** A sibling reads a blob along until this is disposed. */
  readBy(digest: Digest): Disposable {
    return this.#lead.readBy(digest);
  }

  /** A sibling has what is before `end`. One that listens to none is of no use to the others. */
  sent(sibling: string, digest: Digest, end: number): void {
    const { siblings } = this.#options.siblings.view;
    if (siblings.some(({ name }) => name === sibling)) this.#lead.sent(digest, end);
  }

  #begin(need: BlobNeed, isAhead: boolean): BlobFetch {
    const { digest, sizeBytes } = need;
    const joined = this.#fetches.get(digest);
    if (joined !== undefined) return joined;
    const arriving = this.#options.folder.arrivingOf(digest, sizeBytes);
    if (this.#fetches.size >= FETCHES_MAX) {
      const message = `${FETCHES_MAX} objects are being fetched already, which is the limit; try again later`;
      return { arriving, done: Promise.reject(new Failure("overloaded", message, { retryable: true })) };
    }
    const fetch = { arriving, done: this.#fetch(need, arriving, isAhead) };
    this.#fetches.set(digest, fetch);
    return fetch;
  }

  /** What the fetches under way wait for, or the last waited for in vain; one of them for all. */
  get waitingFor(): string | undefined {
    return this.#waiting.values().next().value ?? this.#failedFor;
  }

  /** As many as can be had and may begin now; throws the last failure where some could not. */
  async ensureAll(needs: readonly BlobNeed[], mayBegin: (need: BlobNeed) => boolean = () => true): Promise<void> {
    const before = this.#failedLast;
    const queue = [
      ...needs.filter(({ digest }) => !before.has(digest)),
      ...needs.filter(({ digest }) => before.has(digest)),
    ].values();
    const failed = new Set<Digest>();
    let failure: unknown;
    const work = async (): Promise<void> => {
      let failures = 0;
      for (const need of queue) {
        if (this.#options.folder.has(need.digest)) continue;
        if (!mayBegin(need)) return;
        try {
          await this.#begin(need, true).done;
        } catch (error) {
          if (!isFailure(error)) throw error;
          this.#options.fetchFailed(error);
          failure = error;
          failed.add(need.digest);
          failures += 1;
          if (!this.#mayGoOn(error.code, failures)) return;
        }
      }
    };
    await Promise.all(Array.from({ length: PREFETCHES_AT_ONCE }, work));
    this.#failedLast = failed;
    if (failure !== undefined) throw failure;
  }

  /** An origin that is unreachable for one is so for all: the next turn tries again. Siblings have one and not another. */
  #mayGoOn(code: string, failures: number): boolean {
    const hasSiblings = this.#options.siblings.view.siblings.length > 0;
    return code === "not-found" || code === "digest-mismatch" || (hasSiblings && failures < PREFETCH_FAILURES_MAX);
  }

  async #fetch(need: BlobNeed, arriving: ArrivingBlob, isAhead: boolean): Promise<void> {
    // `#begin` records the fetch before it can end.
    await null;
    const { fetched } = this.#options;
    const waiting = (because: string | undefined): void => {
      if (because === undefined) this.#waiting.delete(need.digest);
      else this.#waiting.set(need.digest, because);
    };
    const pull = new BlobPull(this.#options, this.#origin, { need, isAhead, waiting });
    try {
      for (let attempt = 1; !(await this.#receive(need, arriving, pull, attempt)); attempt += 1) arriving.restart();
      fetched(need.sizeBytes);
      this.#failedFor = undefined;
    } catch (error) {
      this.#failedFor = this.#waiting.get(need.digest);
      throw error;
    } finally {
      arriving.giveUp();
      this.#fetches.delete(need.digest);
      waiting(undefined);
    }
  }

  /** False where it was wrong, and others may be asked. */
  async #receive(need: BlobNeed, arriving: ArrivingBlob, pull: BlobPull, attempt: number): Promise<boolean> {
    try {
      await this.#options.folder.receive(need.digest, need.sizeBytes, (offset) => pull.open(offset), arriving);
      return true;
    } catch (error) {
      if (!isFailure(error, "digest-mismatch")) throw error;
      if (!pull.refute() || attempt >= FETCH_ATTEMPTS_MAX) throw error;
      return false;
    }
  }
}
