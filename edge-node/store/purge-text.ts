/** A purge order as text and back: what the index has of it until it is swept. Pure. */
import type { PurgeMatch } from "#domain/content/purge.ts";
import { isTexts, membersOf, parseJson } from "./head-text.ts";
import type { PurgeOrder } from "./purging.ts";

export function formatOrder(order: PurgeOrder): string {
  return JSON.stringify(order);
}

/** `undefined` for what is no order. */
export function parseOrder(text: string): PurgeOrder | undefined {
  const { kind, spec, atMs } = membersOf(parseJson(text));
  if (kind === "expire") return typeof atMs === "number" ? { kind, atMs } : undefined;
  if (kind !== "purge") return undefined;
  const { site, match: matched, soft, atMs: specMs } = membersOf(spec);
  const match = matchOf(membersOf(matched));
  if (typeof site !== "string" || typeof soft !== "boolean" || typeof specMs !== "number") return undefined;
  return match && { kind, spec: { site, match, soft, atMs: specMs } };
}

function matchOf({ kind, paths, tags, prefix }: Readonly<Record<string, unknown>>): PurgeMatch | undefined {
  if (kind === "all") return { kind };
  if (kind === "paths" && isTexts(paths)) return { kind, paths };
  if (kind === "tags" && isTexts(tags)) return { kind, tags };
  return kind === "prefix" && typeof prefix === "string" ? { kind, prefix } : undefined;
}
