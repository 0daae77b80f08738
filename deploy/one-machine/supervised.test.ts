import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Clock, sleepBy, systemClock } from "#platform/clock.ts";
import { freePort } from "#test/free-ports.ts";
import { testFolder } from "#test/test-folder.ts";
import { RESTARTS_IN_A_ROW_MAX } from "./restart.ts";
import { type SupervisedProgram, type SupervisedSpec, superviseProgram } from "./supervised.ts";

const START_MS_MAX = 60_000;

/** Waits are short, so that backing off costs a test nothing; deadlines stay. */
const ENVIRONMENT = "# Why.\nSAMPLE=of its file\n";
const hurried: Clock = {
  ...systemClock,
  sleep: (ms, signal) => sleepBy((_ms, run) => systemClock.timer(1, run), ms, signal),
};

/** Says that it is ready at its admin listener; `how` is what it does besides. */
const PROGRAM = `
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
const { port, how } = JSON.parse(readFileSync(process.argv[3], "utf8"));
if (how === "faulty") { console.log("listen.admin must be host:port"); process.exit(78); }
createServer((request, response) => {
  response.end("ready");
  if (how === "ends") setImmediate(() => process.exit(3));
}).listen(port, "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
`;

interface World {
  readonly spec: SupervisedSpec;
  readonly program: SupervisedProgram;
  readonly said: string[];
  /** Resolves once something like it was said so often. */
  saying(like: RegExp, count?: number): Promise<void>;
}

async function setUp(t: Test, how: "lives" | "ends" | "faulty"): Promise<World> {
  const port = await freePort();
  const folder = testFolder(t, {
    "program.mjs": PROGRAM,
    "config.json": JSON.stringify({ port, how }),
    "program.env": ENVIRONMENT,
  });
  const said: string[] = [];
  const listeners = new Set<() => void>();
  const say = (text: string): void => {
    said.push(text);
    for (const listener of listeners) listener();
  };
  const spec: SupervisedSpec = {
    name: "sample",
    main: join(folder, "program.mjs"),
    environmentFile: join(folder, "program.env"),
    configFile: join(folder, "config.json"),
    adminUrl: `http://127.0.0.1:${port}`,
    logFile: join(folder, "sample.log"),
    pidFile: join(folder, "sample.pid"),
    restartMsMin: 700,
  };
  const program = superviseProgram(spec, hurried, {
    started: (name) => say(`${name} started`),
    ended: (name, end, againInMs) => say(`${name} ended: ${end}, again in ${againInMs}`),
    gaveUp: (name, restarts) => say(`${name} given up after ${restarts}`),
  });
  t.teardown(() => program.stop());
  const saying = (like: RegExp, count = 1): Promise<void> =>
    new Promise((resolve, reject) => {
      const limit = systemClock.timer(START_MS_MAX, () => reject(new Error(`never said ${like}: ${said.join("; ")}`)));
      const check = (): void => {
        if (said.filter((text) => like.test(text)).length < count) return;
        limit[Symbol.dispose]();
        resolve();
      };
      listeners.add(check);
      check();
    });
  return { spec, program, said, saying };
}

const never = new AbortController().signal;

t.test("a program that is killed is started again as another process", async (t) => {
  const { spec, program, saying } = await setUp(t, "lives");
  await program.start(never);
  t.equal(program.state, "running");
  const first = program.pid ?? 0;
  t.equal(Number(readFileSync(spec.pidFile, "utf8")), first, "its process is in the pid file");
  const environment = readFileSync(`/proc/${first}/environ`, "utf8").split("\0");
  t.ok(environment.includes("SAMPLE=of its file"), "its environment is that of its file too");
  t.ok(environment.some((variable) => variable.startsWith("PATH=")));
  process.kill(first, "SIGKILL");
  await saying(/ended: SIGKILL, again in 700/);
  await saying(/started/, 2);
  t.not(program.pid, first);
  t.equal(Number(readFileSync(spec.pidFile, "utf8")), program.pid);
  program.crash();
  await saying(/ended: SIGKILL/, 2);
  await saying(/started/, 3);
  t.equal(program.state, "running", "also one that is crashed on purpose");
});

t.test("one that is stopped stays so until it is started by hand", async (t) => {
  const { spec, program, said } = await setUp(t, "lives");
  await program.start(never);
  await program.stop();
  t.match(program, { state: "stopped", pid: undefined });
  t.notOk(existsSync(spec.pidFile));
  t.strictSame(said, ["sample started"], "an end that was asked for is no event");
  await program.start(never);
  t.equal(program.state, "running");
});

t.test("one that ends before it is ready fails the start with the end of its log", async (t) => {
  const { program } = await setUp(t, "faulty");
  await t.rejects(program.start(never), {
    code: "unavailable",
    message: /sample ended \(status 78\) before it was ready.*\nlisten\.admin must be host:port/,
  });
  t.equal(program.state, "stopped");
});

t.test("one that ends again and again is given up", async (t) => {
  const { program, said, saying } = await setUp(t, "ends");
  await program.start(never);
  await saying(/given up/);
  t.equal(program.state, "given-up");
  t.equal(said.filter((text) => /ended: status 3/.test(text)).length, RESTARTS_IN_A_ROW_MAX);
});

t.test("a start that is interrupted leaves no process", async (t) => {
  const { spec, program } = await setUp(t, "lives");
  const interrupt = new AbortController();
  const starting = program.start(interrupt.signal);
  interrupt.abort(new Error("interrupted"));
  await t.rejects(starting, /interrupted/);
  t.notOk(existsSync(spec.pidFile));
});
