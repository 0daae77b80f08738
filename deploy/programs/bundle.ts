/** Bundles a program for deployment: a few files to read where the sources are a thousand, so that it starts fast. */
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { type BuildOptions, build, type Plugin } from "esbuild";
import { assert } from "#domain/assert.ts";

const ROOT = join(import.meta.dirname, "..", "..");

/** Those whose start users wait for, and the folders that they may import (the arrows of ARCHITECTURE.md). */
const PROGRAMS = {
  "edge-node": ["edge-node", "contracts", "domain", "platform"],
} as const;
/** What else a program starts, beside its main module: name in the bundle, and module. */
const PARTS: Readonly<Record<BundledProgram, Readonly<Record<string, string>>>> = {
  "edge-node": { "front-process": "edge-node/processes/main.ts" },
};

export type BundledProgram = keyof typeof PROGRAMS;
export const BUNDLED_PROGRAMS: readonly BundledProgram[] = ["edge-node"];

/** What a bundle is made of besides the program's folders: the libraries by their lockfile, and this. */
const COMMON_INPUTS = ["package.json", "package-lock.json", "deploy/programs/bundle.ts"];
const SOURCE = /\.(ts|js)$/;
const NOT_PART = /\.(test|bench)\.ts$/;
/** A process that runs still loads parts of its bundle late: replacing one leaves the latest before it. */
const KEPT_MAX = 4;

/** A library's CommonJS modules ask for Node's own by `require`, which a module does not have. */
const REQUIRE = `import { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);`;

/**
 * Node's own modules with only those exports that are used. To `import` one is to read each of its exports, and some
 * of them load more when they are read: `WebSocket` of node:http a whole HTTP client, a fifth of an edge's start.
 */
const BUILTINS: Plugin = {
  name: "builtins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === "import-statement" ? { path, namespace: "builtin" } : { path, external: true },
    );
    onLoad({ filter: /^/, namespace: "builtin" }, ({ path }) => ({ contents: exportsOf(path) }));
  },
};

function exportsOf(builtin: string): string {
  const module = process.getBuiltinModule(builtin);
  assert(module !== undefined, `${builtin} is one of Node's modules`);
  const names = Object.keys(module).filter((name) => name !== "default");
  return `const $builtin = /* @__PURE__ */ process.getBuiltinModule(${JSON.stringify(builtin)});
const $read = (name) => $builtin[name];
export default $builtin;
${names.map((name) => `export const ${name} = /* @__PURE__ */ $read("${name}");`).join("\n")}
`;
}

const OPTIONS = {
  bundle: true,
  // What is imported late stays a file of its own, read when it is needed.
  splitting: true,
  format: "esm",
  // Modules also where no package.json says so.
  outExtension: { ".js": ".mjs" },
  platform: "node",
  target: "node24",
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: "linked",
  plugins: [BUILTINS],
  banner: { js: REQUIRE },
  logLevel: "silent",
} satisfies BuildOptions;

/**
 * The path of the program's main module, bundled in `outDir`: `PROGRAM-KEY/main.mjs`, also reached by the stable
 * `PROGRAM/main.mjs`. The key is of what the bundle is made of, so an unchanged tree is not bundled again; who reads
 * meanwhile sees a whole bundle or none.
 */
export async function bundleProgram(program: BundledProgram, outDir: string): Promise<string> {
  const name = `${program}-${await keyOf(program)}`;
  const folder = join(outDir, name);
  if (!existsSync(folder)) {
    await mkdir(outDir, { recursive: true });
    const making = await mkdtemp(join(outDir, `.${name}-`));
    try {
      const entryPoints = { main: `${program}/main.ts`, ...PARTS[program] };
      await build({ ...OPTIONS, entryPoints, outdir: making, absWorkingDir: ROOT });
      await chmod(making, 0o755);
      await renameUnlessThere(making, folder);
    } finally {
      await rm(making, { recursive: true, force: true });
    }
    await removeOld(program, outDir, name);
  }
  await point(join(outDir, program), name);
  return join(folder, "main.mjs");
}

async function keyOf(program: BundledProgram): Promise<string> {
  const listed = PROGRAMS[program].map(async (folder) => {
    const entries = await readdir(join(ROOT, folder), { recursive: true });
    return entries.filter((path) => SOURCE.test(path) && !NOT_PART.test(path)).map((path) => join(folder, path));
  });
  const inputs = [...COMMON_INPUTS, ...(await Promise.all(listed)).flat().toSorted()];
  const hash = createHash("sha256");
  for (const path of inputs) {
    const bytes = await readFile(join(ROOT, path));
    hash.update(`${path}\n${bytes.byteLength}\n`).update(bytes);
  }
  return hash.digest("hex").slice(0, 16);
}

/** Of two that make the same bundle the first one's is used. */
async function renameUnlessThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}

async function point(link: string, target: string): Promise<void> {
  if ((await readlink(link).catch(() => undefined)) === target) return;
  const making = `${link}.${randomUUID()}`;
  await symlink(target, making);
  await rename(making, link);
}

async function removeOld(program: BundledProgram, outDir: string, current: string): Promise<void> {
  const names = (await readdir(outDir)).filter((name) => name.startsWith(`${program}-`) && name !== current);
  // Another that bundles may be removing them too.
  const aged = await Promise.all(
    names.map(async (name) => ({
      name,
      madeAtMs: (await stat(join(outDir, name)).catch(() => undefined))?.mtimeMs ?? 0,
    })),
  );
  const old = aged.toSorted((one, other) => other.madeAtMs - one.madeAtMs).slice(KEPT_MAX - 1);
  for (const { name } of old) await rm(join(outDir, name), { recursive: true, force: true });
}
