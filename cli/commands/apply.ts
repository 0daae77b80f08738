/** `perigee apply`: sends resource files to the origin, all or none, and prints what changed. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { type ParsedInput, parseResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Fault } from "#domain/schema-faults.ts";
import { expressionFaults } from "#platform/cel/expressions.ts";
import { systemClock } from "#platform/clock.ts";
import { parseSourceDocuments, type SourceDocument } from "#platform/yaml/documents.ts";
import { fieldOf, printValue, renderTable, resultOption, textOf } from "../output.ts";
import { readTextFile, unreadable } from "../text-file.ts";
import { type Api, apiOf, type CommandSession } from "./session.ts";

interface SourcedDocument {
  readonly file: string;
  readonly document: SourceDocument;
}

export function addApply(program: Command, session: CommandSession): void {
  program
    .command("apply")
    .description("apply resources from YAML or JSON files, all or none")
    .requiredOption("-f, --file <path...>", "files, or folders of .yaml, .yml and .json files")
    .option("--dry-run", "say what would change, and change nothing")
    .addOption(resultOption())
    .addHelpText("after", "\nExamples:\n  perigee apply -f policies/eu.yaml\n  perigee apply -f resources/ --dry-run")
    .action(async (options: { file: string[]; dryRun?: boolean; output: string }, command: Command) => {
      const dryRun = options.dryRun === true;
      const answer = await applyFiles(() => apiOf(command, session), options.file, dryRun);
      if (options.output === "json") printValue(session.output, "json", answer.result);
      else session.output.line(renderResults(answer.result));
      for (const line of answer.warnings) session.output.note(line);
      if (dryRun) session.output.note("dry run: nothing was changed");
    });
}

export interface AppliedFiles {
  /** The origin's answer. */
  readonly result: unknown;
  /** A line each, with file and line of what they are of. */
  readonly warnings: readonly string[];
}

/** Applies all documents of the files or none. Throws with file and line of every fault. */
export async function applyFiles(api: () => Api, files: readonly string[], dryRun: boolean): Promise<AppliedFiles> {
  const documents = files.flatMap(filesOf).flatMap(readDocuments);
  checkDocuments(documents);
  const body = { documents: documents.map(({ document }) => document.value) };
  const request = { method: "POST", path: `/v1/apply?dryRun=${dryRun}`, body } as const;
  const result = await api()
    .origin(request)
    .catch((error: unknown) => {
      throw withPlaces(error, documents);
    });
  const warnings = fieldOf(result, "warnings");
  return { result, warnings: Array.isArray(warnings) ? placedLines(warnings, documents, "warning: ") : [] };
}

function faultsOf(parsed: ParsedInput): readonly Fault[] {
  if (parsed.kind === "invalid") return parsed.faults;
  return parsed.input.kind === "PlacementPolicy" ? expressionFaults(parsed.input.spec) : [];
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

function readDocuments(file: string): SourcedDocument[] {
  return parseSourceDocuments(readTextFile(file), file).map((document) => ({ file, document }));
}

/** Finds here what the origin would refuse, to name file and line of each fault. */
function checkDocuments(documents: readonly SourcedDocument[]): void {
  if (documents.length === 0) throw new Failure("argument-invalid", "the files hold no resources");
  const lines = documents.flatMap(({ file, document }) => {
    const parsed = parseResourceInput(document.value, { nowMs: systemClock.nowMs() });
    return faultsOf(parsed)
      .map(({ pointer, message }) => ({ line: document.lineOf(pointer), message }))
      .sort((a, b) => a.line - b.line)
      .map(({ line, message }) => `${file}:${line}: ${message}`);
  });
  if (lines.length > 0) throw new Failure("argument-invalid", lines.join("\n"));
}

/** The origin numbers documents; a person knows files and lines. */
function withPlaces(error: unknown, documents: readonly SourcedDocument[]): unknown {
  if (!isFailure(error)) return error;
  const faults = error.detail["faults"];
  if (!Array.isArray(faults)) return error;
  return new Failure(error.code, placedLines(faults, documents).join("\n"), { cause: error });
}

function placedLines(faults: readonly unknown[], documents: readonly SourcedDocument[], prefix = ""): string[] {
  return faults.map((fault) => {
    const sourced = documents[Number(fieldOf(fault, "document"))];
    const message = `${prefix}${textOf(fieldOf(fault, "message"))}`;
    return sourced === undefined
      ? message
      : `${sourced.file}:${sourced.document.lineOf(textOf(fieldOf(fault, "pointer")))}: ${message}`;
  });
}

function renderResults(answer: unknown): string {
  const results = fieldOf(answer, "results");
  const rows = (Array.isArray(results) ? results : []).map((result: unknown) => {
    const changed = fieldOf(result, "changed");
    return [
      `${textOf(fieldOf(result, "kind"))}/${textOf(fieldOf(result, "name"))}`,
      textOf(fieldOf(result, "action")),
      textOf(fieldOf(result, "resourceVersion")),
      Array.isArray(changed) ? changed.join(" ") : "",
    ];
  });
  return renderTable(["RESOURCE", "ACTION", "REVISION", "CHANGED"], rows);
}
