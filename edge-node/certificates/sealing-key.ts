/** The key that secrets are sealed to for this node: made at its first start, and kept beside its identity. */
import { readFile } from "node:fs/promises";
import { isFailure } from "#domain/failure.ts";
import { storageFailure, writeFileDurably } from "#platform/files/durable.ts";
import { exportSealingKey, generateSealingKey, importSealingKey, type SealingKey } from "#platform/identity/sealing.ts";

/** One that is damaged is told and replaced: what was sealed to it is sealed anew once the origin hears of the other. */
export async function openSealingKey(path: string, onDamaged: (error: unknown) => void): Promise<SealingKey> {
  const stored = await readStored(path);
  try {
    if (stored !== undefined) return importSealingKey(stored);
  } catch (error) {
    if (!isFailure(error)) throw error;
    onDamaged(error);
  }
  const made = generateSealingKey();
  await writeFileDurably(path, exportSealingKey(made));
  return made;
}

async function readStored(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw storageFailure(error, path);
  }
}
