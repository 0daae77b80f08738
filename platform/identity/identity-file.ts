/** A node's identity on disk: key, chain and the keys it trusts in one file, so that they change together or not at all. */
import { readFile } from "node:fs/promises";
import { Failure } from "#domain/failure.ts";
import { storageFailure, writeFileDurably } from "../files/durable.ts";

export interface StoredKey {
  readonly keyId: string;
  /** SubjectPublicKeyInfo, DER, base64. */
  readonly spki: string;
}

export interface StoredIdentity {
  readonly keyPem: string;
  /** Leaf first. */
  readonly chainPem: string;
  readonly authoritiesPem: string;
  readonly streamKeys: readonly StoredKey[];
  readonly publishKeys: readonly StoredKey[];
  readonly tokenKeys: readonly StoredKey[];
  readonly epoch: number;
}

/** `undefined` where there is none yet; throws `storage-failed` for one that cannot be read. */
export async function readIdentity(path: string): Promise<StoredIdentity | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw storageFailure(error, path);
  }
  const stored = parseJson(text);
  if (isIdentity(stored)) return stored;
  throw new Failure(
    "storage-failed",
    `${path} is damaged: restore it from a backup, or remove it and join again with a new token`,
  );
}

/** Readable by its owner only. */
export function writeIdentity(path: string, identity: StoredIdentity): Promise<void> {
  return writeFileDurably(path, `${JSON.stringify(identity)}\n`, 0o600);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isIdentity(value: unknown): value is StoredIdentity {
  if (!isRecord(value)) return false;
  const texts = ["keyPem", "chainPem", "authoritiesPem"].every((name) => typeof value[name] === "string");
  const keys = ["streamKeys", "publishKeys", "tokenKeys"].every((name) => isKeys(value[name]));
  return texts && keys && Number.isSafeInteger(value["epoch"]);
}

function isKeys(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.every((key) => isRecord(key) && typeof key["keyId"] === "string" && typeof key["spki"] === "string")
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
