/** Blobs are kept by their digest, in ranges, and only as long as someone needs them. */
import { createHash } from "node:crypto";
import { readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import t from "tap";
import { testFolder } from "#test/test-folder.ts";
import { openFileBlobStore } from "./file-blob-store.ts";

const digestOf = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");
async function* chunks(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

t.test("bytes come back whole and in any range", async (t) => {
  const store = await openFileBlobStore(testFolder(t));
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.nat(), fc.nat(), async (bytes, a, b) => {
      const digest = digestOf(bytes);
      t.equal(await store.put(digest, chunks(bytes)), bytes.length);
      const start = a % bytes.length;
      const end = start + (b % (bytes.length - start));
      t.same(await buffer(store.read(digest)), Buffer.from(bytes));
      t.same(await buffer(store.read(digest, { start, end })), Buffer.from(bytes.slice(start, end + 1)));
    }),
    { numRuns: 20 },
  );
});

t.test("a blob whose digest differs is refused and leaves nothing", async (t) => {
  const folder = testFolder(t);
  const store = await openFileBlobStore(folder);
  const digest = digestOf("right");
  await t.rejects(store.put(digest, chunks("wrong")), { code: "digest-mismatch" });
  t.equal(await store.findSize(digest), undefined);
  t.same(readdirSync(join(folder, digest.slice(0, 2))), []);
});

t.test("what a crash left half written is removed at the next start", async (t) => {
  const folder = testFolder(t, { ab: { ".abcd.1.1.perigee-tmp": "half" } });
  await openFileBlobStore(folder);
  t.same(readdirSync(join(folder, "ab")), []);
});

t.test("collection keeps what is needed and what is young", async (t) => {
  const folder = testFolder(t);
  const store = await openFileBlobStore(folder);
  const [needed, unneeded, young] = ["needed", "unneeded", "young"].map(digestOf);
  if (needed === undefined || unneeded === undefined || young === undefined) throw new Error("three digests");
  for (const text of ["needed", "unneeded", "young"]) await store.put(digestOf(text), chunks(text));
  for (const digest of [needed, unneeded]) utimesSync(join(folder, digest.slice(0, 2), digest), 1, 1);
  writeFileSync(join(folder, "README"), "not a blob");
  const result = await store.collect(new Set([needed]), 10_000);
  t.same(result, { removed: 1, removedBytes: 8, kept: 3 });
  t.equal(await store.findSize(unneeded), undefined);
  t.equal(await store.findSize(needed), 6);
});

t.test("a blob that a release is about to need is held", async (t) => {
  const folder = testFolder(t);
  const store = await openFileBlobStore(folder);
  const digest = digestOf("again");
  t.equal(await store.hold(digest, 50_000), undefined);
  await store.put(digest, chunks("again"));
  utimesSync(join(folder, digest.slice(0, 2), digest), 1, 1);
  t.equal(await store.hold(digest, 50_000), 5);
  t.match(await store.collect(new Set(), 40_000), { removed: 0 });
  t.match(await store.collect(new Set(), 60_000), { removed: 1 });
});
