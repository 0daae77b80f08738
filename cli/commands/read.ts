/** `perigee get`, `describe` and `delete`. */
import { type Command, Option } from "commander";
import { stringify } from "yaml";
import { parseKind } from "../kinds.ts";
import { fieldOf, itemsOf, OUTPUT_FORMATS, type OutputFormat, printValue, renderTable, textOf } from "../output.ts";
import { apiOf, type CommandSession } from "./session.ts";

export function addGet(program: Command, session: CommandSession): void {
  program
    .command("get")
    .description("list resources of a kind, or get one; `nodes` also shows what is observed")
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
  kind: string,
  items: readonly unknown[],
  whole: unknown,
): void {
  if (format === "table") session.output.line(renderResources(items));
  else if (format === "name") {
    for (const item of items) session.output.line(`${kind}/${textOf(fieldOf(item, "metadata", "name"))}`);
  } else printValue(session.output, format, whole);
}

function renderResources(items: readonly unknown[]): string {
  const rows = items.map((item) => [
    textOf(fieldOf(item, "metadata", "name")),
    textOf(fieldOf(item, "metadata", "generation")),
    textOf(fieldOf(item, "metadata", "resourceVersion")),
    summaryOf(fieldOf(item, "status") ?? fieldOf(item, "spec")),
  ]);
  return renderTable(["NAME", "GENERATION", "REVISION", "SUMMARY"], rows);
}

const SUMMARY_LENGTH_MAX = 100;

function summaryOf(value: unknown): string {
  const text = textOf(value);
  return text.length > SUMMARY_LENGTH_MAX ? `${text.slice(0, SUMMARY_LENGTH_MAX - 1)}…` : text;
}

export function addDescribe(program: Command, session: CommandSession): void {
  program
    .command("describe")
    .description("everything known of one resource, its status included")
    .argument("<kind>")
    .argument("<name>")
    .addHelpText("after", "\nExample:\n  perigee describe nodepool near")
    .action(async (kindText: string, name: string, _options: object, command: Command) => {
      const path = `/v1/resources/${parseKind(kindText)}/${encodeURIComponent(name)}`;
      session.output.line(stringify(await apiOf(command, session).origin({ method: "GET", path })).trimEnd());
    });
}

export function addDelete(program: Command, session: CommandSession): void {
  program
    .command("delete")
    .description("delete one resource")
    .argument("<kind>")
    .argument("<name>")
    .addHelpText("after", "\nExample:\n  perigee delete contentpolicy shop-everywhere")
    .action(async (kindText: string, name: string, _options: object, command: Command) => {
      const kind = parseKind(kindText);
      await apiOf(command, session).origin({
        method: "DELETE",
        path: `/v1/resources/${kind}/${encodeURIComponent(name)}`,
      });
      session.output.line(`${kind}/${name} deleted`);
    });
}
