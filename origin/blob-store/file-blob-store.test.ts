/** The contract of the blob store, run against files, and what files alone have. */
import { readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { blobContract, chunks, digestOf } from "#test/contract/blob-contract.ts";
import { testFolder } from "#test/test-folder.ts";
import { openFileBlobStore } from "./file-blob-store.ts";

blobContract("files", async (t) => {
  const folder = testFolder(t);
  const store = await openFileBlobStore(folder);
  return { store, age: (digest) => utimesSync(join(folder, digest.slice(0, 2), digest), 1, 1) };
});

t.test("a blob that is refused leaves no file", async (t) => {
  const folder = testFolder(t);
  const store = await openFileBlobStore(folder);
  const digest = digestOf("right");
  await t.rejects(store.put(digest, chunks("wrong")), { code: "digest-mismatch" });
  t.same(readdirSync(join(folder, digest.slice(0, 2))), []);
});

t.test("what a crash left half written is removed at the next start", async (t) => {
  const folder = testFolder(t, { ab: { ".abcd.1.1.perigee-tmp": "half" } });
  await openFileBlobStore(folder);
  t.same(readdirSync(join(folder, "ab")), []);
});

t.test("collection leaves what is no blob", async (t) => {
  const folder = testFolder(t);
  const store = await openFileBlobStore(folder);
  writeFileSync(join(folder, "README"), "not a blob");
  utimesSync(join(folder, "README"), 1, 1);
  t.same(await store.collect(new Set(), 10_000), { removed: 0, removedBytes: 0, kept: 1 });
});

t.test(
  "collection goes on while blobs are written: a file that is renamed meanwhile is none of its business",
  async (t) => {
    const store = await openFileBlobStore(testFolder(t));
    const texts = Array.from({ length: 150 }, (_, index) => `blob ${index}`);
    let isWriting = true;
    const writing = Promise.all(texts.map((text) => store.put(digestOf(text), chunks(text)))).finally(() => {
      isWriting = false;
    });
    let runs = 0;
    for (; isWriting || runs === 0; runs += 1) await store.collect(new Set(), 0);
    await writing;
    t.ok(runs > 0);
    t.match(await store.collect(new Set(), 0), { removed: 0, kept: texts.length });
  },
);
