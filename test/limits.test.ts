/** docs/limits.md and docs/limits/ name every limit that the code has, with its folder, and none that it does not have. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { readFiles } from "./source-files.ts";

const ROOT = join(import.meta.dirname, "..");
const NOT_SHIPPED = /^(test|loadtests|deploy\/bare-root)\/|\/bench\/|\.(test|bench)\.ts$|^contracts\/generated\//;
/** Bounds that nobody chose: of protocols, of numbers, of Node. */
const FACTS = new Set(["DELTA_SECONDS_MAX", "DIGITS_MAX", "PORT_MAX", "TIMEOUT_MS_MAX", "YEARS_AHEAD_MAX"]);
/** Below this the listing is broken. */
const LIMITS_MIN = 150;

t.test("every constant that is a limit is documented, and every documented one is in the code", async (t) => {
  const sources = readFiles(ROOT, /\.ts$/);
  const limits = sources
    .filter(({ path }) => !NOT_SHIPPED.test(path))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/^(?:export )?const ([A-Z0-9_]+_MAX)\b/gm)].map(([, name = ""]) => ({ path, name })),
    )
    .filter(({ name }) => !FACTS.has(name));
  t.ok(limits.length >= LIMITS_MIN, `${limits.length} limits read`);
  const pages = ["limits.md", ...readdirSync(join(ROOT, "docs", "limits")).map((page) => join("limits", page))];
  const text = pages.map((page) => readFileSync(join(ROOT, "docs", page), "utf8")).join("\n");
  const rows = text.split("\n").flatMap(documentedIn);
  t.same(
    limits
      .filter(({ name, path }) => !rows.some((row) => row.name === name && isWithin(path, row.folder)))
      .map(({ path, name }) => `${name} (${path})`),
    [],
    "documented",
  );
  const documented = new Set([...text.matchAll(/`([A-Z0-9_]+_MAX)`/g)].map(([, name = ""]) => name));
  const known = new Set(sources.flatMap((source) => source.text.match(/\b[A-Z0-9_]+_MAX\b/g) ?? []));
  t.same(
    [...documented].filter((name) => !known.has(name)),
    [],
    "in the code",
  );
});

/** Of a row's first cell, as "`A_MAX`, `B_MAX` (folder, folder); `C_MAX` (folder)": names and each folder that they are of. */
function documentedIn(line: string): readonly { readonly name: string; readonly folder: string }[] {
  const [, cell = ""] = line.startsWith("|") ? line.split("|") : [];
  const groups = [...cell.matchAll(/([^()]*)\(([^()]*)\)/g)];
  return groups.flatMap(([, names = "", folders = ""]) =>
    [...names.matchAll(/`([A-Z0-9_]+)`/g)].flatMap(([, name = ""]) =>
      folders.split(", ").map((folder) => ({ name, folder })),
    ),
  );
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}
