/** Bundles the programs that are deployed as bundles: `npm run bundle [-- OUTDIR]`. Says nothing where all is well. */
import { join, resolve } from "node:path";
import { BUNDLED_PROGRAMS, bundleProgram } from "./bundle.ts";

const outDir = resolve(process.argv[2] ?? join(import.meta.dirname, "..", "..", ".bundle"));
for (const program of BUNDLED_PROGRAMS) await bundleProgram(program, outDir);
