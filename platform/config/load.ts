/** Loads a program's configuration: one schema, a YAML file, overrides; every fault at once, with file and line. */
import { readFileSync } from "node:fs";
import type { Static, TSchema } from "typebox";
import { Value } from "typebox/value";
import { Failure, isFailure } from "#domain/failure.ts";
import { escapePointer, faultsOf } from "#domain/schema-faults.ts";
import { fileReasonOf } from "../files/reason.ts";
import { parseSourceDocuments, type SourceDocument } from "../yaml/documents.ts";

export interface ConfigSources {
  /** Path of a YAML file. */
  readonly file?: string;
  /** Its text, where it was read already. */
  readonly text?: string;
  /** `a.b` → value as YAML text, from `--set a.b=value`. */
  readonly overrides?: ReadonlyMap<string, string>;
}

const FORBIDDEN_KEYS = new Set(["__proto__", "prototype", "constructor"]);

/** Throws `config-invalid`; its message has a line for each fault. */
export function loadConfig<S extends TSchema>(schema: S, sources: ConfigSources): Static<S> {
  const document = readDocument(sources);
  const written = applyOverrides(document?.value ?? {}, sources.overrides ?? new Map());
  const value: unknown = Value.Default(schema, structuredClone(written));
  if (Value.Check(schema, value)) return value;
  const faults = faultsOf(Value.Errors(schema, value), written);
  const lines = faults.map((fault) => `${placeOf(fault.pointer, document, sources)}: ${fault.message}`);
  throw new Failure("config-invalid", lines.join("\n"), { detail: { faults } });
}

/** `["a.b=1"]` → overrides; throws `config-invalid`. */
export function parseOverrides(assignments: readonly string[]): Map<string, string> {
  return new Map(
    assignments.map((assignment) => {
      const at = assignment.indexOf("=");
      const path = assignment.slice(0, Math.max(at, 0));
      if (at < 1 || path.split(".").some((part) => part === "" || FORBIDDEN_KEYS.has(part))) {
        throw new Failure(
          "config-invalid",
          `--set must be given as path.to.key=value, got ${JSON.stringify(assignment)}`,
        );
      }
      return [path, assignment.slice(at + 1)];
    }),
  );
}

function readDocument({ file, text }: ConfigSources): SourceDocument | undefined {
  if (file === undefined && text === undefined) return undefined;
  const name = file ?? "config";
  try {
    const documents = parseSourceDocuments(text ?? readFileSync(name, "utf8"), name);
    if (documents.length <= 1) return documents[0];
  } catch (cause) {
    const message = isFailure(cause) ? cause.message : `${name}: cannot be read (${fileReasonOf(cause)})`;
    throw new Failure("config-invalid", message, { cause });
  }
  throw new Failure("config-invalid", `${name}: must be one YAML document`);
}

function placeOf(pointer: string, document: SourceDocument | undefined, sources: ConfigSources): string {
  const set = [...(sources.overrides?.keys() ?? [])].find((path) => {
    const prefix = `/${path.split(".").map(escapePointer).join("/")}`;
    return pointer === prefix || pointer.startsWith(`${prefix}/`);
  });
  if (set !== undefined) return `--set ${set}`;
  return document === undefined ? "config" : `${sources.file ?? "config"}:${document.lineOf(pointer)}`;
}

function applyOverrides(value: unknown, overrides: ReadonlyMap<string, string>): unknown {
  let root = value;
  for (const [path, text] of overrides) {
    const parsed = parseSourceDocuments(text === "" ? '""' : text, `--set ${path}`)[0]?.value ?? text;
    root = withValue(root, path.split("."), parsed);
  }
  return root;
}

function withValue(parent: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const entries = typeof parent === "object" && parent !== null ? Object.entries(parent) : [];
  const own = entries.find(([name]) => name === key)?.[1];
  return { ...Object.fromEntries(entries), [key]: withValue(own, rest, value) };
}
