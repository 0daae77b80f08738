/** The contract of the blob store, run against a real S3 server, and what S3 alone has: keys, buckets, other origins. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import t, { type Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { blobContract, chunks, digestOf } from "#test/contract/blob-contract.ts";
import { findVersitygw, S3Server, VERSITYGW_MISSING } from "#test/s3/s3-server.ts";
import { testFolder } from "#test/test-folder.ts";
import { openS3BlobStore, type S3BlobStoreOptions } from "./s3-blob-store.ts";

const program = findVersitygw();

async function optionsOf(t: Test, server: S3Server): Promise<S3BlobStoreOptions> {
  const { endpoint, bucket, accessKeyId, secretKey, region } = server;
  const tools = { clock: systemClock, random: systemRandom };
  const prefix = `${prefixes++}/`;
  return { endpoint, bucket, accessKeyId, secretKey, region, ...tools, prefix, spoolFolder: testFolder(t) };
}
let prefixes = 0;

async function storeFor(t: Test, options: S3BlobStoreOptions) {
  const store = await openS3BlobStore(options);
  t.teardown(() => store[Symbol.dispose]());
  return store;
}

if (program === undefined) t.test("blobs on S3", { skip: VERSITYGW_MISSING }, async () => undefined);
else {
  const server = await S3Server.start(program, testFolder(t));
  t.teardown(() => server[Symbol.asyncDispose]());

  blobContract("s3", async (t) => {
    const options = await optionsOf(t, server);
    const store = await storeFor(t, options);
    return { store, age: (digest) => server.age(`${options.prefix}blobs/${digest}`) };
  });

  t.test("a key that is wrong, a bucket that is not there: said by name", async (t) => {
    const options = await optionsOf(t, server);
    const cases = {
      "permission-denied": { secretKey: "another" },
      "config-invalid": { bucket: "elsewhere" },
      unavailable: { endpoint: "http://127.0.0.1:1" },
    };
    for (const [code, wrong] of Object.entries(cases))
      await t.rejects(openS3BlobStore({ ...options, ...wrong }), { code }, code);
    await t.rejects(openS3BlobStore({ ...options, accessKeyId: "nobody" }), {
      code: "permission-denied",
      message: /check blobs\.s3\.accessKeyId/,
    });
  });

  t.test("bytes that are others than the name says are an error at their end", async (t) => {
    const options = await optionsOf(t, server);
    const store = await storeFor(t, options);
    const digest = digestOf("right");
    await store.put(digest, chunks("right"));
    writeFileSync(server.pathOf(`${options.prefix}blobs/${digest}`), "wrong");
    await t.rejects(buffer(store.read(digest)), { code: "digest-mismatch" });
  });

  t.test("two origins see each other's blobs; one collects none that the other holds", async (t) => {
    const options = await optionsOf(t, server);
    const here = await storeFor(t, options);
    const there = await storeFor(t, { ...options, spoolFolder: testFolder(t, {}) });
    const digest = digestOf("shared");
    await here.put(digest, chunks("shared"));
    t.equal(await there.findSize(digest), 6);
    server.age(`${options.prefix}blobs/${digest}`);
    await there.hold(digest, 50_000);
    t.match(await here.collect(new Set(), 40_000), { removed: 0, kept: 1 });
    t.match(await here.collect(new Set(), 60_000), { removed: 1 });
    await here.collect(new Set(), 60_000);
    t.notOk(existsSync(server.pathOf(`${options.prefix}held`)), "its mark goes too, and the folder with it");
  });

  t.test("collection goes through more keys than one answer lists", async (t) => {
    const options = await optionsOf(t, server);
    const store = await storeFor(t, options);
    const folder = server.pathOf(`${options.prefix}blobs`);
    mkdirSync(folder, { recursive: true });
    const digests = Array.from({ length: 1_100 }, (_, index) => digestOf(`blob ${index}`));
    for (const digest of digests) writeFileSync(join(folder, digest), "");
    for (const digest of digests) server.age(`${options.prefix}blobs/${digest}`);
    const needed = new Set(digests.slice(3));
    t.match(await store.collect(needed, 10_000), { removed: 3, kept: 1_097 });
  });

  t.test("what a crash left in the spool is removed at the next start", async (t) => {
    const spoolFolder = testFolder(t, { "1": "half" });
    await storeFor(t, { ...(await optionsOf(t, server)), spoolFolder });
    t.same(readdirSync(spoolFolder), []);
  });
}
