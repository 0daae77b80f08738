import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import t, { type Test } from "tap";
import { until } from "#test/simulation/until.ts";
import { testFolder } from "#test/test-folder.ts";

interface Child {
  readonly process: ChildProcess;
  stdout: string;
  stderr: string;
  readonly ended: Promise<number | NodeJS.Signals>;
}

/** Runs a program whose `start` has the given body, in a process of its own. */
function run(t: Test, body: string): Child {
  const program = import.meta.resolve("#platform/lifecycle/program.ts");
  const failure = import.meta.resolve("#domain/failure.ts");
  const text = `
    import { Failure } from ${JSON.stringify(failure)};
    import { runProgram } from ${JSON.stringify(program)};
    await runProgram({ name: "example", start: async (signal) => { ${body} } });`;
  const child = spawn(process.execPath, [join(testFolder(t, { "main.ts": text }), "main.ts")]);
  const exit = once(child, "exit");
  const result: Child = {
    process: child,
    stdout: "",
    stderr: "",
    ended: exit.then(([code, signal]) => code ?? signal),
  };
  child.stdout.on("data", (bytes) => {
    result.stdout += String(bytes);
  });
  child.stderr.on("data", (bytes) => {
    result.stderr += String(bytes);
  });
  t.teardown(() => child.kill("SIGKILL"));
  return result;
}

const HOLD = "const hold = setInterval(() => {}, 60_000); console.log('started');";

t.test("a signal stops the program in order and it exits with 0", async (t) => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const child = run(t, `${HOLD} return { [Symbol.asyncDispose]: async () => { console.log("disposed"); } };`);
    await until(() => child.stdout.includes("started"), "started");
    child.process.kill(signal);
    t.equal(await child.ended, 0, signal);
    t.match(child.stdout, "disposed", signal);
  }
});

t.test("SIGHUP reloads a program that can, and ends one that cannot", async (t) => {
  const hold = "setInterval(() => {}, 60_000); setImmediate(() => console.log('started'));";
  const able = run(t, `${hold} return { reload: () => console.log("again"), [Symbol.asyncDispose]: async () => {} };`);
  await until(() => able.stdout.includes("started"), "started");
  able.process.kill("SIGHUP");
  await until(() => able.stdout.includes("again"), "it has reloaded");
  able.process.kill("SIGTERM");
  t.equal(await able.ended, 0);
  const unable = run(t, `${hold} return { [Symbol.asyncDispose]: async () => {} };`);
  await until(() => unable.stdout.includes("started"), "started");
  unable.process.kill("SIGHUP");
  t.equal(await unable.ended, "SIGHUP");
});

t.test("a second signal ends it at once", async (t) => {
  const body = `${HOLD} return { [Symbol.asyncDispose]: () => { console.log("stopping"); return new Promise(() => {}); } };`;
  const child = run(t, body);
  await until(() => child.stdout.includes("started"), "started");
  child.process.kill("SIGTERM");
  await until(() => child.stdout.includes("stopping"), "stopping");
  child.process.kill("SIGTERM");
  t.equal(await child.ended, 143);
});

t.test("a signal during the start aborts it, and that is a stop like any other", async (t) => {
  const body = `${HOLD} await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));`;
  const child = run(t, body);
  await until(() => child.stdout.includes("started"), "started");
  child.process.kill("SIGTERM");
  t.equal(await child.ended, 0);
});

t.test("a start that fails says plainly why", async (t) => {
  const config = run(t, `throw new Failure("config-invalid", "edge.yaml:3: pool must be text");`);
  t.equal(await config.ended, 78);
  t.match(config.stderr, /faults\nedge.yaml:3: pool must be text/);
  const address = run(t, `throw new Failure("unavailable", "cannot listen on 127.0.0.1:80");`);
  t.equal(await address.ended, 69);
  t.match(address.stderr, "cannot start (unavailable): cannot listen on 127.0.0.1:80");
});

t.test("a bug is logged and ends the program with 70", async (t) => {
  const bugs = {
    thrown: `${HOLD} setImmediate(() => { throw new TypeError("a bug"); }); return { [Symbol.asyncDispose]: async () => {} };`,
    rejected: `${HOLD} void Promise.reject(new TypeError("a bug")); return { [Symbol.asyncDispose]: async () => {} };`,
    started: `throw new TypeError("a bug");`,
  };
  for (const [name, body] of Object.entries(bugs)) {
    const child = run(t, body);
    t.equal(await child.ended, 70, name);
    t.match(child.stdout, "a bug", name);
  }
});
