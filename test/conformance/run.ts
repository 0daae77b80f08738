/** `npm run conformance`: http-cache-tests against the stand-alone edge; counts by kind and every failed test. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Type from "typebox";
import { Value } from "typebox/value";
import { systemClock } from "#platform/clock.ts";
import { startEdge } from "#test/behaviour/edge-process.ts";
import { parseOptions } from "#test/bench/options.ts";
import { type Running, startProcess } from "#test/bench/processes.ts";
import { freePort } from "#test/free-ports.ts";
import { compareLanes } from "#test/front/compare-lanes.ts";
import { laneCases } from "./lane-cases.ts";
import { checkedOutSuite, pinnedSuite, type Suite } from "./suites.ts";
import { judge, type TestOutcome, type Verdict } from "./verdict.ts";

const ROOT = join(import.meta.dirname, "..", "..");
/** Its pauses alone take two minutes. */
const RUN_MS_MAX = 480_000;

const HELP = `npm run conformance -- [options]: http-cache-tests 0.4.5 against perigee edge
  --suite <folder>   a checkout of github.com/http-tests/cache-tests (with its dependencies) instead
  --id <id>          one test, with what goes over the wire
  --store            the edge stores on disk too
  --json             the last line only
  --help`;

const OUTCOMES = Type.Array(
  Type.Object({ id: Type.String(), kind: Type.String(), failure: Type.Optional(Type.String()) }),
);

const { values: options } = parseOptions(HELP, {
  suite: { type: "string" },
  id: { type: "string" },
  store: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

async function startServer(suite: Suite, folder: string): Promise<Running & { readonly port: number }> {
  const port = await freePort();
  const environment = {
    npm_config_protocol: "http",
    npm_config_port: String(port),
    npm_config_pidfile: join(folder, "server.pid"),
  };
  const ready = /Listening on/;
  return { ...(await startProcess({ command: process.execPath, words: [suite.server], environment, ready })), port };
}

/** Runs the client to its end. What it prints is only of interest where one test is dumped. */
async function runClient(suite: Suite, base: string): Promise<readonly TestOutcome[]> {
  const words = ["--runner", suite.runner, "--tests", suite.tests, "--base", base];
  if (suite.takesFetch) words.push("--takes-fetch");
  if (options.id !== undefined) words.push("--id", options.id);
  const child = spawn(process.execPath, [join(import.meta.dirname, "client.ts"), ...words], {
    stdio: ["ignore", options.id === undefined ? "ignore" : "inherit", "inherit", "ipc"],
  });
  using _late = systemClock.timer(RUN_MS_MAX, () => child.kill("SIGKILL"));
  let sent: unknown;
  child.on("message", (message) => {
    sent = message;
  });
  const [code, signal] = await once(child, "exit");
  if (code !== 0) throw new Error(`the suite's client ended with ${code ?? signal} (limit ${RUN_MS_MAX} ms)`);
  return Value.Parse(OUTCOMES, sent);
}

async function measure(folder: string): Promise<{ suite: Suite; outcomes: readonly TestOutcome[] }> {
  await using stack = new AsyncDisposableStack();
  const suite = options.suite === undefined ? pinnedSuite(ROOT, folder) : checkedOutSuite(options.suite);
  const server = stack.use(await startServer(suite, folder));
  // The suite stores Set-Cookie like any field, which this cache does only where a rule says so.
  const flags = ["--share-set-cookie", "/*", ...(options.store ? ["--store", join(folder, "store")] : [])];
  const edge = stack.use(await startEdge({ upstreamPort: server.port, flags }));
  return { suite, outcomes: await runClient(suite, edge.url) };
}

function print({ name, expected }: Suite, { counts, failed, faults }: Verdict): void {
  if (!options.json) {
    for (const { id, kind, failure } of failed)
      console.log(`${expected.allowedToFail.has(id) ? "allowed" : "FAILED "}  ${kind.padEnd(8)}  ${id}: ${failure}`);
    for (const fault of faults) console.log(`fault: ${fault}`);
  }
  const words = counts.map(({ kind, passed, total }) => `${kind} ${passed}/${total}`);
  const word = faults.length === 0 ? "ok" : "FAILED";
  console.log(
    options.json ? JSON.stringify({ name, counts, failed, faults }) : `${name}: ${words.join(", ")}: ${word}`,
  );
}

/** Below this nothing was compared. */
const LANE_HITS_MIN = 500;

/** What the suite stores is answered with the same bytes on the fast lane and on the full lane. */
async function areLanesAlike({ tests }: Suite): Promise<boolean> {
  const { hits, answeredFast, differences } = await compareLanes(await laneCases(tests));
  for (const difference of differences) console.error(`lanes differ: ${difference}`);
  if (!options.json)
    console.log(`both lanes: ${hits} hits, ${answeredFast} answered fast, ${differences.length} differ`);
  return differences.length === 0 && Math.min(hits, answeredFast) >= LANE_HITS_MIN;
}

async function run(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "perigee-conformance-"));
  try {
    const { suite, outcomes } = await measure(folder);
    if (options.id !== undefined && outcomes.length === 0) throw new Error(`${suite.name} has no test ${options.id}`);
    const expected = options.id === undefined ? suite.expected : { ...suite.expected, required: 0, optimal: 0 };
    const verdict = judge(outcomes, expected);
    print(suite, verdict);
    const isAlike = options.id !== undefined || (await areLanesAlike(suite));
    return verdict.faults.length === 0 && isAlike ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
