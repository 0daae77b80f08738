/** Reads a scheduler's command line and runs it. */
import { SOFTWARE_VERSION } from "#domain/version.ts";
import { systemClock } from "#platform/clock.ts";
import { loadConfig, parseOverrides } from "#platform/config/load.ts";
import { readArguments } from "#platform/lifecycle/arguments.ts";
import { runProgram } from "#platform/lifecycle/program.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { schedulerConfigSchema } from "./config.ts";
import { startScheduler } from "./scheduler.ts";

const HELP = `scheduler: steers content and places VR sessions, also while the origin is gone.

  node scheduler/main.ts [--config FILE] [--set path.to.key=value]...

Keys: ${Object.keys(schedulerConfigSchema.properties).join(", ")}
Example: node scheduler/main.ts --set name=scheduler-1 --set clientUrl=http://steer.localhost:7410 \\
  --set networksFile=./networks.yaml --set join.tokenFile=./token --set join.pin=sha256:...

Places of addresses that no network of yours names are taken from GeoLite2 data created by MaxMind
(https://www.maxmind.com, CC BY-SA 4.0), as geoip-lite brings it; --set geoip=false does without.
`;

export async function run(args: readonly string[]): Promise<void> {
  const given = readArguments("scheduler", args, HELP);
  if (given === undefined) return;
  await runProgram({
    name: "scheduler",
    start: async (signal) => {
      const { settings, ...file } = given;
      const config = loadConfig(schedulerConfigSchema, { ...file, overrides: parseOverrides(settings) });
      const logger = createLogger({ program: "scheduler", level: config.logLevel });
      const tools = { clock: systemClock, random: systemRandom, logger, softwareVersion: SOFTWARE_VERSION, signal };
      return startScheduler(config, tools);
    },
  });
}
