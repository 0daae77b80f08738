/** Reads a render-agent's command line and runs it. */
import { SOFTWARE_VERSION } from "#domain/version.ts";
import { systemClock } from "#platform/clock.ts";
import { loadConfig, parseOverrides } from "#platform/config/load.ts";
import { readArguments } from "#platform/lifecycle/arguments.ts";
import { runProgram } from "#platform/lifecycle/program.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { startAgent } from "./agent.ts";
import { agentConfigSchema } from "./config.ts";
import { driverVariables } from "./renderer/software-vulkan.ts";

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
  const given = readArguments("render-agent", args, HELP);
  if (given === undefined) return;
  await runProgram({
    name: "render-agent",
    start: async (signal) => {
      const { settings, ...file } = given;
      const config = loadConfig(agentConfigSchema, { ...file, overrides: parseOverrides(settings) });
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
