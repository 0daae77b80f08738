/** The command line, run as an operator runs it. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const COMMAND_MS_MAX = 120_000;

export type Perigee = (...words: string[]) => Promise<string>;

/** What the command prints; throws with its own words where it fails. */
export function perigeeAt(root: string, contextFile: string): Perigee {
  return async (...words) => {
    const all = [join(root, "cli", "main.ts"), "--context", contextFile, ...words];
    const { stdout } = await promisify(execFile)(process.execPath, all, { cwd: root, timeout: COMMAND_MS_MAX });
    return stdout.trim();
  };
}
