/** Folders are made with those above them; what cannot be made says why, at once. */
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { testFolder } from "#test/test-folder.ts";
import { makeFolder } from "./folder.ts";

t.test(
  "a folder is made with those above it, also by two at once, and one that is there keeps what it has",
  async (t) => {
    const root = testFolder(t);
    const deep = join(root, "a", "b", "c");
    await Promise.all([makeFolder(deep), makeFolder(deep)]);
    t.ok(statSync(deep).isDirectory());
    writeFileSync(join(deep, "kept"), "");
    await makeFolder(deep);
    await makeFolder("/");
    t.same(readdirSync(deep), ["kept"]);
  },
);

t.test("where none can be made, the system's error comes", async (t) => {
  const root = testFolder(t);
  writeFileSync(join(root, "file"), "");
  await t.rejects(makeFolder(join(root, "file")), { code: "EEXIST" });
  await t.rejects(makeFolder(join(root, "file", "below")), { code: "ENOTDIR" });
  await t.rejects(makeFolder("/proc/none/below"), { code: "ENOENT" });
});
