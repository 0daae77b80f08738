/** Bundles the VR page for publishing: index.html, style.css and app.js with its source map. Runs in Node. */
import { copyFile, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

const PAGE = join(import.meta.dirname, "page");
const COPIED = ["index.html", "style.css"];
/** Safari 16.4 is the first with WebCodecs; the others had it earlier. */
const TARGET = "es2022";

export interface BundledFile {
  readonly name: string;
  readonly bytes: number;
}

/** Writes into `outDir`, which is made where it is missing. The page reads `config.json` beside it: whoever publishes adds that. */
export async function bundleClient(outDir: string): Promise<readonly BundledFile[]> {
  await mkdir(outDir, { recursive: true });
  await build({
    entryPoints: [join(PAGE, "page.ts")],
    outfile: join(outDir, "app.js"),
    bundle: true,
    format: "esm",
    target: TARGET,
    minify: true,
    sourcemap: "linked",
    logLevel: "silent",
  });
  for (const name of COPIED) await copyFile(join(PAGE, name), join(outDir, name));
  const names = [...COPIED, "app.js", "app.js.map"];
  return Promise.all(names.map(async (name) => ({ name, bytes: (await stat(join(outDir, name))).size })));
}
