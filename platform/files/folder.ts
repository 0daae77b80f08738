/** Makes a folder with those above it, one after the other: Node's own way never ends where a file system makes none (`/proc`). */
import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** One that is there stays as it is. Throws the system's error where it cannot be made, or something else has its name. */
export async function makeFolder(path: string): Promise<void> {
  const folders = [resolve(path)];
  for (let above = dirname(resolve(path)); !(await isThere(above)); above = dirname(above)) folders.unshift(above);
  for (const folder of folders) await makeOne(folder);
}

async function makeOne(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    if (!(await isFolder(folder))) throw error;
  }
}

/** The root always is. */
async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => path === dirname(path),
  );
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
