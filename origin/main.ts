/** Starts the origin from its command line. */
import { systemClock } from "#platform/clock.ts";
import { loadConfig, parseOverrides } from "#platform/config/load.ts";
import { readArguments } from "#platform/lifecycle/arguments.ts";
import { runProgram } from "#platform/lifecycle/program.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { originConfigSchema } from "./config.ts";
import { startOrigin } from "./origin.ts";

const HELP = `origin: the control plane and the content's source of truth.

  node origin/main.ts [--config FILE] [--set path.to.key=value]...

Keys: ${Object.keys(originConfigSchema.properties).join(", ")}
Example: node origin/main.ts --set dataDir=/var/lib/perigee/origin --set listen.operatorApi=127.0.0.1:7400
`;

const given = readArguments("origin", process.argv.slice(2), HELP);
const print = (text: string): void => void process.stdout.write(`${text}\n`);

if (given !== undefined) {
  await runProgram({
    name: "origin",
    start: async () => {
      const { settings, ...file } = given;
      const config = loadConfig(originConfigSchema, { ...file, overrides: parseOverrides(settings) });
      const logger = createLogger({ program: "origin", level: config.logLevel });
      return startOrigin(config, { clock: systemClock, random: systemRandom, logger, print });
    },
  });
}
