/** A process that runs several whole edges, started in turns, for the benchmark that started it; each has its own folder. */
import { readFileSync } from "node:fs";
import { edgeConfigSchema } from "#edge-node/config.ts";
import { startEdge } from "#edge-node/edge.ts";
import { formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { loadConfig } from "#platform/config/load.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import type { HostedEdge } from "./edges.ts";

const START_MS_MAX = 60_000;

// Each edge notes the end of its process.
process.setMaxListeners(process.argv.length + 10);
await using stack = new AsyncDisposableStack();
const started: HostedEdge[] = [];
for (const file of process.argv.slice(2)) {
  const config = loadConfig(edgeConfigSchema, { text: readFileSync(file, "utf8") });
  const edge = stack.use(
    await startEdge(config, {
      clock: systemClock,
      random: systemRandom,
      logger: createLogger({ program: "edge-node", level: config.logLevel }),
      softwareVersion: "0.1.0",
      signal: systemClock.deadline(START_MS_MAX),
    }),
  );
  const { content, admin } = edge.addresses;
  started.push({ name: config.name, content: formatAddress(content), admin: formatAddress(admin) });
}
const ended = Promise.withResolvers<void>();
process.once("disconnect", () => ended.resolve());
process.send?.(started);
await ended.promise;
