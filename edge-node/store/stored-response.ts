/** A response as the store keeps it: its head, and its body in memory or in a file. */
import { type Fields, fieldValue, listMembers } from "#domain/http/fields.ts";
import { currentAgeSeconds } from "../caching/lookup.ts";
import type { Freshness } from "../caching/storage.ts";

export interface ResponseHead {
  /** The site that it belongs to: sites share a store, not responses. */
  readonly site: string;
  /** Scheme and host that it was asked for under, `https://shop.example` (RFC 6454 section 4). */
  readonly webOrigin: string;
  /** The request target: path and query. */
  readonly key: string;
  /** Which slice of the representation the body is; absent for all of it, below 0 for all of it in a content coding. */
  readonly slice?: number;
  /** The fields that Vary names, and their values in the request that was answered. */
  readonly varyNames: readonly string[];
  readonly variant: string;
  readonly status: number;
  readonly fields: Fields;
  readonly freshness: Freshness;
  /** When the upstream was asked, epoch milliseconds: a purge is for what was asked for before it. */
  readonly requestedAtMs: number;
}

/** A body that is read part by part, each verified before it is given out. */
export interface OpenBody extends AsyncDisposable {
  /** Bytes `start` to `last`, both included; throws where they are not those that were stored. */
  read(start: number, last: number): AsyncGenerator<Uint8Array>;
}

export interface FileBody {
  /** Never given to another body. */
  readonly file: string;
  readonly byteLength: number;
  /** `undefined` where it is gone. */
  open(): Promise<OpenBody | undefined>;
}

export interface StoredResponse extends ResponseHead {
  readonly body: Uint8Array | FileBody;
}

/** What responses are found by; their slices and variants share it. No part of it has a space. */
export function cacheKeyOf({ site, webOrigin, key }: Pick<ResponseHead, "site" | "webOrigin" | "key">): string {
  return `${site} ${webOrigin}${key}`;
}

/** More would make one response a load on the index. */
export const TAGS_MAX = 64;
const TAG_CHARACTERS_MAX = 128;

/** What a purge by tag calls it: members of Cache-Tag, and of Surrogate-Key, which are parted by spaces. */
export function tagsOf(fields: Fields): readonly string[] {
  const tags = listMembers(fieldValue(fields, "cache-tag") ?? "");
  const keys = (fieldValue(fields, "surrogate-key") ?? "").split(/[\s,]+/);
  const named = [...tags, ...keys].filter((tag) => tag !== "" && tag.length <= TAG_CHARACTERS_MAX);
  return [...new Set(named)].slice(0, TAGS_MAX);
}

/** As a soft purge leaves it: stale since `atMs`, and validated before use unless the upstream fails. */
export function softened(freshness: Freshness, atMs: number): Freshness {
  const ageSeconds = currentAgeSeconds(freshness, atMs);
  return { ...freshness, alwaysValidate: true, lifetimeSeconds: Math.min(freshness.lifetimeSeconds, ageSeconds) };
}
