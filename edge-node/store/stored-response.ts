/** A response as the store keeps it, and the name it is kept under. */
import { createHash } from "node:crypto";
import type { Fields } from "#domain/http/fields.ts";
import type { Freshness } from "../caching/storage.ts";

export interface StoredResponse {
  /** The request target: path and query. */
  readonly key: string;
  /** The fields that Vary names, and their values in the request that was answered. */
  readonly varyNames: readonly string[];
  readonly variant: string;
  readonly status: number;
  readonly fields: Fields;
  readonly freshness: Freshness;
  readonly body: Uint8Array;
  /** SHA-256 of the body, hexadecimal. */
  readonly digest: string;
}

/** Hexadecimal: also a file's name. */
export function idOf({ key, varyNames, variant }: Pick<StoredResponse, "key" | "varyNames" | "variant">): string {
  return createHash("sha256")
    .update(JSON.stringify([key, varyNames, variant]))
    .digest("hex");
}
