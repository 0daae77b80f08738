/** Starts a session's own process; its agent forks it and speaks to it over IPC. */
import { enableCompileCache } from "node:module";

enableCompileCache();
// Terminals and supervisors signal the whole group: when a session ends, and why, is its agent's to say.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => undefined);
await import("./session-child.ts");
