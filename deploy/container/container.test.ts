import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";

const ROOT = join(import.meta.dirname, "..", "..");
const PROGRAMS = ["origin", "scheduler", "edge-node", "render-agent", "cli"];

const linesOf = (name: string) =>
  readFileSync(join(import.meta.dirname, name), "utf8")
    .replaceAll("\\\n", " ")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
const instructions = linesOf("Containerfile").map((line) => line.split(/\s+/));
const sourcesCopied = instructions
  .filter(([name, first]) => name === "COPY" && first?.startsWith("--from") === false)
  .flatMap((words) => words.slice(1, -1));

t.test("the image has every folder that the programs import, and all that it copies is there", async (t) => {
  for (const source of sourcesCopied) t.ok(existsSync(join(ROOT, source)), `${source} is there`);
  for (const program of PROGRAMS) {
    t.ok(existsSync(join(ROOT, program, "main.ts")), `${program}/main.ts is an entry point`);
    t.ok(sourcesCopied.includes(program), `${program} is copied`);
  }
  const imported = new Set(PROGRAMS.flatMap((program) => [...foldersImported(program)]));
  t.ok(imported.size >= 4, `${[...imported].join(", ")} are imported`);
  for (const folder of imported) t.ok(sourcesCopied.includes(folder), `${folder} is copied`);
});

/** Top-level folders that a folder's own modules name, those of tests and benchmarks left out. */
function foldersImported(folder: string): ReadonlySet<string> {
  const files = readdirSync(join(ROOT, folder), { recursive: true }).map(String);
  const sources = files.filter((file) => /\.ts$/.test(file) && !/\.(test|bench)\.ts$|^(test|bench)\//.test(file));
  const named = sources.flatMap((file) => [
    ...readFileSync(join(ROOT, folder, file), "utf8").matchAll(/from "#([a-z-]+)\/|import\("#([a-z-]+)\//g),
  ]);
  return new Set(named.map((match) => match[1] ?? match[2] ?? ""));
}

t.test("nothing reaches the build that it does not copy", async (t) => {
  const allowed = linesOf("Containerfile.dockerignore").flatMap((line) =>
    line.startsWith("!") ? [line.slice(1)] : [],
  );
  t.strictSame(allowed.sort(), [...new Set(sourcesCopied)].sort());
});

t.test("programs run as an account without rights, with production dependencies only", async (t) => {
  const last = (name: string) =>
    instructions
      .findLast(([word]) => word === name)
      ?.slice(1)
      .join(" ");
  t.equal(last("USER"), "10001:10001");
  t.equal(last("ENTRYPOINT"), '["node"]');
  t.ok(instructions.some((words) => words.join(" ") === "RUN npm ci --omit=dev"));
});
