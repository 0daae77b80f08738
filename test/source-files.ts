/** Lists the files of the repository as they stand: tracked, or new and not ignored. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface SourceFile {
  /** Relative to the repository root, with `/`. */
  readonly path: string;
  readonly text: string;
}

const LISTING_BYTES_MAX = 16 * 1024 * 1024;

export function listFiles(root: string): readonly string[] {
  const listing = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: LISTING_BYTES_MAX,
  });
  return listing
    .split("\0")
    .filter((path) => path !== "" && existsSync(join(root, path)))
    .toSorted();
}

export function readFiles(root: string, wanted: RegExp): readonly SourceFile[] {
  return listFiles(root)
    .filter((path) => wanted.test(path))
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}
