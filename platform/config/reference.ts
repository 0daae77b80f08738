/** Renders the reference page of a configuration schema as Markdown: key, type, default, meaning. Pure. */
import type { TSchema } from "typebox";

/** What is read of a schema; TypeBox schemas are JSON Schemas. */
interface Described {
  readonly type?: unknown;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly default?: unknown;
  readonly description?: unknown;
  readonly minimum?: unknown;
  readonly maximum?: unknown;
}

export function renderConfigReference(title: string, schema: TSchema): string {
  const rows = rowsOf(schema, "");
  return [`# ${title}`, "", "| key | type | default | meaning |", "|---|---|---|---|", ...rows, ""].join("\n");
}

function rowsOf(schema: unknown, prefix: string): string[] {
  if (!isDescribed(schema)) return [];
  return Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    return isDescribed(child) && child.properties !== undefined ? rowsOf(child, path) : [rowOf(path, child)];
  });
}

function rowOf(path: string, schema: unknown): string {
  if (!isDescribed(schema)) return `| \`${path}\` | | | |`;
  const range = schema.minimum === undefined ? "" : ` ${String(schema.minimum)}..${String(schema.maximum ?? "")}`;
  const initial = schema.default === undefined ? "" : `\`${JSON.stringify(schema.default)}\``;
  return `| \`${path}\` | ${String(schema.type ?? "one of several")}${range} | ${initial} | ${String(schema.description ?? "")} |`;
}

function isDescribed(value: unknown): value is Described {
  return typeof value === "object" && value !== null;
}
