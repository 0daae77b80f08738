/** Gets the bytes of one blob from siblings and the origin, as `fill-plan.ts` decides, each going on where another broke off. */
import type { Digest } from "#domain/content/release.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { BlobMode } from "../pool/blob-fields.ts";
import { decideFillStep, type FillAnswer } from "../pool/fill-plan.ts";
import type { Peer } from "../pool/membership.ts";
import type { PartAnswer, SiblingBlobs } from "../pool/sibling-blobs.ts";
import type { BlobBytes } from "../published/blob-folder.ts";
import { gathered } from "./gathered.ts";
import type { RelayLead } from "./relay-lead.ts";

/** Asked of the origin at once: after each it is asked again who fetches the blob, and what siblings have of it. */
export const ORIGIN_RANGE_BYTES = 512 * 1024;
/** While it has failed of late, siblings that have the whole are asked before it. */
const ORIGIN_DOWN_MS = 30_000;

/** Of a sibling that could not get a blob: what it lacked may be back. */
const UNABLE_MS = 10_000;

/** No node's name has a slash. */
const ORIGIN = "/origin";
/** Of bytes that an earlier fetch left. */
const EARLIER = "/earlier";

export interface BlobNeed {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** For which it is fetched, where that is known. */
  readonly site?: string;
}

/** What the pool offers to a fetch. */
export interface FillPool {
  readonly siblings: Pick<SiblingBlobs, "view" | "isAnswering" | "ask" | "heard" | "distrust" | "pause">;
  readonly clock: Pick<Clock, "monotonicMs" | "timer">;
  readonly events: {
    filled(from: "origin" | "sibling", bytes: number, site: string | undefined): void;
    bodyRefused(from: "origin" | "sibling" | "several", names: readonly string[]): void;
  };
}

export interface BlobSources extends FillPool {
  /** To the end of the blob, or to `end`, not included; more may come. */
  readonly origin: (digest: Digest, offset: number, signal: AbortSignal, end?: number) => Promise<BlobBytes>;
  readonly signal: AbortSignal;
}

/** What all fetches of a node share. */
export class OriginState {
  readonly lead: RelayLead;
  failedAtMs = Number.NEGATIVE_INFINITY;

  constructor(lead: RelayLead) {
    this.lead = lead;
  }
}

export interface FetchOf {
  readonly need: BlobNeed;
  /** Nobody waits for it but the pool, which comes along. */
  readonly isAhead: boolean;
  readonly waiting: Waiting;
}

/** What a fetch waits for, in words. */
export type Waiting = (because: string | undefined) => void;

export class BlobPull {
  readonly #sources: BlobSources;
  readonly #origin: OriginState;
  readonly #need: BlobNeed;
  readonly #isAhead: boolean;
  readonly #waiting: Waiting;
  /** Siblings that are not asked by this fetch: a wrong whole had bytes of theirs. */
  readonly #excluded = new Set<string>();
  /** Of this attempt: each source with its attempt, and by siblings' names. */
  readonly #givers = new Map<string, string>();
  readonly #answers = new Map<string, FillAnswer>();
  /** Siblings that could not get it, until when that counts. */
  readonly #unable = new Map<string, number>();
  readonly #holdersAsked = new Set<string>();
  readonly #holdersBusy = new Set<string>();
  /** Siblings whose attempts were mixed. */
  readonly #forgiven = new Set<string>();
  #failure: Failure | undefined;
  /** A sibling has begun again, from whom this attempt has bytes. */
  #isThrownAway = false;
  /** The last byte, or the beginning. */
  #movedAtMs: number;

  constructor(sources: BlobSources, origin: OriginState, { need, isAhead, waiting }: FetchOf) {
    this.#sources = sources;
    this.#origin = origin;
    this.#need = need;
    this.#isAhead = isAhead;
    this.#waiting = waiting;
    this.#movedAtMs = sources.clock.monotonicMs();
  }

  async open(offset: number): Promise<BlobBytes> {
    this.#givers.clear();
    if (offset > 0) this.#givers.set(EARLIER, EARLIER);
    return { offset, bytes: this.#bytes(offset) };
  }

  /** What was received is wrong. True where another attempt asks others: never more often than there are siblings. */
  refute(): boolean {
    const { siblings, events } = this.#sources;
    if (this.#isThrownAway || this.#isOneThatBeganAgain()) {
      this.#isThrownAway = false;
      return true;
    }
    const names = [...new Set(this.#givers.values())];
    const [only] = names;
    for (const name of names) this.#excluded.add(name);
    if (this.#givers.size !== 1 || only === undefined || only === EARLIER) {
      events.bodyRefused("several", names);
      return true;
    }
    events.bodyRefused(only === ORIGIN ? "origin" : "sibling", names);
    if (only !== ORIGIN) siblings.distrust(only);
    return only !== ORIGIN;
  }

  async *#bytes(from: number): AsyncGenerator<Uint8Array> {
    const { siblings, signal } = this.#sources;
    const { digest, sizeBytes } = this.#need;
    for (let at = from; at < sizeBytes; ) {
      if (signal.aborted) throw new Failure("unavailable", `blob ${digest}: this edge stops`, { retryable: true });
      const step = this.#decide();
      switch (step.kind) {
        case "ask-to-fetch":
          at += yield* this.#fromSibling(step.peer, at, "fetch");
          break;
        case "ask-holder":
          // Siblings may have along what was wrong here.
          at += yield* this.#fromSibling(step.peer, at, this.#excluded.size > 0 ? "whole" : "held");
          break;
        case "wait":
          this.#noteWait(step.peer);
          await siblings.pause(this.#waitedMs, signal).catch(() => undefined);
          break;
        case "origin":
          at += yield* this.#fromOrigin(at);
          break;
        case "give-up":
          throw this.#failure ?? new Failure("unavailable", `blob ${digest}: nobody has it`, { retryable: true });
      }
    }
    this.#waiting(undefined);
  }

  get #waitedMs(): number {
    return this.#sources.clock.monotonicMs() - this.#movedAtMs;
  }

  #decide() {
    const { siblings, clock } = this.#sources;
    const isOriginDown = clock.monotonicMs() - this.#origin.failedAtMs < ORIGIN_DOWN_MS;
    return decideFillStep(this.#need.digest, {
      view: siblings.view,
      isAnswering: (name) => siblings.isAnswering(name) && !this.#excluded.has(name),
      answers: this.#answersNow(),
      waitedMs: this.#waitedMs,
      isAhead: this.#isAhead,
      holdersAsked: this.#holdersAsked,
      holdersBusy: this.#holdersBusy,
      isOriginDown,
      hasOriginFailed: this.#failure !== undefined,
    });
  }

  async *#fromSibling(peer: Peer, from: number, mode: BlobMode): AsyncGenerator<Uint8Array, number> {
    const { siblings } = this.#sources;
    const answer = await siblings.ask(peer, { ...this.#need, from, mode });
    if (answer.kind !== "part") {
      this.#noteRefusal(peer, mode, answer.kind);
      return 0;
    }
    if (this.#hasThrownAway(peer, answer.attempt)) {
      answer.discard();
      this.#isThrownAway = true;
      throw new Failure("digest-mismatch", `blob ${this.#need.digest}: edge ${peer.name} began again`, {
        retryable: true,
      });
    }
    this.#givers.set(`${peer.name} ${answer.attempt}`, peer.name);
    return yield* this.#take(peer, mode, answer);
  }

  /** One sibling's whole after what came before it: it may have begun again between the two. That passes for one once. */
  #isOneThatBeganAgain(): boolean {
    const [name = "", ...others] = new Set(this.#givers.values());
    const isSo = others.length === 0 && this.#givers.size > 1 && !this.#forgiven.has(name);
    if (isSo) this.#forgiven.add(name);
    return isSo;
  }

  /** What it gave before was wrong, by its own word. */
  #hasThrownAway({ name }: Peer, attempt: string): boolean {
    const before = [...this.#givers.keys()].filter((giver) => giver.startsWith(`${name} `));
    return attempt !== "whole" && before.some((giver) => giver !== `${name} ${attempt}`);
  }

  async *#take(
    peer: Peer,
    mode: BlobMode,
    { bytes, lengthBytes }: Extract<PartAnswer, { kind: "part" }>,
  ): AsyncGenerator<Uint8Array, number> {
    let received = 0;
    try {
      for await (const chunk of gathered(bytes)) {
        if (received + chunk.byteLength > lengthBytes) break;
        received += chunk.byteLength;
        this.#moved();
        yield chunk;
      }
      if (received === 0) this.#noteRefusal(peer, mode, "unable");
    } catch (error) {
      // What broke off is asked for again, where its sender lives.
      if (!isFailure(error)) throw error;
    } finally {
      if (received > 0) this.#sources.events.filled("sibling", received, this.#need.site);
    }
    return received;
  }

  #noteRefusal({ name }: Peer, mode: BlobMode, kind: FillAnswer | "failed"): void {
    if (mode !== "fetch") (kind === "busy" ? this.#holdersBusy : this.#holdersAsked).add(name);
    else if (kind === "unable") this.#unable.set(name, this.#sources.clock.monotonicMs() + UNABLE_MS);
    // Who is gone is in the order no more.
    else if (kind !== "failed") this.#answers.set(name, kind);
  }

  #answersNow(): ReadonlyMap<string, FillAnswer> {
    const nowMs = this.#sources.clock.monotonicMs();
    for (const [name, untilMs] of [...this.#unable]) if (untilMs <= nowMs) this.#unable.delete(name);
    const unable = [...this.#unable.keys()].map((name) => [name, "unable"] as const);
    return new Map([...this.#answers, ...unable]);
  }

  /** There are more bytes than before: whoever said no may say something else now. */
  #moved(): void {
    this.#answers.clear();
    this.#movedAtMs = this.#sources.clock.monotonicMs();
    this.#waiting(undefined);
  }

  #noteWait({ name }: Peer): void {
    this.#waiting(`edge ${name}, which fetches for the pool`);
    this.#answers.clear();
    this.#holdersBusy.clear();
  }

  /** As far as it may fetch in one go. */
  async #rangeFrom(from: number): Promise<number> {
    const { siblings } = this.#sources;
    const { digest, sizeBytes } = this.#need;
    const hasCompany = siblings.view.siblings.some(({ name }) => siblings.isAnswering(name));
    if (!this.#isAhead || !hasCompany) return sizeBytes;
    const end = Math.min(sizeBytes, from + ORIGIN_RANGE_BYTES);
    this.#waiting("siblings that come along, before the origin is asked for more");
    await this.#origin.lead.take(digest, from, end);
    return end;
  }

  async *#fromOrigin(from: number): AsyncGenerator<Uint8Array, number> {
    const { origin, signal, events, clock } = this.#sources;
    const { digest } = this.#need;
    const end = await this.#rangeFrom(from);
    this.#waiting("the origin");
    let at = from;
    try {
      const { offset, bytes } = await origin(digest, from, signal, end);
      this.#givers.set(ORIGIN, ORIGIN);
      for await (const chunk of gathered(startingAt(from - offset, bytes))) {
        at += chunk.byteLength;
        this.#moved();
        yield chunk;
      }
      if (at < end) this.#failure = this.#shortOf(at);
      this.#origin.failedAtMs = Number.NEGATIVE_INFINITY;
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#failure = error;
      if (error.code === "unavailable") this.#origin.failedAtMs = clock.monotonicMs();
      this.#waiting("the origin, which cannot be reached, or a sibling that has it");
    } finally {
      if (at > from) events.filled("origin", at - from, this.#need.site);
      if (at < end) this.#origin.lead.giveBack(digest, at);
    }
    return at - from;
  }

  #shortOf(at: number): Failure {
    const { digest, sizeBytes } = this.#need;
    return new Failure("digest-mismatch", `blob ${digest}: has ${at} bytes at the origin, not ${sizeBytes}`, {
      retryable: true,
    });
  }
}

async function* startingAt(skippedBytes: number, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let skip = skippedBytes;
  for await (const chunk of bytes) {
    const rest = chunk.subarray(Math.min(skip, chunk.byteLength));
    skip -= chunk.byteLength - rest.byteLength;
    if (rest.byteLength > 0) yield rest;
  }
}
