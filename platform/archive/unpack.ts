/** Unpacks brotli-compressed files and tar archives into a folder, bounded in bytes and whole or not at all. */
import { createReadStream, createWriteStream } from "node:fs";
import { chmod, link, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { brotliDecompress, createBrotliDecompress } from "node:zlib";
import { Failure } from "#domain/failure.ts";
import { parseTar } from "./tar.ts";

export interface Unpacking {
  readonly archive: string;
  /** What to make; left alone where it exists already. */
  readonly target: string;
  /** Bound of the unpacked bytes, against an archive that unpacks without end. */
  readonly unpackedBytesMax: number;
}

/** Makes the folder `target` from a `.tar.br`. Idempotent; two processes may do it at once. Throws `archive-invalid`. */
export async function unpackTarBrotli(unpacking: Unpacking): Promise<void> {
  await makeWhole(unpacking.target, rename, async (draft) => {
    const packed = await readFile(unpacking.archive);
    const tar = await promisify(brotliDecompress)(packed, { maxOutputLength: unpacking.unpackedBytesMax }).catch(
      (cause: unknown) => {
        throw new Failure("archive-invalid", `${unpacking.archive}: does not unpack`, { cause });
      },
    );
    await mkdir(draft);
    for (const entry of parseTar(tar)) {
      const path = join(draft, entry.path);
      await mkdir(entry.kind === "directory" ? path : dirname(path), { recursive: true });
      if (entry.kind === "file") await writeFile(path, entry.content, { mode: entry.executable ? 0o755 : 0o644 });
    }
  });
}

/** Makes the executable file `target` from a `.br`, streaming. Idempotent; two processes may do it at once. Throws `archive-invalid`. */
export async function unpackExecutable(unpacking: Unpacking): Promise<void> {
  // A file renamed over another takes it from who runs it already; a link does not.
  await makeWhole(unpacking.target, link, async (draft) => {
    const steps = [createReadStream(unpacking.archive), createBrotliDecompress(), limitBytes(unpacking)] as const;
    await pipeline(...steps, createWriteStream(draft)).catch((cause: unknown) => {
      throw new Failure("archive-invalid", `${unpacking.archive}: does not unpack`, { cause });
    });
    await chmod(draft, 0o755);
  });
}

function limitBytes({ archive, unpackedBytesMax }: Unpacking): Transform {
  let passedBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      passedBytes += chunk.length;
      if (passedBytes <= unpackedBytesMax) return done(null, chunk);
      done(new Failure("archive-invalid", `${archive}: unpacks to more than ${unpackedBytesMax} bytes`));
    },
  });
}

/** Writes a draft beside the target and puts it in its place: a crash half-way leaves no half target, and the first one stays. */
async function makeWhole(
  target: string,
  place: (draft: string, target: string) => Promise<void>,
  write: (draft: string) => Promise<void>,
): Promise<void> {
  if (await exists(target)) return;
  await mkdir(dirname(target), { recursive: true });
  const folder = await mkdtemp(join(dirname(target), ".unpacking-"));
  try {
    const draft = join(folder, "draft");
    await write(draft);
    await place(draft, target).catch(async (error: unknown) => {
      if (!(await exists(target))) throw error;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
