/** Objects of the torture: the body of a version is made from its name, so that a wrong byte is seen without a copy. Pure. */
import { type Fields, fieldsOf, fieldValue } from "#domain/http/fields.ts";
import { decideStorage } from "../../caching/storage.ts";
import { cacheKeyOf, type ResponseHead } from "../../store/stored-response.ts";

export const SITE = "torture";
const WEB_ORIGIN = "http://torture.example";
export const NO_FIELDS = fieldsOf([]);
/** Keys of a group have a tag and a prefix of their own. */
export const GROUPS = 8;
/** Most bodies are small, some of several slices, a few too large for memory. */
const SIZES = [0, 1, 300, 1000, 4096, 9000, 20_000, 20_000, 60_000, 262_144, 262_145, 700_000, 1_500_000];

/** `number` is the object's, `version` is never used twice; both are whole numbers. */
export interface Version {
  readonly number: number;
  readonly version: number;
}

export const pathOf = (number: number) => `/group-${number % GROUPS}/object-${number}`;
export const groupPrefix = (group: number) => `/group-${group}/`;
export const groupTag = (group: number) => `group-${group}`;

export function keyOf(number: number): string {
  return cacheKeyOf({ site: SITE, webOrigin: WEB_ORIGIN, key: pathOf(number) });
}

export function headOf({ number, version }: Version, requestedAtMs: number): ResponseHead {
  const fields = fieldsOf([
    ...["cache-control", "max-age=86400", "x-version", String(version)],
    ...["surrogate-key", groupTag(number % GROUPS)],
  ]);
  const facts = { status: 200, fields, requestedAtMs, receivedAtMs: requestedAtMs };
  const decision = decideStorage({ method: "GET", fields: NO_FIELDS }, facts);
  if (decision.kind === "pass") throw new Error(decision.because);
  const named = { site: SITE, webOrigin: WEB_ORIGIN, key: pathOf(number), varyNames: [], variant: "" };
  return { ...named, status: 200, fields, freshness: decision.freshness, requestedAtMs };
}

export function versionOf(fields: Fields): number {
  return Number(fieldValue(fields, "x-version"));
}

export function bodyOf({ number, version }: Version): Buffer {
  const bytes = SIZES[(version * 7 + number) % SIZES.length] ?? 0;
  const body = Buffer.alloc(bytes, `${number}:${version};`);
  for (let at = 0; at + 4 <= bytes; at += 4096) body.writeUInt32LE((at ^ (version * 2_654_435_761)) >>> 0, at);
  return body;
}
