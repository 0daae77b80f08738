/** A process whose heap is full leaves its report, which is counted once; one that was killed leaves none. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { testFolder } from "#test/test-folder.ts";
import { keepCrashEvidence } from "./crash-evidence.ts";

const MODULE = join(import.meta.dirname, "crash-evidence.ts");

function runUntilDead(folder: string, body: string): void {
  const program = `const { keepCrashEvidence } = await import(${JSON.stringify(MODULE)});
    keepCrashEvidence(${JSON.stringify(folder)});
    ${body}`;
  const flags = ["--max-old-space-size=20", "--input-type=module", "--eval", program];
  spawnSync(process.execPath, flags, { timeout: 60_000 });
}

t.test("a full heap is told once, and nothing of it is kept", (t) => {
  const folder = testFolder(t);
  runUntilDead(folder, "const held = []; for (;;) held.push(Array(1000).fill({}));");
  const evidence = keepCrashEvidence(folder);
  t.equal(evidence.takeFatalReport(), true);
  t.equal(evidence.takeFatalReport(), false);
  t.same(readdirSync(folder), []);
  t.end();
});

t.test("a killed process tells nothing; kills for want of memory are a number that never falls", (t) => {
  const folder = testFolder(t);
  runUntilDead(folder, 'process.kill(process.pid, "SIGKILL");');
  const evidence = keepCrashEvidence(folder);
  t.equal(evidence.takeFatalReport(), false);
  t.same(readdirSync(folder), []);
  t.ok(Number.isSafeInteger(evidence.memoryKills()));
  t.end();
});
