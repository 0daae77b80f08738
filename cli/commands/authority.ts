/** `perigee authority` and `rotate-authority`: who issues the nodes' certificates, and another one in its place. */
import type { Command } from "commander";
import { Failure } from "#domain/failure.ts";
import { printValue, resultOption } from "../output.ts";
import { apiOf, type CommandSession } from "./session.ts";

const DAY_SECONDS = 86_400;
const PATH = "/v1/authority";

export function addAuthority(program: Command, session: CommandSession): void {
  program
    .command("authority")
    .description("show the certificate authority: its pin, when it expires, and one before it that is still trusted")
    .addOption(resultOption())
    .addHelpText("after", "\nExample:\n  perigee authority -o json")
    .action(async (options: { output: string }, command: Command) => {
      show(session, options.output, await apiOf(command, session).origin({ method: "GET", path: PATH }));
    });
}

export function addRotateAuthority(program: Command, session: CommandSession): void {
  program
    .command("rotate-authority")
    .description(
      "make a new certificate authority, which issues from now on; the one before is trusted until it retires",
    )
    .option("--overlap-days <days>", "until then; shorter than 60 locks out nodes that do not renew in time")
    .addOption(resultOption())
    .addHelpText(
      "after",
      "\nNodes take it over at their next renewal: nothing is to be done at any of them.\n\nExample:\n  perigee rotate-authority --overlap-days 90",
    )
    .action(async (options: { overlapDays?: string; output: string }, command: Command) => {
      const { overlapDays } = options;
      const body = overlapDays === undefined ? {} : { overlapSeconds: parseDays(overlapDays) * DAY_SECONDS };
      const answer = await apiOf(command, session).origin({ method: "POST", path: `${PATH}/rotation`, body });
      show(session, options.output, answer);
    });
}

function show(session: CommandSession, format: string, answer: unknown): void {
  printValue(session.output, format === "json" ? "json" : "yaml", answer);
}

function parseDays(text: string): number {
  const days = Number(text);
  if (Number.isSafeInteger(days) && days > 0) return days;
  throw new Failure("argument-invalid", `--overlap-days must be a whole number from 1, got ${JSON.stringify(text)}`);
}
