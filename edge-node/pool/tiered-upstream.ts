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
    if (!this.#isForTiers(request)) return await upstream.fetch(request);
    const response = await requests.ask({ site, headMsMax }, request);
    if (response === undefined) return await upstream.fetch(request);
    return resumable(response, request, (rest) => upstream.fetch(rest));
  }

  /** Only what may be asked twice, and what a cache may have. */
  #isForTiers({ method, body, fields, target }: UpstreamRequest): boolean {
    if (method !== "GET" || body !== undefined || fields.has("authorization")) return false;
    if (parseCacheControl(fieldValue(fields, "cache-control")).has("no-store")) return false;
    return !this.#options.isBypassed(target);
  }
}
