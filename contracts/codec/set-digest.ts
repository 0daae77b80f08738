/** A digest of a set of resources that is kept up to date row by row: the sum, modulo 2^256, of each row's SHA-256. */
import { createHash } from "node:crypto";
import type { AnyResource } from "#domain/resource.ts";

const MODULUS = 1n << 256n;
const HEX_LENGTH = 64;

/** Order does not matter; adding and removing the same row cancel out. Finds drift; what keeps liars out is the batch's signature. */
export interface SetDigest {
  add(resource: AnyResource): void;
  remove(resource: AnyResource): void;
  /** 64 hexadecimal digits. */
  toHex(): string;
}

export function createSetDigest(initialHex = "0"): SetDigest {
  let sum = BigInt(`0x${initialHex}`);
  return {
    add(resource) {
      sum = (sum + digestOf(resource)) % MODULUS;
    },
    remove(resource) {
      sum = (sum - digestOf(resource) + MODULUS) % MODULUS;
    },
    toHex: () => sum.toString(16).padStart(HEX_LENGTH, "0"),
  };
}

export function setDigestOf(resources: Iterable<AnyResource>): string {
  const digest = createSetDigest();
  for (const resource of resources) digest.add(resource);
  return digest.toHex();
}

/** The version stands for the content: no two contents of one resource have the same one within an epoch. */
function digestOf({ kind, metadata }: AnyResource): bigint {
  const key = `${kind}/${metadata.name}@${metadata.resourceVersion}`;
  return BigInt(`0x${createHash("sha256").update(key).digest("hex")}`);
}
