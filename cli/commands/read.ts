/** `perigee get`, `describe` and `delete`. */
import { type Command, Option } from "commander";
import type { Kind } from "#domain/resource.ts";
import { parseKind } from "../kinds.ts";
import {
  fieldOf,
  itemsOf,
  OUTPUT_FORMATS,
  type OutputFormat,
  printValue,
  renderTable,
  resultOption,
  textOf,
} from "../output.ts";
import { cellsOf, headsOf } from "./columns.ts";
import { apiOf, type CommandSession } from "./session.ts";

export function addGet(program: Command, session: CommandSession): void {
  program
    .command("get")
    .description("list resources of a kind, or get one, with what is observed of it")
    .argument("<kind>", "site, release, nodepool, node, placementpolicy, contentpolicy, renderapp, …")
    .argument("[name]", "one resource")
    .addOption(new Option("-o, --output <format>", "how to print").choices([...OUTPUT_FORMATS]).default("table"))
    .addHelpText(
      "after",
      "\nExamples:\n  perigee get sites\n  perigee get placementpolicy eu -o yaml\n  perigee get nodes",
    )
    .action(async (kindText: string, name: string | undefined, options: { output: OutputFormat }, command: Command) => {
      const kind = parseKind(kindText);
      const api = apiOf(command, session);
      const path = `/v1/resources/${kind}${name === undefined ? "" : `/${encodeURIComponent(name)}`}`;
      const answer = await api.origin({ method: "GET", path });
      const items = name === undefined ? itemsOf(answer) : [answer];
      print(session, options.output, kind, items, name === undefined ? answer : items[0]);
    });
}

function print(
  session: CommandSession,
  format: OutputFormat,
  kind: Kind,
  items: readonly unknown[],
  whole: unknown,
): void {
  if (format === "table")
    session.output.line(
      renderTable(
        headsOf(kind),
        items.map((item) => cellsOf(kind, item)),
      ),
    );
  else if (format === "name") {
    for (const item of items) session.output.line(`${kind}/${textOf(fieldOf(item, "metadata", "name"))}`);
  } else printValue(session.output, format, whole);
}

export function addDescribe(program: Command, session: CommandSession): void {
  program
    .command("describe")
    .description("everything known of one resource, its status included")
    .argument("<kind>")
    .argument("<name>")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["yaml", "json"]).default("yaml"))
    .addHelpText("after", "\nExample:\n  perigee describe nodepool near")
    .action(async (kindText: string, name: string, options: { output: "yaml" | "json" }, command: Command) => {
      const path = `/v1/resources/${parseKind(kindText)}/${encodeURIComponent(name)}`;
      printValue(session.output, options.output, await apiOf(command, session).origin({ method: "GET", path }));
    });
}

interface DeleteFlags {
  readonly output: string;
  readonly force?: boolean;
}

export function addDelete(program: Command, session: CommandSession): void {
  program
    .command("delete")
    .description("delete one resource")
    .argument("<kind>")
    .argument("<name>")
    .option("--force", "delete although a simulation says that guard-rails are broken")
    .addOption(resultOption())
    .addHelpText("after", "\nExample:\n  perigee delete contentpolicy shop-everywhere")
    .action(async (kindText: string, name: string, options: DeleteFlags, command: Command) => {
      const kind = parseKind(kindText);
      const path = `/v1/resources/${kind}/${encodeURIComponent(name)}${options.force === true ? "?force=true" : ""}`;
      const answer = await apiOf(command, session).origin({ method: "DELETE", path });
      if (options.output === "json") printValue(session.output, "json", answer);
      else session.output.line(`${kind}/${name} deleted`);
      const warnings = fieldOf(answer, "warnings");
      for (const warning of Array.isArray(warnings) ? warnings : []) {
        session.output.note(`warning: ${textOf(fieldOf(warning, "message"))}`);
      }
    });
}
