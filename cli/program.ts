/** The command line as a whole: global flags, commands, and what each outcome exits with. */
import { Command, CommanderError } from "commander";
import { isFailure } from "#domain/failure.ts";
import { addApply } from "./commands/apply.ts";
import { addDev } from "./commands/dev.ts";
import { addEdge } from "./commands/edge.ts";
import { addMachine } from "./commands/machine.ts";
import { addPublish, addRollback } from "./commands/publish.ts";
import { addDelete, addDescribe, addGet } from "./commands/read.ts";
import type { CommandSession } from "./commands/session.ts";
import { addAppToken, addJoinToken, addOperatorToken } from "./commands/tokens.ts";
import { addWhy } from "./commands/why.ts";
import { EXIT, EXIT_CODE_HELP, exitCodeOf } from "./exit-codes.ts";

/** Runs one command line and answers the exit status; never throws for what an operator can get wrong. */
export async function runCommandLine(words: readonly string[], session: CommandSession): Promise<number> {
  try {
    await buildProgram(session).parseAsync([...words], { from: "user" });
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (!isFailure(error)) throw error;
    session.output.note(`perigee: ${error.message}`);
    return exitCodeOf(error.code);
  }
}

function buildProgram(session: CommandSession): Command {
  const program = new Command("perigee");
  program
    .description("Perigee: content and VR sessions from the nearest edge that can hold them")
    .option("--origin <url>", "the origin's operator API")
    .option("--scheduler <url>", "the scheduler's client API")
    .option("--token-file <file>", "a file with the operator's token")
    .option("--context <file>", "a YAML file with origin, scheduler and tokenFile")
    .addHelpText("after", `\n${EXIT_CODE_HELP}`)
    .showHelpAfterError("(see --help)");
  for (const add of [addApply, addGet, addDescribe, addDelete, addPublish, addRollback]) add(program, session);
  for (const add of [addJoinToken, addAppToken, addOperatorToken, addWhy, addEdge, addDev, addMachine])
    add(program, session);
  for (const command of withCommandsBelow(program)) {
    command.exitOverride().configureOutput({
      writeOut: (text) => session.output.line(text.trimEnd()),
      writeErr: (text) => session.output.note(text.trimEnd()),
    });
  }
  return program;
}

function withCommandsBelow(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(withCommandsBelow)];
}
