/** The contract of the blob store, for every adapter: `open` gives an empty one each time. */
import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import t, { type Test } from "tap";
import type { Digest } from "#domain/content/release.ts";
import type { BlobStore } from "#origin/blob-store/file-blob-store.ts";

export interface OpenBlobStore {
  readonly store: BlobStore;
  /** The blob was uploaded in 1970. */
  readonly age: (digest: Digest) => void;
}

export const digestOf = (bytes: Uint8Array | string): Digest => createHash("sha256").update(bytes).digest("hex");

export async function* chunks(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

export function blobContract(suite: string, open: (t: Test) => Promise<OpenBlobStore>): void {
  t.test(`${suite}: bytes come back whole and in any range, also put twice`, async (t) => {
    const { store } = await open(t);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.nat(), fc.nat(), async (bytes, a, b) => {
        const digest = digestOf(bytes);
        for (const _ of [1, 2]) t.equal(await store.put(digest, chunks(bytes)), bytes.length);
        const start = a % bytes.length;
        const end = start + (b % (bytes.length - start));
        t.equal(await store.findSize(digest), bytes.length);
        t.same(await buffer(store.read(digest)), Buffer.from(bytes));
        t.same(await buffer(store.read(digest, { start, end })), Buffer.from(bytes.slice(start, end + 1)));
      }),
      { numRuns: 20 },
    );
  });

  t.test(`${suite}: a blob of many chunks, and one of none`, async (t) => {
    const { store } = await open(t);
    const part = Buffer.alloc(256 * 1024, "of many ");
    const many = Array.from({ length: 40 }, () => part);
    for (const parts of [many, []]) {
      const bytes = Buffer.concat(parts);
      const digest = digestOf(bytes);
      t.equal(await store.put(digest, chunks(...parts)), bytes.length);
      t.equal(digestOf(await buffer(store.read(digest))), digest);
      t.equal(await store.findSize(digest), bytes.length);
    }
  });

  t.test(`${suite}: a blob whose digest differs, or that breaks off, is refused and leaves nothing`, async (t) => {
    const { store } = await open(t);
    const digest = digestOf("right");
    await t.rejects(store.put(digest, chunks("wrong")), { code: "digest-mismatch" });
    async function* breaking() {
      yield Buffer.from("ri");
      throw new Error("broke off");
    }
    await t.rejects(store.put(digest, breaking()), { message: "broke off" });
    t.equal(await store.findSize(digest), undefined);
    t.match(await store.collect(new Set(), 0), { removed: 0, kept: 0 });
  });

  t.test(`${suite}: reading what is not there fails`, async (t) => {
    const { store } = await open(t);
    await t.rejects(buffer(store.read(digestOf("absent"))));
  });

  collectionContract(suite, open);
}

function collectionContract(suite: string, open: (t: Test) => Promise<OpenBlobStore>): void {
  t.test(`${suite}: collection keeps what is needed and what is young`, async (t) => {
    const { store, age } = await open(t);
    const [needed, unneeded, young] = [digestOf("needed"), digestOf("unneeded"), digestOf("young")];
    for (const text of ["needed", "unneeded", "young"]) await store.put(digestOf(text), chunks(text));
    for (const digest of [needed, unneeded]) age(digest);
    t.same(await store.collect(new Set([needed]), 10_000), { removed: 1, removedBytes: 8, kept: 2 });
    t.equal(await store.findSize(unneeded), undefined);
    t.equal(await store.findSize(needed), 6);
    t.equal(await store.findSize(young), 5);
  });

  t.test(`${suite}: a blob that a release is about to need is held, by the latest word`, async (t) => {
    const { store, age } = await open(t);
    const digest = digestOf("again");
    t.equal(await store.hold(digest, 50_000), undefined);
    await store.put(digest, chunks("again"));
    age(digest);
    t.equal(await store.hold(digest, 50_000), 5);
    t.match(await store.collect(new Set(), 40_000), { removed: 0 });
    t.equal(await store.hold(digest, 70_000), 5);
    t.match(await store.collect(new Set(), 60_000), { removed: 0 });
    t.match(await store.collect(new Set(), 80_000), { removed: 1 });
    t.equal(await store.findSize(digest), undefined);
  });
}
