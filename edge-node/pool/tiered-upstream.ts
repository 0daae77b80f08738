/** What is asked for what the store lacks: a sibling of the pool, then the parent pool, then the site's upstream. */
import { parseCacheControl } from "#domain/http/cache-control.ts";
import { fieldValue } from "#domain/http/fields.ts";
import type { Upstream } from "../request/fetching.ts";
import type { UpstreamRequest, UpstreamResponse } from "../upstream/upstream-client.ts";
import { resumable } from "./resumption.ts";
import { TIER_FIELD } from "./tier-fields.ts";
import type { TierRequests } from "./tier-requests.ts";

export interface TieredOptions {
  readonly site: string;
  readonly upstream: Upstream;
  readonly requests: TierRequests;
  /** What the site never stores is asked of the upstream at once. */
  readonly isBypassed: (target: string) => boolean;
  /** To the head of a peer's answer, which may have to ask the upstream for it. */
  readonly headMsMax: number;
  /** Called with the content of answers as it comes. */
  readonly onBytes: (from: "upstreamBytes" | "peerBytes", bytes: number) => void;
}

export class TieredUpstream implements Upstream {
  readonly #options: TieredOptions;

  constructor(options: TieredOptions) {
    this.#options = options;
  }

  isSuspect(target: string): boolean {
    return this.#options.upstream.isSuspect(target);
  }

  takeProbe(): boolean {
    return this.#options.upstream.takeProbe();
  }

  suspect(target: string): void {
    this.#options.upstream.suspect(target);
  }

  /** A peer that fails before its head costs time and no more; one that breaks off later is gone on from where it was. */
  async fetch(given: UpstreamRequest): Promise<UpstreamResponse> {
    const { upstream, requests, site, headMsMax } = this.#options;
    // Of a user agent, or of the edge that asks this one: nobody's business further on.
    const request = { ...given, fields: new Map([...given.fields].filter(([name]) => name !== TIER_FIELD)) };
    const fetch = async (asked: UpstreamRequest) => this.#counted("upstreamBytes", await upstream.fetch(asked));
    if (!this.#isForTiers(request)) return await fetch(request);
    const response = await requests.ask({ site, headMsMax }, request);
    if (response === undefined) return await fetch(request);
    return resumable(this.#counted("peerBytes", response), request, fetch);
  }

  #counted(from: "upstreamBytes" | "peerBytes", response: UpstreamResponse): UpstreamResponse {
    const { onBytes } = this.#options;
    return {
      ...response,
      body: counted(response.body, (bytes) => onBytes(from, bytes)),
      discard: () => response.discard(),
    };
  }

  /** Only what may be asked twice, and what a cache may have. */
  #isForTiers({ method, body, fields, target }: UpstreamRequest): boolean {
    if (method !== "GET" || body !== undefined || fields.has("authorization")) return false;
    if (parseCacheControl(fieldValue(fields, "cache-control")).has("no-store")) return false;
    return !this.#options.isBypassed(target);
  }
}

async function* counted(body: AsyncIterable<Uint8Array>, onBytes: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    onBytes(chunk.byteLength);
    yield chunk;
  }
}
