/** Plants one breach per rule in a copy of the tree and sees the check concerned fail, naming it; prints a table. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { BREACHES, type Breach } from "./breaches.ts";
import { listFiles } from "./source-files.ts";

const CHECK_TIMEOUT_MS = 180_000;
const root = join(import.meta.dirname, "..");

function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), "perigee-breaches-"));
  for (const path of listFiles(root)) cpSync(join(root, path), join(copy, path));
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  spawnSync("git", ["init", "--quiet"], { cwd: copy });
  return copy;
}

/** The folders that the breach alone makes are removed with it. */
function plant(copy: string, breach: Breach): Disposable {
  const files = { [breach.path]: breach.text, ...breach.also };
  const made: string[] = [];
  for (const [path, text] of Object.entries(files)) {
    const full = join(copy, path);
    const folder = path.endsWith("/") ? full : dirname(full);
    const first = mkdirSync(folder, { recursive: true });
    made.push(first ?? full);
    if (!path.endsWith("/")) writeFileSync(full, text);
  }
  return {
    [Symbol.dispose]() {
      for (const path of made) rmSync(path, { recursive: true, force: true });
    },
  };
}

function runCheck(copy: string, name: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["test/checks/run.ts", name], {
    cwd: copy,
    encoding: "utf8",
    timeout: CHECK_TIMEOUT_MS,
  });
  return { status, output: stdout + stderr };
}

const copy = copyTree();
const wanted = process.argv.slice(2);
let caught = 0;
let missed = 0;
try {
  for (const breach of BREACHES) {
    if (wanted.length > 0 && !wanted.includes(breach.check)) continue;
    const started = performance.now();
    using _planted = plant(copy, breach);
    const { status, output } = runCheck(copy, breach.check);
    const ok = status === 1 && breach.says.test(output);
    if (ok) caught += 1;
    else missed += 1;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(
      `${ok ? "ok  " : "FAIL"}  ${breach.check.padEnd(13)} ${breach.rule.padEnd(40)} ${breach.path} (${seconds} s)`,
    );
    if (!ok) console.log(output.slice(-1500).replaceAll(/^/gm, "      "));
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
console.log(`${caught} passed, ${missed} failed`);
process.exit(missed === 0 && caught > 0 ? 0 : 1);
