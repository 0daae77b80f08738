/** Prints results as JSON, YAML or a table. */
import Table from "cli-table3";
import { Option } from "commander";
import { stringify } from "yaml";

export type OutputFormat = "table" | "json" | "yaml" | "name";
export const OUTPUT_FORMATS: readonly OutputFormat[] = ["table", "json", "yaml", "name"];

/** For commands that say in one or two lines what they did. */
export const resultOption = () =>
  new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table");

export interface Output {
  line(text: string): void;
  /** Progress and remarks: never mixed with results. */
  note(text: string): void;
}

export function printValue(output: Output, format: "json" | "yaml", value: unknown): void {
  output.line(format === "json" ? JSON.stringify(value, null, 2) : stringify(value).trimEnd());
}

/** Columns aligned by two spaces, no borders: what other programs can cut. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const edges = [
    "top",
    "top-mid",
    "top-left",
    "top-right",
    "bottom",
    "bottom-mid",
    "bottom-left",
    "bottom-right",
    "left",
    "left-mid",
    "mid",
    "mid-mid",
    "right",
    "right-mid",
    "middle",
  ];
  const table = new Table({
    head: [...head],
    chars: Object.fromEntries(edges.map((edge) => [edge, ""])),
    style: { "padding-left": 0, "padding-right": 2, head: [], border: [], compact: true },
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

/** A field of an untyped answer by path; `undefined` where there is none. */
export function fieldOf(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => {
    if (typeof at !== "object" || at === null) return undefined;
    return Object.entries(at).find(([name]) => name === key)?.[1];
  }, value);
}

export function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

export function itemsOf(answer: unknown): readonly unknown[] {
  const items = fieldOf(answer, "items");
  return Array.isArray(items) ? items : [];
}
