/** docs/life-of-a-request.md names files that are there. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t from "tap";

const ROOT = join(import.meta.dirname, "..");
const NAMED_MIN = 60;

/** A name without a folder is of the folder named before it, or one beside it. */
t.test("every file that the flows name is where they say", async (t) => {
  const text = readFileSync(join(ROOT, "docs", "life-of-a-request.md"), "utf8");
  const missing: string[] = [];
  let named = 0;
  let folders: readonly string[] = [];
  for (const line of text.split("\n")) {
    if (/^(##|\d+\.) /.test(line)) folders = line.startsWith("##") ? [] : folders;
    for (const [, path = ""] of line.matchAll(/`([a-z0-9-]+(?:\/[a-z0-9-]+)*(?:\/|\.ts))`/g)) {
      named += 1;
      const found = [".", ...folders].find((folder) => existsSync(join(ROOT, folder, path)));
      if (found === undefined) missing.push(path);
      else {
        const full = join(found, path);
        const folder = path.endsWith("/") ? full : dirname(full);
        folders = [folder, dirname(folder), ...folders];
      }
    }
  }
  t.ok(named >= NAMED_MIN, `${named} files named`);
  t.same(missing, []);
});
