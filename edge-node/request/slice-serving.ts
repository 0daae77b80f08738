/** Answers a range on a miss from slices of the representation, fetched and stored one by one. */
import { Failure } from "#domain/failure.ts";
import { type Fields, fieldValue } from "#domain/http/fields.ts";
import { parseRange, type ResolvedRange } from "#domain/http/range.ts";
import { currentAgeSeconds, decideLookup } from "../caching/lookup.ts";
import { isSameRepresentation, parseContentRange, SLICE_BYTES, sliceOf } from "../caching/slices.ts";
import { variantKey } from "../caching/variants.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import type { UpstreamResponse } from "../upstream/upstream-client.ts";
import type { EdgeRequest } from "./edge-request.ts";
import {
  type Arriving,
  type Fetching,
  type FetchingOptions,
  type FlightOptions,
  failingOf,
  type PassReason,
} from "./fetching.ts";
import { type Answer, bytesOfStored, partOf } from "./sending.ts";

/** A slice that is stored, or arrives. */
type Slice = StoredResponse | Arriving;

export type SliceAnswer =
  | { readonly kind: "answer"; readonly answer: Answer; readonly isHit: boolean }
  /** The upstream has answered with something else: the request's own, where it may be used for it. */
  | { readonly kind: "pass"; readonly response: UpstreamResponse; readonly because: PassReason }
  /** To be passed on as it was asked; where it says so, the next ones too. */
  | { readonly kind: "forward"; readonly because?: PassReason }
  | { readonly kind: "failed"; readonly failure: Failure };

type Obtained =
  | { readonly kind: "slice"; readonly slice: Slice; readonly isHit: boolean }
  | { readonly kind: "whole"; readonly response: Arriving }
  | Exclude<SliceAnswer, { kind: "answer" }>;

/** Where a range on a miss begins; `undefined` where the whole may as well be fetched. */
export function firstSliceOf(request: EdgeRequest): number | undefined {
  const asked = request.method === "GET" ? parseRange(fieldValue(request.fields, "range")) : undefined;
  if (asked === undefined) return undefined;
  const isAllOfIt = asked.first === 0 && asked.last === undefined;
  return isAllOfIt ? undefined : sliceOf(asked.first ?? 0);
}

export class SliceServing {
  readonly #options: FetchingOptions;
  readonly #fetching: Fetching;

  constructor(options: FetchingOptions, fetching: Fetching) {
    this.#options = options;
    this.#fetching = fetching;
  }

  /** `fwd` is why the upstream would be asked, in the words of Cache-Status. */
  async answer(
    request: EdgeRequest,
    first: number,
    fwd: string,
    onInterim: FlightOptions["onInterim"],
  ): Promise<SliceAnswer> {
    const obtained = await this.#obtain(request, first, onInterim);
    if (obtained.kind === "whole")
      return { kind: "answer", answer: this.#wholeAnswer(obtained.response, fwd), isHit: false };
    if (obtained.kind !== "slice") return obtained;
    const { slice, isHit } = obtained;
    const sizeBytes = parseContentRange(slice.fields)?.sizeBytes ?? 0;
    const fields = new Map([...slice.fields, ["content-length", [String(sizeBytes)]] as const]);
    fields.delete("content-range");
    const body = (range: ResolvedRange = { start: 0, end: sizeBytes - 1 }) => this.#body(request, first, slice, range);
    const cacheStatus = isHit ? "hit" : `${fwd}; stored`;
    const answer = { status: 200, fields, ageSeconds: this.#ageOf(slice), cacheStatus, body };
    return { kind: "answer", answer, isHit };
  }

  #wholeAnswer(response: Arriving, fwd: string): Answer {
    const body = (range?: ResolvedRange) => partOf(response.filling.read(), range);
    return { ...response, ageSeconds: this.#ageOf(response), cacheStatus: `${fwd}; stored`, body, isArriving: true };
  }

  /** The next slice is fetched while one is sent. Throws where one is not of the same representation. */
  async *#body(request: EdgeRequest, first: number, slice: Slice, { start, end }: ResolvedRange) {
    const take = (index: number) => (index === first ? slice : this.#sameAs(slice, request, index));
    let next: Slice | Promise<Slice> = take(sliceOf(start));
    for (let index = sliceOf(start); index <= sliceOf(end); index += 1) {
      const current: Slice = await next;
      if (index < sliceOf(end)) {
        next = take(index + 1);
        // Where it fails it is thrown when its turn comes; a reader who has left does not come to it.
        if (next instanceof Promise) next.catch(() => undefined);
      }
      const from = index * SLICE_BYTES;
      const range = { start: Math.max(0, start - from), end: Math.min(SLICE_BYTES, end + 1 - from) - 1 };
      yield* "filling" in current ? partOf(current.filling.read(), range) : bytesOfStored(current, range);
    }
  }

  async #sameAs(first: Slice, request: EdgeRequest, index: number): Promise<Slice> {
    const obtained = await this.#obtain(request, index);
    if (obtained.kind === "failed") throw obtained.failure;
    if (obtained.kind === "pass") obtained.response.discard();
    if (obtained.kind === "slice" && isSameRepresentation(first.fields, obtained.slice.fields)) return obtained.slice;
    this.#options.store.remove(this.#fetching.keyOf(request));
    throw new Failure("upstream-malformed", `${request.target}: became another representation between two slices`);
  }

  async #obtain(request: EdgeRequest, slice: number, onInterim?: FlightOptions["onInterim"]): Promise<Obtained> {
    const stored = await this.#options.store.find(this.#fetching.keyOf(request), request.fields, slice);
    const decision = decideLookup(stored?.freshness ?? "uri-miss", request.asked, this.#options.clock.nowMs());
    if (decision.kind === "serve" && stored !== undefined) return { kind: "slice", slice: stored, isHit: true };
    const joined = this.#fetching.find(request, slice);
    const flight = joined ?? this.#fetching.start(request, { stored, slice, onInterim });
    if (flight === undefined) return { kind: "forward" };
    if (decision.kind === "serve-stale-and-revalidate" && stored !== undefined)
      return { kind: "slice", slice: stored, isHit: true };
    const outcome = await flight.outcome;
    switch (outcome.kind) {
      case "failed":
        return this.#onFailure(stored, outcome.failure);
      case "validated":
        return { kind: "slice", slice: outcome.stored, isHit: false };
      case "pass":
        if (joined !== undefined) return { kind: "forward" };
        if (outcome.response.status !== 206) return outcome;
        outcome.response.discard();
        return { kind: "forward", because: outcome.because };
      case "arriving": {
        const { response } = outcome;
        if (!isFor(response, request.fields)) return { kind: "forward" };
        return response.slice === slice
          ? { kind: "slice", slice: response, isHit: false }
          : { kind: "whole", response };
      }
    }
  }

  #onFailure(stored: StoredResponse | undefined, failure: Failure): Obtained {
    if (stored !== undefined && this.#fetching.onFailure(stored, failingOf(failure)).kind === "serve-stale")
      return { kind: "slice", slice: stored, isHit: true };
    return { kind: "failed", failure };
  }

  #ageOf({ freshness }: Slice): number {
    return currentAgeSeconds(freshness, this.#options.clock.nowMs());
  }
}

function isFor({ varyNames, variant, filling }: Arriving, request: Fields): boolean {
  return filling.isJoinable && variantKey(varyNames, request) === variant;
}
