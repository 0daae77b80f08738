/** Starts an edge-node from its command line. */
import { enableCompileCache } from "node:module";

// Before anything large is loaded: a cold start is what users wait for after an outage.
enableCompileCache();
await (await import("./command-line.ts")).run(process.argv.slice(2));
