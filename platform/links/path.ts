/** One direction of a link: when bytes that set out now arrive, and whether they are lost. */
import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";

export interface LinkOptions {
  /** Round-trip time; each direction has half of it. */
  readonly rttMs: number;
  /** Each direction adds up to this much, uniformly; order is kept. */
  readonly jitterMs?: number;
  /** Share of packets lost, each by itself. */
  readonly lossRatio?: number;
  /** What each direction carries, all connections together; unlimited where absent. */
  readonly rateBytesPerSecond?: number;
}

export interface LinkSources {
  readonly clock: Clock;
  readonly random: Random;
}

export class LinkPath {
  options: LinkOptions;
  readonly #sources: LinkSources;
  /** When the last byte that was sent has left the sender: the queue of the rate limit. */
  #sentAtMs = 0;

  constructor(options: LinkOptions, sources: LinkSources) {
    this.options = options;
    this.#sources = sources;
  }

  /** When `bytes` that set out at `startMs` (now, unless a handshake comes first) have arrived. */
  arrivalMs(bytes: number, startMs = this.#sources.clock.monotonicMs()): number {
    const { rttMs, jitterMs = 0, rateBytesPerSecond } = this.options;
    const sendingMs = rateBytesPerSecond === undefined ? 0 : (bytes / rateBytesPerSecond) * 1_000;
    this.#sentAtMs = Math.max(this.#sentAtMs, startMs) + sendingMs;
    const leftAtMs = rateBytesPerSecond === undefined ? startMs : this.#sentAtMs;
    return leftAtMs + rttMs / 2 + jitterMs * this.#sources.random.ratio();
  }

  /** Whether at least one of `packets` is lost. */
  loses(packets: number): boolean {
    const { lossRatio = 0 } = this.options;
    return lossRatio > 0 && this.#sources.random.ratio() < 1 - (1 - lossRatio) ** packets;
  }
}
