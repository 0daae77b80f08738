/** Bans that no linter knows hold in every file of the repository. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { listFiles, readFiles } from "./source-files.ts";
import { type Fault, findSourceFaults, findTextFaults } from "./tidy/rules.ts";

/** Below this the listing is broken, not the repository clean. */
const SOURCES_MIN = 120;
const TEXTS_MIN = 140;

const root = join(import.meta.dirname, "..");
const GENERATED = /^contracts\/generated\//;
const RULES = /^test\/(tidy\/|planted-breaches|breaches)/;

function show(faults: readonly Fault[]): string {
  return faults.map(({ path, line, rule, what }) => `${path}:${line}: ${rule}: ${what}`).join("\n");
}

function holdsFile(folder: string): boolean {
  return readdirSync(folder, { withFileTypes: true, recursive: true }).some((entry) => !entry.isDirectory());
}

t.test("every module keeps the rules of its syntax", async (t) => {
  const sources = readFiles(root, /\.ts$/).filter(({ path }) => !GENERATED.test(path));
  t.comment(`read ${sources.length} modules`);
  t.ok(sources.length >= SOURCES_MIN, `${sources.length} modules read, at least ${SOURCES_MIN}`);
  t.equal(show(sources.flatMap(findSourceFaults)), "");
});

t.test("no text names a machine's path, is unfinished, or has a name that says nothing", async (t) => {
  const texts = readFiles(root, /\.(ts|cjs|mjs|md|json|ya?ml|proto|html|css|sh|service)$|(^|\/)run$/).filter(
    ({ path }) => !RULES.test(path) && !GENERATED.test(path) && path !== "package-lock.json",
  );
  t.comment(`read ${texts.length} texts`);
  t.ok(texts.length >= TEXTS_MIN, `${texts.length} texts read, at least ${TEXTS_MIN}`);
  t.equal(show(texts.flatMap(findTextFaults)), "");
});

t.test("no folder is empty or for later", async (t) => {
  const filled = new Set(
    listFiles(root).flatMap((path) => {
      const parts = path.split("/").slice(0, -1);
      return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
    }),
  );
  t.ok(filled.size >= 10, `${filled.size} folders read`);
  const empty = [...filled].flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !holdsFile(join(root, folder, entry.name)))
      .map((entry) => `${folder}/${entry.name}`),
  );
  t.same(empty, []);
});

t.test("the lockfile names no registry but the public one", async (t) => {
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  t.ok(lock.includes('"node_modules/typescript"'), "the lockfile was read");
  const hosts = [...lock.matchAll(/"resolved": "https?:\/\/([^/"]+)/g)].map(([, host]) => host);
  t.same(
    [...new Set(hosts)].filter((host) => host !== "registry.npmjs.org"),
    [],
  );
});
