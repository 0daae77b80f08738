/** Removes the bodies that an earlier run left without a row: written, and killed before they were stored. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { removeFile } from "./body-file.ts";
import { folderNames } from "./disk-space.ts";

/** Asked after in one turn of the event loop: a millisecond or two. */
const NAMES_AT_ONCE = 256;

export interface StrayFiles {
  readonly folder: string;
  readonly isKept: (name: string) => boolean;
  readonly isClosed: () => boolean;
}

export async function removeStrayFiles({ folder, isKept, isClosed }: StrayFiles): Promise<void> {
  for (const part of folderNames()) {
    const path = join(folder, "bodies", part);
    const names = await readdir(path).catch(() => []);
    for (const [index, name] of names.entries()) {
      if (index % NAMES_AT_ONCE === 0) await setImmediate();
      if (isClosed()) return;
      if (!isKept(name)) await removeFile(join(path, name));
    }
  }
}
