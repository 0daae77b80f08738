/** The command line as a whole: global flags, commands, and what each outcome exits with. */
import { Command, CommanderError } from "commander";
import { isFailure } from "#domain/failure.ts";
import { SOFTWARE_VERSION } from "#domain/version.ts";
import type { CommandSession } from "./commands/session.ts";
import { EXIT, EXIT_CODE_HELP, exitCodeOf } from "./exit-codes.ts";

type AddCommand = (program: Command, session: CommandSession) => void;

/** In the order of the help. Only what a command line names is loaded: `perigee edge` stays small, all start sooner. */
const COMMANDS: Readonly<Record<string, () => Promise<AddCommand>>> = {
  apply: async () => (await import("./commands/apply.ts")).addApply,
  get: async () => (await import("./commands/read.ts")).addGet,
  describe: async () => (await import("./commands/read.ts")).addDescribe,
  delete: async () => (await import("./commands/read.ts")).addDelete,
  tombstone: async () => (await import("./commands/tombstone.ts")).addTombstone,
  policy: async () => (await import("./commands/policy.ts")).addPolicy,
  revisions: async () => (await import("./commands/revisions.ts")).addRevisions,
  diff: async () => (await import("./commands/revisions.ts")).addDiff,
  rollout: async () => (await import("./commands/rollout.ts")).addRollout,
  publish: async () => (await import("./commands/publish.ts")).addPublish,
  rollback: async () => (await import("./commands/publish.ts")).addRollback,
  purge: async () => (await import("./commands/purge.ts")).addPurge,
  "join-token": async () => (await import("./commands/tokens.ts")).addJoinToken,
  "app-token": async () => (await import("./commands/tokens.ts")).addAppToken,
  "operator-token": async () => (await import("./commands/tokens.ts")).addOperatorToken,
  authority: async () => (await import("./commands/authority.ts")).addAuthority,
  "rotate-authority": async () => (await import("./commands/authority.ts")).addRotateAuthority,
  "signing-key": async () => (await import("./commands/signing.ts")).addSigningKey,
  "sign-url": async () => (await import("./commands/signing.ts")).addSignUrl,
  usage: async () => (await import("./commands/usage.ts")).addUsage,
  why: async () => (await import("./commands/why.ts")).addWhy,
  "why-not": async () => (await import("./commands/why-not.ts")).addWhyNot,
  "plan-capacity": async () => (await import("./commands/plan-capacity.ts")).addPlanCapacity,
  simulate: async () => (await import("./commands/simulate.ts")).addSimulate,
  "vr-page": async () => (await import("./commands/vr-page.ts")).addVrPage,
  edge: async () => (await import("./commands/edge.ts")).addEdge,
  dev: async () => (await import("./commands/dev.ts")).addDev,
  machine: async () => (await import("./commands/machine.ts")).addMachine,
};

/** Runs one command line and answers the exit status; never throws for what an operator can get wrong. */
export async function runCommandLine(words: readonly string[], session: CommandSession): Promise<number> {
  try {
    const program = await buildProgram(words, session);
    await program.parseAsync([...words], { from: "user" });
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (!isFailure(error)) throw error;
    session.output.note(`perigee: ${error.message}`);
    return exitCodeOf(error.code);
  }
}

async function buildProgram(words: readonly string[], session: CommandSession): Promise<Command> {
  const program = new Command("perigee");
  program
    .description("Perigee: content and VR sessions from the nearest edge that can hold them")
    .version(SOFTWARE_VERSION)
    .option("--origin <url>", "the origin's operator API")
    .option("--scheduler <url>", "the scheduler's client API")
    .option("--token-file <file>", "a file with the operator's token")
    .option("--context <file>", "a YAML file with origin, scheduler and tokenFile")
    .addHelpText("after", `\n${EXIT_CODE_HELP}`)
    .showHelpAfterError("(see --help)");
  const named = Object.keys(COMMANDS).filter((name) => words.includes(name));
  for (const name of named.length > 0 ? named : Object.keys(COMMANDS)) {
    const add = await COMMANDS[name]?.();
    add?.(program, session);
  }
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
