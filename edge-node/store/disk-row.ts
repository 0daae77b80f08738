/** A stored response as a row of the disk's index, with a digest over itself; what it takes of the disk. Pure but for SHA-256. */
import { createHash } from "node:crypto";
import type { BodySeal } from "./body-file.ts";
import { formatHead, parseHead } from "./head-text.ts";
import { cacheKeyOf, type ResponseHead, softened, tagsOf } from "./stored-response.ts";

/** Files have whole blocks. */
const BLOCK_BYTES = 4096;
/** Numbers, digest, file name twice, the row's place in five indexes, the file's name in its folder: `npm run bench:store`. */
const ROW_OVERHEAD_BYTES = 400;
const TAG_OVERHEAD_BYTES = 32;

export interface IndexedResponse extends BodySeal {
  readonly id: number;
  readonly head: ResponseHead;
  readonly file: string;
  readonly bytes: number;
  readonly frequency: number;
}

/** The body in whole blocks, and the row with what the indexes repeat of it. */
export function bytesOnDisk(head: ResponseHead, { bodyBytes, slices }: BodySeal): number {
  const names = 2 * cacheKeyOf(head).length + 2 * (head.site.length + head.key.length) + head.variant.length;
  const tags = tagsOf(head.fields).reduce((sum, tag) => sum + tag.length + TAG_OVERHEAD_BYTES, 0);
  const rowBytes = Buffer.byteLength(formatHead(head)) + names + tags + slices.byteLength + ROW_OVERHEAD_BYTES;
  return Math.ceil(bodyBytes / BLOCK_BYTES) * BLOCK_BYTES + rowBytes;
}

/** `undefined` where the row is not what was written. */
export function responseOf(row: Readonly<Record<string, unknown>>): IndexedResponse | undefined {
  const { id, site, key, variant, head: text, soft_ms: softMs, file, slices, digest } = row;
  if (typeof text !== "string" || typeof site !== "string" || typeof key !== "string") return undefined;
  if (typeof variant !== "string" || typeof file !== "string") return undefined;
  if (!(slices instanceof Uint8Array) || !(digest instanceof Uint8Array)) return undefined;
  const seal = { bodyBytes: Number(row["body_bytes"]), slices };
  const parsed = parseHead(text);
  if (parsed === undefined) return undefined;
  const slice = typeof row["slice"] === "number" ? { slice: row["slice"] } : {};
  const named = { site, webOrigin: parsed.webOrigin, key, variant, ...slice };
  if (!digestOf(text, named, seal).equals(digest)) return undefined;
  const freshness = typeof softMs === "number" ? softened(parsed.freshness, softMs) : parsed.freshness;
  const head = { ...parsed, freshness, ...named };
  return { ...seal, id: Number(id), head, file, bytes: Number(row["bytes"]), frequency: Number(row["frequency"]) };
}

/** Over all that an answer is made of, so that a row which the disk has changed is seen. */
export function digestOf(
  text: string,
  head: Pick<ResponseHead, "site" | "webOrigin" | "key" | "slice" | "variant">,
  { bodyBytes, slices }: BodySeal,
): Buffer {
  const named = [text, cacheKeyOf(head), head.slice, head.variant, bodyBytes];
  const hash = createHash("sha256").update(JSON.stringify(named));
  return hash.update(slices).digest();
}

export function isSameVariant(a: ResponseHead, b: ResponseHead): boolean {
  return a.variant === b.variant && a.varyNames.join() === b.varyNames.join();
}
