/** `perigee rollout`: how far changes have come from pool to pool, and the word to let them out at once. */
import type { Command } from "commander";
import { ROLLOUT_NAME } from "#domain/fleet/rollout.ts";
import { fieldOf, printValue, resultOption, textOf } from "../output.ts";
import { apiOf, type CommandSession } from "./session.ts";

export function addRollout(program: Command, session: CommandSession): void {
  program
    .command("rollout")
    .description("what is held back from pools whose turn has not come, and why (see RolloutPolicy)")
    .option("--now", "every pool gets at once what is held back, proven or not")
    .addOption(resultOption())
    .addHelpText(
      "after",
      "\nA row that broke edges is mended by another version of it, or deleted; --now lets it out as it is.\n\nExamples:\n  perigee rollout\n  perigee rollout --now",
    )
    .action(async (options: { readonly now?: true; readonly output: string }, command: Command) => {
      const api = apiOf(command, session);
      if (options.now === true) {
        const answer = await api.origin({ method: "POST", path: "/v1/rollout/let-out" });
        if (options.output === "json") printValue(session.output, "json", answer);
        else session.output.line(`let out by revision ${textOf(fieldOf(answer, "revision"))}`);
        return;
      }
      const rollout = await api.origin({ method: "GET", path: `/v1/resources/Rollout/${ROLLOUT_NAME}` });
      printValue(session.output, options.output === "json" ? "json" : "yaml", fieldOf(rollout, "status"));
    });
}
