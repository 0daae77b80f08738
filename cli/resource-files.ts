/** Reads the resources that files hold, and finds every fault of them with file and line. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type ParsedInput, parseResourceInput, type ResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { Failure } from "#domain/failure.ts";
import type { Fault } from "#domain/schema-faults.ts";
import { expressionFaults } from "#platform/cel/expressions.ts";
import { systemClock } from "#platform/clock.ts";
import { parseSourceDocuments, type SourceDocument } from "#platform/yaml/documents.ts";
import { fieldOf } from "./output.ts";
import { readTextFile, unreadable } from "./text-file.ts";

export interface SourcedDocument {
  readonly file: string;
  readonly document: SourceDocument;
  readonly input: ResourceInput;
}

/** Of files, and of folders of them. Throws `argument-invalid` with what the origin would refuse. */
export function readResourceFiles(paths: readonly string[]): readonly SourcedDocument[] {
  return checkDocuments(paths.flatMap(filesOf).flatMap(readDocuments));
}

function faultsOf(parsed: ParsedInput): readonly Fault[] {
  const said = parsed.kind === "valid" ? parsed.input : parsed.sound;
  return [
    ...(parsed.kind === "valid" ? [] : parsed.faults),
    ...(said?.kind === "PlacementPolicy" ? expressionFaults(said.spec) : []),
  ];
}

function filesOf(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path)
      .filter((name) => /\.(ya?ml|json)$/.test(name))
      .sort()
      .map((name) => join(path, name));
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function readDocuments(file: string): Omit<SourcedDocument, "input">[] {
  return parseSourceDocuments(readTextFile(file), file)
    .flatMap(itemsOfList)
    .map((document) => ({ file, document: { ...document, value: withoutObserved(document.value) } }));
}

/** A list as `perigee get KIND` prints it is its resources. */
function itemsOfList(document: SourceDocument): readonly SourceDocument[] {
  const items = fieldOf(document.value, "items");
  if (fieldOf(document.value, "kind") !== undefined || !Array.isArray(items)) return [document];
  return items.map((value: unknown, index) => ({
    value,
    lineOf: (pointer) => document.lineOf(`/items/${index}${pointer}`),
  }));
}

/** Without what only the origin says of a resource, as `perigee get` prints it. */
function withoutObserved(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const { status: _, ...document } = Object.fromEntries(Object.entries(value));
  const { metadata } = document;
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) return document;
  const {
    generation: _generation,
    createdAtMs: _createdAtMs,
    ...written
  } = Object.fromEntries(Object.entries(metadata));
  return { ...document, metadata: written };
}

function checkDocuments(documents: readonly Omit<SourcedDocument, "input">[]): readonly SourcedDocument[] {
  if (documents.length === 0) throw new Failure("argument-invalid", "the files hold no resources");
  const sourced: SourcedDocument[] = [];
  const lines = documents.flatMap(({ file, document }) => {
    const parsed = parseResourceInput(document.value, { nowMs: systemClock.nowMs() });
    if (parsed.kind === "valid") sourced.push({ file, document, input: parsed.input });
    return faultsOf(parsed)
      .map(({ pointer, message }) => ({ line: document.lineOf(pointer), message }))
      .sort((a, b) => a.line - b.line)
      .map(({ line, message }) => `${file}:${line}: ${message}`);
  });
  if (lines.length > 0) throw new Failure("argument-invalid", lines.join("\n"));
  return sourced;
}
