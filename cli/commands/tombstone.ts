/** `perigee tombstone`: says that something is gone on purpose, to edges that refuse a set without it. */
import type { Command } from "commander";
import { Failure } from "#domain/failure.ts";
import { EVERY_NAME, isTombstoneKind, TOMBSTONE_KINDS, tombstoneName } from "#domain/fleet/tombstone.ts";
import { parseName } from "#domain/ids.ts";
import { API_VERSION } from "#domain/resource.ts";
import { parseKind } from "../kinds.ts";
import { printValue, resultOption } from "../output.ts";
import { apiOf, type CommandSession } from "./session.ts";

export function addTombstone(program: Command, session: CommandSession): void {
  program
    .command("tombstone")
    .description("say that a resource the origin does not have is gone on purpose: edges that still hold it let it go")
    .argument("<kind>", TOMBSTONE_KINDS.map((kind) => kind.toLowerCase()).join(", "))
    .argument("[name]")
    .option("--all", "every one of the kind that the origin does not have now")
    .addOption(resultOption())
    .addHelpText(
      "after",
      "\n`perigee delete` does this itself; it is for what a restored backup has lost.\n\nExamples:\n  perigee tombstone site old-shop\n  perigee tombstone site --all",
    )
    .action(async (kindText: string, nameText: string | undefined, options: Options, command: Command) => {
      const kind = parseKind(kindText);
      if (!isTombstoneKind(kind)) {
        throw new Failure("argument-invalid", `${kind} needs no tombstone; kinds are ${TOMBSTONE_KINDS.join(", ")}`);
      }
      const name = nameOf(nameText, options);
      const document = {
        apiVersion: API_VERSION,
        kind: "Tombstone",
        metadata: { name: tombstoneName(kind, name) },
        spec: { kind, name },
      };
      const body = { documents: [document] };
      const answer = await apiOf(command, session).origin({ method: "POST", path: "/v1/apply?dryRun=false", body });
      if (options.output === "json") printValue(session.output, "json", answer);
      else session.output.line(`Tombstone/${document.metadata.name} of ${kind} ${name}`);
    });
}

interface Options {
  readonly all?: true;
  readonly output: string;
}

function nameOf(name: string | undefined, { all }: Options): string {
  if ((name === undefined) === (all === undefined)) {
    throw new Failure("argument-invalid", "give a name, or --all for every one that the origin does not have");
  }
  return name === undefined ? EVERY_NAME : parseName(name, "the name");
}
