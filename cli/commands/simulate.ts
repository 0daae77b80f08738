/** `perigee simulate`: what the core decides of a scheduler's log. */
import { type Command, Option } from "commander";
import type { CommandSession } from "./session.ts";

interface SimulateOptions {
  readonly log: string;
  readonly output: "text" | "json";
}

export function addSimulate(program: Command, session: CommandSession): void {
  program
    .command("simulate")
    .description("decide again every decision of a scheduler's log, and compare it with the logged one bit for bit")
    .requiredOption("--log <folder>", "the log of decisions: decisions in the scheduler's dataDir")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["text", "json"]).default("text"))
    .addHelpText("after", "\nExample:\n  perigee simulate --log scheduler-data/decisions")
    .action(async ({ log, output }: SimulateOptions) => {
      const { replayLogFolder } = await import("./replay-log.ts");
      replayLogFolder(session.output, log, output);
    });
}
