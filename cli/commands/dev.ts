/** `perigee dev`: Perigee on this machine with embedded storage and sample content, until interrupted. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { PORT_OFFSET_MAX } from "#deploy/one-machine/topology.ts";
import { Failure } from "#domain/failure.ts";
import type { CommandSession } from "./session.ts";

const HELP = `
Ports, all on loopback:
  7400-7409  origin: operator API, nodes, enrolment, delivery; metrics at 7409
  7410-7419  scheduler: clients; metrics at 7419
  7420-7449  ten for each pool (near, middle, far): clients at the first, metrics of agent and edge at the last two
  7490-7491  upstream of the pulled site; perigee machine
  7500-7596  media (UDP), forty for each pool that renders

Examples:
  perigee dev --data /tmp/perigee --port-offset 1000
  perigee machine stop origin scheduler        (in another terminal: the cloud is gone)`;

export function addDev(program: Command, session: CommandSession): void {
  program
    .command("dev")
    .description("run all of Perigee on this machine with sample content, until interrupted")
    .option("--data <folder>", "where everything is kept", ".perigee")
    .option("--port-offset <number>", "added to every port, to run beside another", "0")
    .addHelpText("after", HELP)
    .action(async (options: { data: string; portOffset: string }) => {
      const portOffset = parseOffset(options.portOffset);
      // Loaded now: the other commands have no use for a bundler and links.
      const { runOneMachine } = await import("../one-machine.ts");
      await runOneMachine({ data: resolve(session.environment.folder, options.data), portOffset }, session);
    });
}

function parseOffset(text: string): number {
  const offset = Number(text);
  if (/^\d+$/.test(text) && offset <= PORT_OFFSET_MAX) return offset;
  throw new Failure("argument-invalid", `--port-offset must be 0..${PORT_OFFSET_MAX}, got ${JSON.stringify(text)}`);
}
