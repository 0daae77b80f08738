import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { takeDataFolder } from "./data-folder.ts";

const silent = (): void => {};

/** A process that does nothing, with these words on its command line. */
async function idle(t: Test, ...words: string[]): Promise<ChildProcess & { readonly pid: number }> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6); console.log('up')", ...words], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  await once(child.stdout, "data");
  if (child.pid === undefined) throw new Error("no process");
  return Object.assign(child, { pid: child.pid });
}

t.test("a folder is its owner's while that runs, and anybody's afterwards", async (t) => {
  const path = join(testFolder(t), "data");
  const owner = await idle(t, "main.ts");
  mkdirSync(join(path, "run"), { recursive: true });
  writeFileSync(join(path, "run", "dev.pid"), `${owner.pid}\n`);
  await t.rejects(takeDataFolder(path, systemClock, silent), {
    code: "unavailable",
    message: new RegExp(`data is used by process ${owner.pid}: stop it`),
  });
  const ended = once(owner, "exit");
  owner.kill("SIGKILL");
  await ended;
  const folder = await takeDataFolder(path, systemClock, silent);
  t.equal(Number(readFileSync(folder.pidFile("dev"), "utf8")), process.pid);
  t.equal(statSync(join(path, "tokens")).mode & 0o777, 0o700, "for its owner alone");
  folder[Symbol.dispose]();
  t.notOk(existsSync(folder.pidFile("dev")));
});

t.test(
  "what an owner that was killed left running is ended; another's process of the same number is not",
  async (t) => {
    const path = testFolder(t, { run: {} });
    const left = await idle(t, join(path, "config", "near-1.json"));
    const other = await idle(t, "something else");
    writeFileSync(join(path, "run", "near-1.pid"), `${left.pid}\n`);
    writeFileSync(join(path, "run", "origin.pid"), `${other.pid}\n`);
    writeFileSync(join(path, "run", "scheduler.pid"), "no number\n");
    const ended = once(left, "exit");
    const said: string[] = [];
    using _folder = await takeDataFolder(path, systemClock, (text) => void said.push(text));
    await ended;
    t.strictSame(said, [`near-1 of an earlier start still runs (process ${left.pid}): ending it`]);
    t.equal(other.exitCode ?? other.signalCode, null, "not ours, so left alone");
    t.notOk(existsSync(join(path, "run", "origin.pid")));
  },
);

t.test("a log that has grown large makes room for a new one", async (t) => {
  const path = testFolder(t, { logs: { "origin.log": "old", "scheduler.log": "small" } });
  truncateSync(join(path, "logs", "origin.log"), 20 * 1024 * 1024);
  using _folder = await takeDataFolder(path, systemClock, silent);
  t.notOk(existsSync(join(path, "logs", "origin.log")));
  t.ok(existsSync(join(path, "logs", "origin.log.1")));
  t.ok(existsSync(join(path, "logs", "scheduler.log")));
});
