/** Entity tags and the conditions on them (RFC 9110 sections 8.8.3 and 13.1). Pure. */
import { splitList } from "./fields.ts";

const ENTITY_TAG = /^(W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/;

export function isEntityTag(text: string): boolean {
  return ENTITY_TAG.test(text);
}

/** Weak comparison: for If-None-Match and caches. */
export function matchesWeakly(a: string, b: string): boolean {
  return opaqueOf(a) === opaqueOf(b);
}

/** Strong comparison: for ranges; a weak tag never matches. */
export function matchesStrongly(a: string, b: string): boolean {
  return !a.startsWith("W/") && a === b;
}

function opaqueOf(tag: string): string {
  return tag.startsWith("W/") ? tag.slice(2) : tag;
}

/** Whether an If-None-Match value names the representation (so that it is "not modified"). */
export function ifNoneMatchNames(value: string, entityTag: string | undefined): boolean {
  if (value.trim() === "*") return true;
  return (
    entityTag !== undefined &&
    splitList(value, "entity-tags").some((tag) => isEntityTag(tag) && matchesWeakly(tag, entityTag))
  );
}
