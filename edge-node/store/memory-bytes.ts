/** What a stored response takes of memory: its body, its text, and the objects around them. Pure. */
import type { StoredResponse } from "./stored-response.ts";

/** The entry, its slots in maps and heap, the response, its freshness, the body's buffer: by `npm run bench:store`. */
const ENTRY_OVERHEAD_BYTES = 1024;
/** A field's place in the map, its list and its two strings. */
const FIELD_OVERHEAD_BYTES = 128;
/** Text is there as fields and as the bytes that a hit is answered with. */
const TEXT_COPIES = 2;

export function memoryBytesOf({ body, fields, site, webOrigin, key, variant }: StoredResponse): number {
  let text = site.length + webOrigin.length + 2 * key.length + variant.length;
  for (const [name, values] of fields) {
    text += name.length;
    for (const value of values) text += value.length;
  }
  const bodyBytes = body instanceof Uint8Array ? body.byteLength : 0;
  return bodyBytes + ENTRY_OVERHEAD_BYTES + fields.size * FIELD_OVERHEAD_BYTES + text * TEXT_COPIES;
}
