/** `perigee why-not`: prints why a session is not in a pool, from the record of its decision. */
import { type Command, Option } from "commander";
import { Failure } from "#domain/failure.ts";
import { fieldOf, printValue, textOf } from "../output.ts";
import { apiOf, type CommandSession } from "./session.ts";

interface WhyNotOptions {
  readonly session?: string;
  readonly decision?: string;
  readonly output: string;
}

export function addWhyNot(program: Command, session: CommandSession): void {
  program
    .command("why-not")
    .description(
      "the first rule that a pool failed or its terms beside the chosen pool's, and what it would take to win",
    )
    .argument("<pool>", "a NodePool's name")
    .option("--session <id>", "the last decision on a session")
    .option("--decision <id>", "a decision's id, from an answer of the scheduler")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["text", "json"]).default("text"))
    .addHelpText("after", "\nExample:\n  perigee why-not lisbon --session s-3f2a9c1d")
    .action(async (pool: string, options: WhyNotOptions, command: Command) => {
      const path = `/v1/why-not/${encodeURIComponent(pool)}?${queryOf(options)}`;
      const answer = await apiOf(command, session).scheduler({ method: "GET", path });
      const lines = fieldOf(answer, "lines");
      if (options.output === "json" || !Array.isArray(lines)) printValue(session.output, "json", answer);
      else for (const line of lines) session.output.line(textOf(line));
    });
}

function queryOf({ session, decision }: WhyNotOptions): URLSearchParams {
  const query = new URLSearchParams();
  if (session !== undefined) query.set("session", session);
  if (decision !== undefined) query.set("decision", decision);
  if (query.size > 0) return query;
  throw new Failure("argument-invalid", "give --session ID or --decision ID");
}
