/** Starts a session's own process; its agent forks it and speaks to it over IPC. */
import { enableCompileCache } from "node:module";

enableCompileCache();
await import("./session-child.ts");
