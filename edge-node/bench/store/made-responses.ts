/** Responses as a site of small files sends them, by number. */
import { fieldsOf } from "#domain/http/fields.ts";
import { decideStorage } from "../../caching/storage.ts";
import { cacheKeyOf, type ResponseHead } from "../../store/stored-response.ts";

/** What the stand-alone edge stores under. */
export const SITE = "standalone";
const WEB_ORIGIN = "http://bench.example";
export const NO_FIELDS = fieldsOf([]);
const BODY_BYTES = 1000;

export function madeHead(number: number, requestedAtMs: number): ResponseHead {
  const fields = fieldsOf([
    ...["content-type", "image/webp", "content-length", String(BODY_BYTES), "cache-control", "public, max-age=864000"],
    ...["etag", `"${number.toString(16).padStart(16, "0")}"`, "last-modified", "Tue, 24 Nov 2026 08:00:00 GMT"],
    ...["date", "Wed, 25 Nov 2026 08:00:00 GMT", "surrogate-key", `all group-${number % 1000}`, "server", "origin/1.0"],
    ...["accept-ranges", "bytes", "x-request-id", `${number}-5f0e6a52`],
  ]);
  const facts = { status: 200, fields, requestedAtMs, receivedAtMs: requestedAtMs };
  const decision = decideStorage({ method: "GET", fields: NO_FIELDS }, facts);
  if (decision.kind === "pass") throw new Error(decision.because);
  const { freshness } = decision;
  const named = { site: SITE, webOrigin: WEB_ORIGIN, key: madePath(number) };
  return { ...named, varyNames: [], variant: "", status: 200, fields, freshness, requestedAtMs };
}

export function madePath(number: number): string {
  return `/assets/products/${number % 1000}/image-${number}.webp`;
}

export function madeKey(number: number): string {
  return cacheKeyOf({ site: SITE, webOrigin: WEB_ORIGIN, key: madePath(number) });
}

export function madeBody(number: number): Buffer {
  return Buffer.alloc(BODY_BYTES, `${number} `);
}
