/** The registry's http-cache-tests of one version: fetched once, verified each time, unpacked afresh. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

const NAME = "http-cache-tests";
const VERSION = "0.4.5";
/** What the registry gives as `dist.integrity`. */
const SHA512 = "DjuwN9nUZXLTW+wav1LRESCZNVxl8SshwOy4z1pxuWbWt5/ay6sM9QQ1lebBaDO6P1IMBoK6mdf+PuVP/QNL8A==";
const FETCH_MS_MAX = 120_000;

/**
 * Unpacks into `folder` and answers where the suite lies. It is no dependency: its own ones include npm 6, which would
 * take the place of the machine's npm in node_modules/.bin.
 */
export function unpackPinnedPackage(root: string, folder: string): string {
  const archive = join(root, "node_modules", ".cache", NAME, `${NAME}-${VERSION}.tgz`);
  if (!existsSync(archive)) fetchArchive(join(archive, ".."));
  verify(archive);
  run("tar", ["-xzf", archive, "-C", folder]);
  return join(folder, "package");
}

function fetchArchive(folder: string): void {
  mkdirSync(folder, { recursive: true });
  run("npm", ["pack", `${NAME}@${VERSION}`, "--pack-destination", folder, "--silent"]);
}

function verify(archive: string): void {
  const got = createHash("sha512").update(readFileSync(archive)).digest("base64");
  if (got === SHA512) return;
  rmSync(archive);
  throw new Error(`${NAME} ${VERSION} has sha512-${got}, expected sha512-${SHA512}: it is removed, try again`);
}

function run(command: string, words: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, words, { encoding: "utf8", timeout: FETCH_MS_MAX });
  if (status !== 0) throw new Error(`${command} ${words.join(" ")} ended with ${status}: ${error ?? stderr}`);
}
