import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import t from "tap";
import {
  isTemporaryName,
  renameDurably,
  storageFailure,
  temporaryPath,
  writeFileDurably,
} from "#platform/files/durable.ts";
import { testFolder } from "#test/test-folder.ts";

t.test("a file is replaced whole, with the asked mode and nothing left beside it", async (t) => {
  const folder = testFolder(t, { state: "old" });
  const path = join(folder, "state");
  await writeFileDurably(path, new TextEncoder().encode("new"));
  t.equal(await readFile(path, "utf8"), "new");
  t.equal((await stat(path)).mode & 0o777, 0o600);
  await writeFileDurably(path, "public", 0o644);
  t.equal((await stat(path)).mode & 0o777, 0o644);
  t.strictSame(await readdir(folder), ["state"]);
});

t.test("a write that fails names the file, keeps the old content and removes its temporary", async (t) => {
  const folder = testFolder(t, { taken: { inside: "x" } });
  await t.rejects(writeFileDurably(join(folder, "taken"), "x"), { code: "storage-failed", message: /taken/ });
  await t.rejects(writeFileDurably(join(folder, "missing", "file"), "x"), { code: "storage-failed" });
  t.strictSame(await readdir(folder), ["taken"]);
});

t.test("concurrent writers leave one of the contents", async (t) => {
  const path = join(testFolder(t), "state");
  const contents = ["a".repeat(100_000), "b".repeat(100_000), "c".repeat(100_000)];
  await Promise.all(contents.map((content) => writeFileDurably(path, content)));
  t.ok(contents.includes(await readFile(path, "utf8")));
});

t.test("a caller's own temporary is moved into place and known by its name", async (t) => {
  const path = join(testFolder(t), "blob");
  const temporary = temporaryPath(path);
  t.ok(isTemporaryName(basename(temporary)));
  t.notOk(isTemporaryName(basename(path)));
  await writeFile(temporary, "streamed");
  await renameDurably(temporary, path);
  t.equal(await readFile(path, "utf8"), "streamed");
  await t.rejects(renameDurably(temporary, path), { code: "storage-failed" });
});

t.test("a full disk is its own failure, which may pass", async (t) => {
  const full = storageFailure(Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" }), "/data/x");
  t.match(full, { code: "disk-full", retryable: true });
});
