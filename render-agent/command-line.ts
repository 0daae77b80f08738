/** Reads a render-agent's command line and runs it. */
import { parseArgs } from "node:util";
import { systemClock } from "#platform/clock.ts";
import { loadConfig, parseOverrides } from "#platform/config/load.ts";
import { runProgram } from "#platform/lifecycle/program.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { startAgent } from "./agent.ts";
import { agentConfigSchema } from "./config.ts";
import { driverVariables } from "./renderer/software-vulkan.ts";

const SOFTWARE_VERSION = "0.1.0";

const HELP = `render-agent: renders VR sessions on this machine's GPU and streams them.

  node render-agent/main.ts [--config FILE] [--set path.to.key=value]...

Keys: ${Object.keys(agentConfigSchema.properties).join(", ")}
Example: node render-agent/main.ts --set name=near-gpu-1 \\
  --set 'edges=[{name: near-1, control: "127.0.0.1:7421", enrolment: "127.0.0.1:7422"}]' \\
  --set join.tokenFile=./token --set join.pin=sha256:...
`;

/** `environment` is looked at for the names of Vulkan drivers only. */
export async function run(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      config: { type: "string" },
      set: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  await runProgram({
    name: "render-agent",
    start: async (signal) => {
      const file = values.config === undefined ? {} : { file: values.config };
      const config = loadConfig(agentConfigSchema, { ...file, overrides: parseOverrides(values.set) });
      const logger = createLogger({ program: "render-agent", level: config.logLevel });
      return startAgent(config, {
        clock: systemClock,
        random: systemRandom,
        logger,
        softwareVersion: SOFTWARE_VERSION,
        environment: driverVariables(environment),
        signal,
      });
    },
  });
}
