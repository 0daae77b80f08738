/** Blobs are received while others are removed. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import t from "tap";
import { testFolder } from "#test/test-folder.ts";
import { BlobFolder, type OpenBlob } from "./blob-folder.ts";

const BYTES_MAX = 1_000_000;
const digestOf = (text: string) => createHash("sha256").update(text).digest("hex");

function sending(text: string, gate?: Promise<void>): OpenBlob {
  return async (offset) => {
    await gate;
    const bytes = async function* () {
      yield Buffer.from(text.slice(offset));
    };
    return { offset, bytes: bytes() };
  };
}

async function folderWith(path: string, ...texts: readonly string[]): Promise<BlobFolder> {
  const folder = await BlobFolder.open(path, BYTES_MAX);
  for (const text of texts) await folder.receive(digestOf(text), text.length, sending(text));
  return folder;
}

t.test("what a collection frees is what it removed, whatever is received meanwhile", async (t) => {
  const old = ["one", "three", "fourteen bytes"];
  const folder = await folderWith(testFolder(t), ...old);
  const gate = Promise.withResolvers<void>();
  const large = "x".repeat(10_000);
  const received = folder.receive(digestOf(large), large.length, sending(large, gate.promise));
  const collected = folder.collect(new Set([digestOf("three"), digestOf(large)]));
  gate.resolve();
  t.equal(await collected, "one".length + "fourteen bytes".length);
  await received;
  t.equal(folder.bytesUsed, "three".length + large.length);
});

t.test("what is being removed counts as gone, and stays once it is received again", async (t) => {
  const folder = await folderWith(testFolder(t), "another", "wanted again");
  const digest = digestOf("wanted again");
  for (const removal of [() => folder.collect(new Set()), () => folder.remove(digest)]) {
    const removed = removal();
    t.notOk(folder.has(digest), "a release that needs it has it received");
    await folder.receive(digest, "wanted again".length, sending("wanted again"));
    await removed;
    t.ok(existsSync(folder.pathOf(digest)));
    t.ok(await folder.verify(digest));
  }
  t.equal(folder.bytesUsed, "wanted again".length);
});
