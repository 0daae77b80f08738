/** Tests of the tar reader and the bounded unpacking. */
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import fc from "fast-check";
import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { testFolder } from "#test/test-folder.ts";
import { parseTar } from "./tar.ts";
import { unpackExecutable, unpackTarBrotli } from "./unpack.ts";

interface Member {
  readonly path: string;
  readonly content: Uint8Array;
  readonly type?: string;
  readonly mode?: number;
}

function makeTar(members: readonly Member[]): Buffer {
  const blocks = members.flatMap(({ path, content, type = "0", mode = 0o644 }) => {
    const header = Buffer.alloc(512);
    header.write(path, 0, 100, "latin1");
    header.write(`${mode.toString(8).padStart(7, "0")}\0`, 100);
    header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write("        ", 148);
    header.write(type, 156);
    header.write("ustar\0", 257);
    header.write("00", 263);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

const isArchiveInvalid = (run: () => unknown): boolean => {
  try {
    run();
    return false;
  } catch (error) {
    return isFailure(error, "archive-invalid");
  }
};

t.test("every archive that is written is read back whole", async (t) => {
  const member = fc.record({
    path: fc.stringMatching(/^[a-z]{1,9}(\/[a-z]{1,9}){0,3}$/),
    content: fc.uint8Array({ maxLength: 1500 }),
  });
  fc.assert(
    fc.property(fc.array(member, { maxLength: 6 }), (members) => {
      const read = parseTar(makeTar(members)).map(({ path, content }) => [path, Buffer.from(content).toString("hex")]);
      t.same(
        read,
        members.map(({ path, content }) => [path, Buffer.from(content).toString("hex")]),
      );
    }),
    { numRuns: 60 },
  );
});

t.test("paths that leave the folder, links and devices are refused", async (t) => {
  const content = Buffer.from("x");
  for (const path of ["../a", "a/../../b", "/etc/passwd", "a\\b", "./.", ".."]) {
    t.ok(
      isArchiveInvalid(() => parseTar(makeTar([{ path, content }]))),
      `path ${path}`,
    );
  }
  for (const type of ["1", "2", "3", "4", "6", "L", "x"]) {
    t.ok(
      isArchiveInvalid(() => parseTar(makeTar([{ path: "a", content, type }]))),
      `type ${type}`,
    );
  }
});

t.test("a damaged or truncated archive is refused, never read in part", async (t) => {
  const whole = makeTar([{ path: "a/b", content: Buffer.alloc(700, 7) }]);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 511 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const damaged = Buffer.from(whole);
      damaged[at] = (whole[at] ?? 0) ^ change;
      if (at < 148 || at >= 156) {
        t.ok(
          isArchiveInvalid(() => parseTar(damaged)),
          `byte ${at} changed`,
        );
      }
    }),
    { numRuns: 100 },
  );
  for (const length of [0, 100, 512, 900, 1536]) {
    t.ok(
      isArchiveInvalid(() => parseTar(whole.subarray(0, length))),
      `cut to ${length} bytes`,
    );
  }
});

t.test("an archive becomes a folder once, with its executables", async (t) => {
  const folder = testFolder(t);
  const archive = join(folder, "a.tar.br");
  const members = [
    { path: "lib/run", content: Buffer.from("one"), mode: 0o755 },
    { path: "lib/note", content: Buffer.from("two") },
  ];
  await writeFile(archive, brotliCompressSync(makeTar(members)));
  const target = join(folder, "into", "made");
  const unpacking = { archive, target, unpackedBytesMax: 1e6 };
  await Promise.all([unpackTarBrotli(unpacking), unpackTarBrotli(unpacking)]);
  t.equal(await readFile(join(target, "lib/note"), "utf8"), "two");
  t.equal((await stat(join(target, "lib/run"))).mode & 0o777, 0o755);
  await writeFile(archive, "changed");
  await unpackTarBrotli(unpacking);
  t.pass("what exists is left alone");
});

t.test("an executable that somebody may run already is not replaced by who unpacks it at the same time", async (t) => {
  const folder = testFolder(t);
  const archive = join(folder, "run.br");
  await writeFile(archive, brotliCompressSync(Buffer.alloc(100_000, "x")));
  const unpacking = { archive, target: join(folder, "run"), unpackedBytesMax: 1e6 };
  const seen = await Promise.all(
    Array.from({ length: 4 }, async () => {
      await unpackExecutable(unpacking);
      return (await stat(unpacking.target)).ino;
    }),
  );
  t.equal(new Set(seen).size, 1, "one file for all");
  t.equal((await stat(unpacking.target)).mode & 0o777, 0o755);
});

t.test("more bytes than allowed leave nothing behind", async (t) => {
  const folder = testFolder(t);
  const archive = join(folder, "big.br");
  await writeFile(archive, brotliCompressSync(makeTar([{ path: "a", content: Buffer.alloc(100_000) }])));
  const unpacking = { archive, target: join(folder, "made"), unpackedBytesMax: 5_000 };
  for (const unpack of [unpackTarBrotli, unpackExecutable]) {
    const error = await unpack(unpacking).catch((thrown: unknown) => thrown);
    t.ok(isFailure(error, "archive-invalid"), unpack.name);
    await t.rejects(stat(unpacking.target), { code: "ENOENT" }, unpack.name);
  }
});
