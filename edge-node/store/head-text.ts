/** A stored response's head as text and back; what is not a head reads as `undefined`. Pure. */
import type { Fields } from "#domain/http/fields.ts";
import type { Freshness } from "../caching/storage.ts";
import type { ResponseHead } from "./stored-response.ts";

type HeadOfText = Pick<ResponseHead, "webOrigin" | "varyNames" | "status" | "fields" | "freshness" | "requestedAtMs">;

export function formatHead({ webOrigin, varyNames, status, fields, freshness, requestedAtMs }: HeadOfText): string {
  return JSON.stringify({ webOrigin, varyNames, status, fields: [...fields], freshness, requestedAtMs });
}

export function parseHead(text: string): HeadOfText | undefined {
  const head = membersOf(parseJson(text));
  const freshness = freshnessOf(membersOf(head["freshness"]));
  const fields = fieldsOf(head["fields"]);
  const { status, requestedAtMs, varyNames, webOrigin } = head;
  if (freshness === undefined || fields === undefined || !isTexts(varyNames)) return undefined;
  if (typeof status !== "number" || typeof requestedAtMs !== "number" || typeof webOrigin !== "string")
    return undefined;
  return { webOrigin, varyNames, status, fields, freshness, requestedAtMs };
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}

export function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((member) => typeof member === "string");
}

function fieldsOf(value: unknown): Fields | undefined {
  if (!Array.isArray(value)) return undefined;
  const fields = new Map<string, readonly string[]>();
  for (const entry of value) {
    const [name, values]: readonly unknown[] = Array.isArray(entry) ? entry : [];
    if (typeof name !== "string" || !isTexts(values)) return undefined;
    fields.set(name, values);
  }
  return fields;
}

function freshnessOf(value: Readonly<Record<string, unknown>>): Freshness | undefined {
  const { receivedAtMs, initialAgeSeconds, lifetimeSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = value;
  const { alwaysValidate, neverStale, hasSharedLifetime } = value;
  if (typeof receivedAtMs !== "number" || typeof initialAgeSeconds !== "number") return undefined;
  if (typeof lifetimeSeconds !== "number" || typeof staleWhileRevalidateSeconds !== "number") return undefined;
  if (typeof staleIfErrorSeconds !== "number" || typeof alwaysValidate !== "boolean") return undefined;
  if (typeof neverStale !== "boolean" || typeof hasSharedLifetime !== "boolean") return undefined;
  const ages = { receivedAtMs, initialAgeSeconds, lifetimeSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds };
  return { ...ages, alwaysValidate, neverStale, hasSharedLifetime };
}
