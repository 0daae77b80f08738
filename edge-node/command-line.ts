/** Reads an edge-node's command line and runs it. */
import { flushCompileCache } from "node:module";
import { SOFTWARE_VERSION } from "#domain/version.ts";
import { systemClock } from "#platform/clock.ts";
import { loadConfig, parseOverrides } from "#platform/config/load.ts";
import { readArguments } from "#platform/lifecycle/arguments.ts";
import { runProgram } from "#platform/lifecycle/program.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { edgeConfigSchema } from "./config.ts";
import { startEdge } from "./edge.ts";
import type { OpenSessionDoor } from "./session-port.ts";

const HELP = `edge-node: serves content from near its users, and goes on when the cloud is gone.

  node edge-node/main.ts [--config FILE] [--set path.to.key=value]...

Keys: ${Object.keys(edgeConfigSchema.properties).join(", ")}
Example: node edge-node/main.ts --set name=near-1 --set contentUrl=http://near-1.edge.localhost:7420 \\
  --set hostname=near-1.edge.localhost --set join.tokenFile=./token --set join.pin=sha256:...
`;

/** Loaded once the edge serves: no content waits for what speaks gRPC. */
const openDoorLate: OpenSessionDoor = async (ports) =>
  (await import("./sessions/session-door.ts")).openSessionDoor(ports);

export async function run(args: readonly string[]): Promise<void> {
  const given = readArguments("edge-node", args, HELP);
  if (given === undefined) return;
  await runProgram({
    name: "edge-node",
    start: async (signal) => {
      const { settings, ...file } = given;
      const config = loadConfig(edgeConfigSchema, { ...file, overrides: parseOverrides(settings) });
      const logger = createLogger({ program: "edge-node", level: config.logLevel });
      const tools = { clock: systemClock, random: systemRandom, logger, softwareVersion: SOFTWARE_VERSION, signal };
      const edge = await startEdge(config, tools, openDoorLate);
      // Node writes it when the process ends in order, and what a power cut ends is what has to start fast again.
      flushCompileCache();
      return edge;
    },
  });
}
