/** Runs the static checks, all or those named: a line each with how much it read; fails below a floor. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { listFiles } from "../source-files.ts";
import { findFloatingPromises } from "./floating-promises.ts";

const root = join(import.meta.dirname, "../..");
const CHECK_TIMEOUT_MS = 180_000;

interface Outcome {
  readonly read: number;
  /** What is wrong; empty if nothing is. */
  readonly faults: string;
}

interface Check {
  readonly unit: string;
  /** Below this the check is broken, not the repository clean. */
  readonly readMin: number;
  readonly run: () => Promise<Outcome>;
}

const CHECKS: Readonly<Record<string, Check>> = {
  types: { unit: "files", readMin: 110, run: () => compile("tsconfig.json") },
  "types-pure": { unit: "files", readMin: 18, run: () => compile("tsconfig.pure.json") },
  "types-client": { unit: "files", readMin: 10, run: () => compile("tsconfig.client.json") },
  "types-client-tests": { unit: "files", readMin: 1, run: () => compile("tsconfig.client-tests.json") },
  "types-loadtests": { unit: "files", readMin: 7, run: () => compile("tsconfig.loadtests.json") },
  "types-cover": { unit: "files", readMin: 120, run: findUncompiled },
  promises: { unit: "calls", readMin: 4000, run: async () => findFloatingPromises(root) },
  lint: { unit: "files", readMin: 120, run: lint },
  imports: { unit: "dependencies", readMin: 500, run: cruise },
  unused: { unit: "files", readMin: 110, run: findUnused },
  tidy: { unit: "files", readMin: 260, run: tidy },
};

interface Finished {
  readonly status: number;
  readonly output: string;
}

async function runTool(script: string, args: readonly string[]): Promise<Finished> {
  const child = spawn(process.execPath, [script, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: CHECK_TIMEOUT_MS,
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0" },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
  }
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.on("error", reject).on("close", (code) => resolve(code ?? 1));
  return { status: await promise, output };
}

function tool(path: string): string {
  return join(root, "node_modules", path);
}

/** The project's own files that a compilation reads. */
function ownFiles(listing: string): readonly string[] {
  const prefix = `${root}/`;
  return listing
    .split("\n")
    .filter((line) => line.startsWith(prefix) && !line.includes("/node_modules/"))
    .map((line) => line.slice(prefix.length));
}

async function compile(project: string): Promise<Outcome> {
  const cache = join(root, ".cache", `${project}.tsbuildinfo`);
  const args = [
    "-p",
    project,
    "--noEmit",
    "--incremental",
    "--tsBuildInfoFile",
    cache,
    "--listFiles",
    "--pretty",
    "false",
  ];
  const { status, output } = await runTool(tool("typescript/bin/tsc"), args);
  const faults = output.split("\n").filter((line) => /error TS\d+/.test(line) || /^\s/.test(line));
  return { read: ownFiles(output).length, faults: status === 0 ? "" : faults.join("\n") || output.slice(-2000) };
}

/** A module that no tsconfig reads is a module whose types nobody checks. */
async function findUncompiled(): Promise<Outcome> {
  const read = new Set<string>();
  const projects = listFiles(root).filter((path) => /(^|\/)tsconfig[^/]*\.json$/.test(path));
  for (const project of projects) {
    const { output } = await runTool(tool("typescript/bin/tsc"), ["-p", project, "--listFilesOnly"]);
    for (const path of ownFiles(output)) read.add(path);
  }
  const missing = listFiles(root).filter((path) => /(?<!\.d)\.ts$/.test(path) && !read.has(path));
  return { read: read.size, faults: missing.map((path) => `${path}: read by no tsconfig`).join("\n") };
}

async function lint(): Promise<Outcome> {
  const { status, output } = await runTool(tool("@biomejs/biome/bin/biome"), ["check", "--error-on-warnings", "."]);
  return { read: Number(/Checked (\d+) files/.exec(output)?.[1] ?? 0), faults: status === 0 ? "" : output };
}

async function cruise(): Promise<Outcome> {
  const folders = [...new Set(listFiles(root).filter((path) => /\.(ts|cjs)$/.test(path)))]
    .map((path) => path.split("/"))
    .flatMap(([folder, ...rest]) => (rest.length > 0 && folder !== undefined ? [folder] : []));
  const args = ["--config", ".dependency-cruiser.cjs", ...new Set(folders)];
  const { status, output } = await runTool(tool("dependency-cruiser/bin/dependency-cruise.mjs"), args);
  return { read: Number(/(\d+) dependencies cruised/.exec(output)?.[1] ?? 0), faults: status === 0 ? "" : output };
}

async function findUnused(): Promise<Outcome> {
  const args = ["--no-progress", "--reporter", "./test/checks/knip-reporter.mjs"];
  const { status, output } = await runTool(tool("knip/bin/knip.js"), args);
  return { read: Number(/read (\d+) files/.exec(output)?.[1] ?? 0), faults: status === 0 ? "" : output };
}

async function tidy(): Promise<Outcome> {
  const { status, output: coloured } = await runTool("--test", ["--test-reporter=tap", "test/tidy.test.ts"]);
  const output = stripVTControlCharacters(coloured);
  const read = [...output.matchAll(/read (\d+) (modules|texts)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  const faults = output.split("\n").filter((line) => /^\s*\+( |\S+:\d+: )/.test(line));
  return { read, faults: status === 0 ? "" : faults.join("\n") || output.slice(-3000) };
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in CHECKS));
if (unknown.length > 0) {
  console.error(`unknown check ${unknown.join(", ")}; there are ${Object.keys(CHECKS).join(", ")}`);
  process.exit(2);
}

let passed = 0;
let failed = 0;
for (const [name, check] of Object.entries(CHECKS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const started = performance.now();
  const { read, faults } = await check.run();
  const enough = read >= check.readMin;
  const ok = enough && faults === "";
  if (ok) passed += 1;
  else failed += 1;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${ok ? "ok  " : "FAIL"}  ${name.padEnd(18)} read ${read} ${check.unit} in ${seconds} s`);
  if (!enough) console.log(`      read ${read} ${check.unit}, expected ${check.readMin} at least: the check is broken`);
  if (faults !== "") console.log(faults.trimEnd().replaceAll(/^/gm, "      "));
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
