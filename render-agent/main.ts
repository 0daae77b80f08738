/** Starts a render-agent from its command line. */
import { enableCompileCache } from "node:module";

enableCompileCache();
await (await import("./command-line.ts")).run(process.argv.slice(2), process.env);
