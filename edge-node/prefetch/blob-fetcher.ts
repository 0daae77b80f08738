/** Brings blobs into the folder: each once at a time, so many at once, ahead of requests or because one asks. */
import type { Digest } from "#domain/content/release.ts";
import { isFailure } from "#domain/failure.ts";
import { SingleFlight } from "#platform/concurrency/single-flight.ts";
import type { BlobBytes, BlobFolder } from "../published/blob-folder.ts";

/** Those asked for by requests; beyond it a request is told to come again. */
export const FETCHES_MAX = 256;
/** Half of the connections: requests find the rest free. */
export const PREFETCHES_AT_ONCE = 8;

export interface BlobNeed {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** For which it is fetched, where that is known. */
  readonly site?: string;
}

export interface BlobFetcherOptions {
  readonly folder: BlobFolder;
  readonly open: (digest: Digest, offset: number, signal: AbortSignal) => Promise<BlobBytes>;
  readonly events: { fetched(bytes: number, site?: string): void; fetchFailed(error: unknown): void };
  readonly signal: AbortSignal;
}

export class BlobFetcher {
  readonly #options: BlobFetcherOptions;
  readonly #flights = new SingleFlight<void>(FETCHES_MAX);

  constructor(options: BlobFetcherOptions) {
    this.#options = options;
  }

  /** Resolves once the blob is verified and durable. Throws what `BlobFolder.receive` and the source throw, `overloaded`. */
  ensure({ digest, sizeBytes, site }: BlobNeed): Promise<void> {
    const { folder, open, events, signal } = this.#options;
    if (folder.has(digest)) return Promise.resolve();
    return this.#flights.run(digest, async () => {
      await folder.receive(digest, sizeBytes, (offset) => open(digest, offset, signal));
      events.fetched(sizeBytes, site);
    });
  }

  /** As many as can be had; throws the last failure where some could not. */
  async ensureAll(needs: readonly BlobNeed[]): Promise<void> {
    const queue = needs.values();
    let failure: unknown;
    const work = async (): Promise<void> => {
      for (const need of queue) {
        try {
          await this.ensure(need);
        } catch (error) {
          if (!isFailure(error)) throw error;
          this.#options.events.fetchFailed(error);
          failure = error;
          // Unreachable for one is unreachable for all: the next turn tries again.
          if (error.code !== "not-found" && error.code !== "digest-mismatch") return;
        }
      }
    };
    await Promise.all(Array.from({ length: PREFETCHES_AT_ONCE }, work));
    if (failure !== undefined) throw failure;
  }
}
