/** The agent's incarnations and fences: both only grow, and each is durable before it is used. */
import { readFile } from "node:fs/promises";
import { writeFileDurably } from "#platform/files/durable.ts";
import type { Random } from "#platform/random.ts";

const RANDOM_BYTES = 4;
const DIGITS = 10;

/** Orders the holders of a slot. */
export interface Fence {
  readonly incarnation: string;
  readonly counter: number;
}

export interface Fences {
  /** Of this process: sorts after every one before it. */
  readonly incarnation: string;
  /** Resolves once it is durable. Throws `disk-full`, `storage-failed`. */
  next(): Promise<Fence>;
}

interface Stored {
  readonly starts: number;
  readonly counter: number;
}

/** A file that was lost begins anew, with an incarnation that differs by its random part. */
export async function openFences(path: string, random: Random): Promise<Fences> {
  let stored = await read(path);
  stored = { ...stored, starts: stored.starts + 1 };
  await write(path, stored);
  const suffix = Buffer.from(random.bytes(RANDOM_BYTES)).toString("hex");
  const incarnation = `${String(stored.starts).padStart(DIGITS, "0")}-${suffix}`;
  let writing: Promise<void> = Promise.resolve();
  return {
    incarnation,
    async next() {
      stored = { ...stored, counter: stored.counter + 1 };
      const own = stored;
      // One after the other: the highest is written last.
      writing = writing.catch(() => undefined).then(() => write(path, own));
      await writing;
      return { incarnation, counter: own.counter };
    },
  };
}

function write(path: string, stored: Stored): Promise<void> {
  return writeFileDurably(path, `${stored.starts} ${stored.counter}\n`);
}

async function read(path: string): Promise<Stored> {
  const text = await readFile(path, "utf8").catch(() => "");
  const [starts, counter] = text.trim().split(" ").map(Number);
  const isCount = (value: number | undefined): value is number => Number.isSafeInteger(value);
  return { starts: isCount(starts) ? starts : 0, counter: isCount(counter) ? counter : 0 };
}
