/** Releases are signed, numbered, kept as many as the site says, and never made of blobs that are not there. */
import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import t, { type Test } from "tap";
import { parseManifest } from "#contracts/codec/manifest.ts";
import { MANIFEST_CONTEXT } from "#domain/content/release.ts";
import { checkSignature, generateSigningKey } from "#platform/identity/signatures.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { openFileBlobStore } from "../blob-store/file-blob-store.ts";
import { getResource, listResources, writeResource } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { neededBlobs, publishRelease, rollbackRelease } from "./publish.ts";
import { deleteOrphanedReleases, deleteSite } from "./releases.ts";

const digestOf = (text: string) => createHash("sha256").update(text).digest("hex");

async function openParts(t: Test) {
  const log = openSqliteLog(":memory:");
  t.teardown(() => log[Symbol.dispose]());
  const blobs = await openFileBlobStore(testFolder(t));
  const parts = { log, blobs, clock: new VirtualClock(), publishKey: generateSigningKey() };
  const metadata = { name: "shop", labels: {} };
  const publish = { keepReleases: 2, indexDocument: "index.html" };
  const makeSite = () =>
    void writeResource(log, { kind: "Site", metadata, spec: { hostnames: ["shop.example"], publish } }, 1);
  makeSite();
  const upload = (text: string) =>
    blobs.put(
      digestOf(text),
      (async function* () {
        yield Buffer.from(text);
      })(),
    );
  const release = (text: string) =>
    publishRelease(parts, "shop", { files: { "/index.html": { digest: digestOf(text), mediaType: "text/html" } } });
  return { ...parts, parts, upload, release, makeSite };
}

t.test("a release is a signed manifest and one log entry", async (t) => {
  const { log, blobs, publishKey, upload, release } = await openParts(t);
  await upload("one");
  t.match(await release("one"), { generation: 1, files: 1, bytes: 3, revision: 2 });
  const { manifest } = getResource(log, "Release", "shop.1").spec;
  const bytes = await buffer(blobs.read(manifest.digest));
  const signature = Buffer.from(manifest.signature, "base64url");
  checkSignature(
    { context: MANIFEST_CONTEXT, bytes, signature, keyId: manifest.keyId },
    new Map([[publishKey.keyId, publishKey.publicKey]]),
  );
  t.match(parseManifest(bytes), { site: "shop", generation: 1, files: { "/index.html": { digest: digestOf("one") } } });
});

t.test("a release of blobs that are not uploaded is refused and changes nothing", async (t) => {
  const { log, release } = await openParts(t);
  await t.rejects(release("absent"), { code: "argument-invalid", message: /1 blobs are not uploaded/ });
  t.equal(log.revision(), 1);
});

t.test("a site that is pulled takes no release", async (t) => {
  const { log, parts } = await openParts(t);
  const pull = { upstream: "http://127.0.0.1:1", connectTimeoutMs: 10, responseTimeoutMs: 10 };
  const metadata = { name: "front", labels: {} };
  writeResource(log, { kind: "Site", metadata, spec: { hostnames: ["front.example"], pull } }, 1);
  await t.rejects(publishRelease(parts, "front", { files: {} }), { code: "argument-invalid" });
  await t.rejects(publishRelease(parts, "none", { files: {} }), { code: "not-found" });
});

t.test("rollback is a new generation with the old content, and only so many are kept", async (t) => {
  const { log, blobs, parts, upload, release } = await openParts(t);
  for (const text of ["one", "two"]) {
    await upload(text);
    await release(text);
  }
  t.match(await rollbackRelease(parts, "shop", 1), { generation: 3 });
  t.same(
    listResources(log, "Release").map((entry) => entry.metadata.name),
    ["shop.2", "shop.3"],
  );
  const { spec } = getResource(log, "Release", "shop.3");
  t.equal(spec.contentOf, 1);
  t.match(parseManifest(await buffer(blobs.read(spec.manifest.digest))).files, {
    "/index.html": { digest: digestOf("one") },
  });
  await t.rejects(rollbackRelease(parts, "shop", 1), { code: "not-found" });
});

t.test("blobs that a kept release needs are needed, others are not", async (t) => {
  const { log, blobs, upload, release } = await openParts(t);
  for (const text of ["one", "two", "three"]) {
    await upload(text);
    await release(text);
  }
  const needed = await neededBlobs(log, blobs);
  t.notOk(needed.has(digestOf("one")));
  t.ok(needed.has(digestOf("two")) && needed.has(digestOf("three")));
  t.equal(needed.size, 4);
});

t.test("a deleted site takes its releases along, and one made again goes on counting", async (t) => {
  const { log, blobs, upload, release, makeSite } = await openParts(t);
  for (const text of ["one", "two", "three"]) {
    await upload(text);
    await release(text);
  }
  await deleteSite(log, "shop");
  await t.rejects(deleteSite(log, "shop"), { code: "not-found" });
  t.same(log.list().rows, []);
  t.same(await neededBlobs(log, blobs), new Set());
  log.compact(log.revision());
  makeSite();
  t.match(await release("one"), { generation: 4 });
  await deleteSite(log, "shop");
  makeSite();
  await deleteSite(log, "shop");
  makeSite();
  t.match(await release("one"), { generation: 5 });
});

t.test("releases that a site of 0.1.0 left are deleted, those of a site that is there stay", async (t) => {
  const { log, upload, release, makeSite } = await openParts(t);
  await upload("one");
  await release("one");
  await deleteOrphanedReleases(log);
  t.equal(listResources(log, "Release").length, 1);
  log.write([{ kind: "Site", name: "shop", render: () => undefined }]);
  await deleteOrphanedReleases(log);
  t.same(log.list().rows, []);
  makeSite();
  t.match(await release("one"), { generation: 2 });
});
