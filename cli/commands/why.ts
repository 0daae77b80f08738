/** `perigee why`: prints how the scheduler decided, from its record of the decision. */
import type { Command } from "commander";
import { Failure } from "#domain/failure.ts";
import { fieldOf, printValue, textOf } from "../output.ts";
import { apiOf, type CommandSession } from "./session.ts";

interface WhyOptions {
  readonly session?: string;
  readonly site?: string;
  readonly client?: string;
  readonly output: string;
}

export function addWhy(program: Command, session: CommandSession): void {
  program
    .command("why")
    .description(
      "candidates, first failing rule of each rejected one, every term of the score, and the winner by how much",
    )
    .argument("[decision]", "a decision's id, from an answer of the scheduler")
    .option("--session <id>", "the last placement of a session")
    .option("--site <name>", "content of a site, decided now, with --client")
    .option("--client <address>", "the client's IP address")
    .option("-o, --output <format>", "text or json", "text")
    .addHelpText(
      "after",
      "\nExamples:\n  perigee why --site shop --client 203.0.113.9\n  perigee why --session s-3f2a9c1d",
    )
    .action(async (decision: string | undefined, options: WhyOptions, command: Command) => {
      const answer = await apiOf(command, session).scheduler({ method: "GET", path: pathOf(decision, options) });
      const lines = fieldOf(answer, "lines");
      if (options.output === "json" || !Array.isArray(lines)) printValue(session.output, "json", answer);
      else for (const line of lines) session.output.line(textOf(line));
    });
}

function pathOf(decision: string | undefined, options: WhyOptions): string {
  if (decision !== undefined) return `/v1/why/${encodeURIComponent(decision)}`;
  if (options.session !== undefined) return `/v1/why?session=${encodeURIComponent(options.session)}`;
  if (options.site !== undefined && options.client !== undefined) {
    return `/v1/why?site=${encodeURIComponent(options.site)}&client=${encodeURIComponent(options.client)}`;
  }
  throw new Failure("argument-invalid", "give a decision's id, --session ID, or --site NAME with --client ADDRESS");
}
