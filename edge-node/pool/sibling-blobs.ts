/** Asks siblings for parts of blobs; remembers which of them are gone, lie, or do not know what this pool is to have. */
import type { Digest } from "#domain/content/release.ts";
import { type Failure, isFailure } from "#domain/failure.ts";
import { fieldValue } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import type { UpstreamResponse } from "../upstream/upstream-client.ts";
import {
  BLOB_FIELD,
  type BlobMode,
  type BlobPart,
  formatBlobFields,
  formatBlobPath,
  formatContentRange,
  PART_BYTES,
} from "./blob-fields.ts";
import type { FillAnswer } from "./fill-plan.ts";
import type { Peer, TierView } from "./membership.ts";
import { PartPlaces } from "./part-places.ts";
import { SiblingHealth } from "./sibling-health.ts";
import type { CallPeer } from "./tier-requests.ts";

/** To the head: a connection, what the sibling waits for a byte that is to come, and some seconds. */
const BLOB_HEAD_MS_MAX = 15_000;
/** A part in this time is 17 KB/s; what has come of it by then is kept. */
const BLOB_PART_MS_MAX = 60_000;
/** Of what a sibling that is full may ask for. */
const RETRY_AFTER_SECONDS_MAX = 10;
/** Changes come to all edges of a pool within a second, of a busy machine within some; who still knows nothing is cut off. */
export const UNKNOWN_MS_MAX = 20_000;
/** Then it may be linked again; one that asks for something itself is heard of at once. */
const UNKNOWING_MS = 120_000;
/** Between two questions of it: nobody asks so seldom that one does not follow from the other. */
const SAME_UNKNOWING_MS = 5_000;
const PAUSE_MS = { least: 50, most: 250 };
/** A pause grows to this with the time that nothing has come: who waits for long asks seldom. */
const PAUSE_MS_MAX = 2_000;

export interface WantedPart {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** The first byte that is wanted. */
  readonly from: number;
  readonly mode: BlobMode;
}

export type PartAnswer =
  | {
      readonly kind: "part";
      readonly lengthBytes: number;
      /** Bytes of two attempts at one sibling need not be of one content. */
      readonly attempt: string;
      /** Throws a `Failure` where it breaks off; the sibling's failure is then noted. */
      readonly bytes: AsyncIterable<Uint8Array>;
      /** Of who does not read them. */
      discard(): void;
    }
  | { readonly kind: FillAnswer | "failed" };

export interface SiblingBlobsOptions {
  readonly view: () => TierView;
  readonly call: CallPeer;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: { askedForBlob(outcome: PartAnswer["kind"]): void };
}

export class SiblingBlobs {
  readonly #options: SiblingBlobsOptions;
  readonly #health: SiblingHealth;
  readonly #places = new PartPlaces();
  /** By sibling: from when to when it knew of nothing that it was asked to fetch. */
  readonly #unknowing = new Map<string, { readonly sinceMs: number; readonly untilMs: number }>();

  constructor(options: SiblingBlobsOptions) {
    this.#options = options;
    this.#health = new SiblingHealth(options.clock, options.random);
  }

  get view(): TierView {
    return this.#options.view();
  }

  /** True also of one that is slow, or full. */
  isAnswering(name: string): boolean {
    const { clock } = this.#options;
    const { sinceMs = 0, untilMs = 0 } = this.#unknowing.get(name) ?? {};
    const isUnknowing = untilMs - sinceMs >= UNKNOWN_MS_MAX && clock.monotonicMs() - untilMs < UNKNOWING_MS;
    return !isUnknowing && !this.#health.isGone(name);
  }

  async ask(peer: Peer, wanted: WantedPart): Promise<PartAnswer> {
    const answer = await this.#askInTurn(peer, wanted);
    this.#options.events.askedForBlob(answer.kind);
    return answer;
  }

  /** It has asked this node for something. */
  heard(name: string): void {
    this.#unknowing.delete(name);
    this.#health.heard(name);
  }

  /** It gave bytes that are not what their digest says. */
  distrust(name: string): void {
    this.#health.distrust(name);
  }

  /** Between two turns of questions, where nothing has come for `waitedMs`; jittered, so that not all ask at once. */
  async pause(waitedMs: number, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    const most = Math.min(PAUSE_MS_MAX, Math.max(PAUSE_MS.most, waitedMs / 4));
    await clock.sleep(PAUSE_MS.least + random.ratio() * (most - PAUSE_MS.least), signal);
  }

  /** Those that have left are forgotten. */
  keep(names: ReadonlySet<string>): void {
    this.#health.keep(names);
    for (const name of [...this.#unknowing.keys()]) if (!names.has(name)) this.#unknowing.delete(name);
  }

  async #askInTurn(peer: Peer, wanted: WantedPart): Promise<PartAnswer> {
    const place = await this.#places.take(peer.name);
    // What those before found out counts.
    const answer = this.#health.mayAsk(peer.name) ? await this.#ask(peer, wanted) : ({ kind: "busy" } as const);
    if (answer.kind !== "part") {
      place[Symbol.dispose]();
      return answer;
    }
    const discard = (): void => {
      answer.discard();
      place[Symbol.dispose]();
    };
    return { ...answer, bytes: holding(place, answer.bytes), discard };
  }

  async #ask(peer: Peer, { digest, mode, from: start, sizeBytes }: WantedPart): Promise<PartAnswer> {
    const { call, clock } = this.#options;
    const part = { digest, mode, start, end: Math.min(sizeBytes, start + PART_BYTES) - 1 };
    const askedAtMs = clock.monotonicMs();
    try {
      const request = { method: "GET", target: formatBlobPath(digest), fields: formatBlobFields(part) } as const;
      const response = await call(peer, request, BLOB_HEAD_MS_MAX);
      const lengthBytes = lengthOf(response, part, sizeBytes);
      if (lengthBytes !== undefined) {
        this.#health.heard(peer.name);
        this.#unknowing.delete(peer.name);
        const attempt = fieldValue(response.fields, BLOB_FIELD) ?? "";
        const discard = () => response.discard();
        return { kind: "part", lengthBytes, attempt, bytes: this.#bytesOf(response, peer), discard };
      }
      response.discard();
      return { kind: this.#refusal(peer.name, response, mode) };
    } catch (error) {
      if (!isFailure(error)) throw error;
      return { kind: this.#noteFailure(peer.name, error, askedAtMs) };
    }
  }

  /** Only where nobody listens is it known to be gone; a question that was lost is asked again. */
  #noteFailure(name: string, failure: Failure, askedAtMs: number): "failed" | "busy" {
    if (failure.detail["isDown"] === true) this.#health.notAsked(name);
    else if (failure.detail["isUnreached"] === true && failure.code !== "upstream-timeout") {
      this.#health.unreached(name);
    } else this.#health.silent(name, askedAtMs);
    return this.#health.isGone(name) ? "failed" : "busy";
  }

  #refusal(name: string, { status, fields }: UpstreamResponse, mode: BlobMode): FillAnswer | "failed" {
    if (status === 503 || status === 409) {
      const seconds = Number(fieldValue(fields, "retry-after") ?? 0);
      if (seconds > 0) this.#health.isFullFor(name, Math.min(RETRY_AFTER_SECONDS_MAX, seconds) * 1000);
      else this.#health.heard(name);
      return "busy";
    }
    if (status === 404 || status === 502) this.#health.heard(name);
    if (status === 502) return "unable";
    if (status === 404) {
      if (mode === "fetch") this.#noteUnknowing(name);
      return "absent";
    }
    // It does not take this node for its sibling, or speaks an earlier version: both may pass.
    this.#health.unreached(name);
    return "failed";
  }

  #noteUnknowing(name: string): void {
    const nowMs = this.#options.clock.monotonicMs();
    const before = this.#unknowing.get(name);
    const isSame = before !== undefined && nowMs - before.untilMs < SAME_UNKNOWING_MS;
    this.#unknowing.set(name, { sinceMs: isSame ? before.sinceMs : nowMs, untilMs: nowMs });
  }

  /** Who has sent a part of it lives; who stops in the middle may not. */
  async *#bytesOf(response: UpstreamResponse, { name }: Peer): AsyncGenerator<Uint8Array> {
    const { clock } = this.#options;
    using _limit = clock.timer(BLOB_PART_MS_MAX, () => response.discard());
    try {
      for await (const chunk of response.body) {
        this.#health.heard(name);
        yield chunk;
      }
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#noteFailure(name, error, clock.monotonicMs());
      throw error;
    } finally {
      response.discard();
    }
  }
}

/** Of what was asked for; what is held may be less, and goes on from the same byte. `undefined` of anything else. */
function lengthOf({ status, fields }: UpstreamResponse, part: BlobPart, sizeBytes: number): number | undefined {
  const range = fieldValue(fields, "content-range");
  if (status !== 206 || range === undefined) return undefined;
  const last = Number(/^bytes \d+-(\d+)\//.exec(range)?.[1]);
  const end = part.mode === "held" && last >= part.start && last < part.end ? last : part.end;
  return range === formatContentRange({ start: part.start, end }, sizeBytes) ? end + 1 - part.start : undefined;
}

async function* holding(place: Disposable, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  using _place = place;
  yield* bytes;
}
