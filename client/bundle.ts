/**
 * Bundles what is published: the client library as one ES module, `perigee.js`, and the VR page around it. Runs in Node.
 * Edges serve a release's files by their names, so `/perigee.js` is the library's address on the site.
 */
import { copyFile, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";

const PAGE = join(import.meta.dirname, "page");
const COPIED = ["index.html", "style.css"];
/** Not `app.js`: beside a scene that is its author's app, and this is written over what is there. */
const PAGE_FILE_NAME = "page.js";
/** Safari 16.4 is the first with WebCodecs; the others had it earlier. */
const TARGET = "es2022";

export interface BundledFile {
  readonly name: string;
  readonly bytes: number;
}

/** The page takes the library as any other does, by its address. */
const BY_ADDRESS: Plugin = {
  name: "library-by-address",
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/perigee\.ts$/ }, ({ kind }) =>
      kind === "entry-point" ? undefined : { path: "./perigee.js", external: true },
    ),
};

/** Writes `perigee.js` with its source map into `outDir`, which is made where it is missing. */
export async function bundleLibrary(outDir: string): Promise<readonly BundledFile[]> {
  return await bundleModule(join(import.meta.dirname, "perigee.ts"), outDir, "perigee.js");
}

/** The library with the page. The page reads `config.json` beside it: whoever publishes adds that. */
export async function bundleClient(outDir: string): Promise<readonly BundledFile[]> {
  const library = await bundleLibrary(outDir);
  const page = await bundleModule(join(PAGE, "page.ts"), outDir, PAGE_FILE_NAME);
  for (const name of COPIED) await copyFile(join(PAGE, name), join(outDir, name));
  return [...(await filesOf(outDir, COPIED)), ...library, ...page];
}

async function bundleModule(entry: string, outDir: string, name: string): Promise<readonly BundledFile[]> {
  await mkdir(outDir, { recursive: true });
  await build({
    entryPoints: [entry],
    outfile: join(outDir, name),
    bundle: true,
    format: "esm",
    target: TARGET,
    minify: true,
    sourcemap: "linked",
    logLevel: "silent",
    plugins: [BY_ADDRESS],
  });
  return filesOf(outDir, [name, `${name}.map`]);
}

function filesOf(folder: string, names: readonly string[]): Promise<readonly BundledFile[]> {
  return Promise.all(names.map(async (name) => ({ name, bytes: (await stat(join(folder, name))).size })));
}
