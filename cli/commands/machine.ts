/** `perigee machine`: makes and ends outages of what `perigee dev` runs. */
import type { Command } from "commander";
import type { MachineAction } from "#deploy/one-machine/control.ts";
import type { MachineOptions, MachineRequest } from "../machine.ts";
import { resultOption } from "../output.ts";
import type { CommandSession } from "./session.ts";

const ACTIONS: Readonly<Record<MachineAction, { readonly of: string; readonly description: string }>> = {
  stop: { of: "program", description: "end programs in order; they stay so until started" },
  kill: { of: "program", description: "end programs at once, as a power cut does; they stay so until started" },
  start: { of: "program", description: "start programs that were stopped or killed" },
  cut: { of: "pool", description: "cut pools off from their clients" },
  restore: { of: "pool", description: "let clients reach pools again" },
};

export function addMachine(program: Command, session: CommandSession): void {
  const machine = program
    .command("machine")
    .description("make and end outages of what `perigee dev` runs here")
    .addHelpText(
      "after",
      "\nExample, the cloud gone and back:\n  perigee machine stop origin scheduler\n  perigee machine start origin scheduler",
    );
  const withOptions = (command: Command): Command =>
    command.option("--data <folder>", "the folder of `perigee dev`", ".perigee").addOption(resultOption());
  // Loaded when asked for, as with `perigee dev`.
  const run = async (options: MachineOptions, requests: readonly MachineRequest[]): Promise<void> =>
    (await import("../machine.ts")).askMachine(session, options, requests);
  withOptions(machine.command("status"))
    .description("programs with their states, pools with their distances")
    .action((options: MachineOptions) => run(options, [{ method: "GET", path: "/" }]));
  for (const [action, { of, description }] of Object.entries(ACTIONS)) {
    withOptions(machine.command(action))
      .description(description)
      .argument(`<${of}...>`)
      .action((names: string[], options: MachineOptions) =>
        run(
          options,
          names.map((name) => ({ method: "POST", path: `/${action}/${encodeURIComponent(name)}` })),
        ),
      );
  }
}
