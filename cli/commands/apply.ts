/** `perigee apply`: sends resource files to the origin, all or none, and prints what changed. */
import type { Command } from "commander";
import { Failure, isFailure } from "#domain/failure.ts";
import { fieldOf, printValue, renderTable, resultOption, textOf } from "../output.ts";
import { readResourceFiles, type SourcedDocument } from "../resource-files.ts";
import { type Api, apiOf, type CommandSession } from "./session.ts";

export function addApply(program: Command, session: CommandSession): void {
  program
    .command("apply")
    .description("apply resources from YAML or JSON files, all or none")
    .requiredOption("-f, --file <path...>", "files, or folders of .yaml, .yml and .json files")
    .option("--dry-run", "say what would change, and change nothing")
    .option("--force", "apply although a simulation says that guard-rails are broken")
    .addOption(resultOption())
    .addHelpText("after", "\nExamples:\n  perigee apply -f policies/eu.yaml\n  perigee apply -f resources/ --dry-run")
    .action(async (options: ApplyFlags, command: Command) => {
      const dryRun = options.dryRun === true;
      const answer = await applyFiles(() => apiOf(command, session), options.file, {
        dryRun,
        force: options.force === true,
      });
      if (options.output === "json") printValue(session.output, "json", answer.result);
      else session.output.line(renderResults(answer.result));
      for (const line of answer.warnings) session.output.note(line);
      if (dryRun) session.output.note("dry run: nothing was changed");
    });
}

interface ApplyFlags {
  readonly file: string[];
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly output: string;
}

export function applyPath(dryRun: boolean, force: boolean): string {
  return `/v1/apply?dryRun=${dryRun}${force ? "&force=true" : ""}`;
}

export interface AppliedFiles {
  /** The origin's answer. */
  readonly result: unknown;
  /** A line each, with file and line of what they are of. */
  readonly warnings: readonly string[];
}

/** Applies all documents of the files or none. Throws with file and line of every fault. */
export async function applyFiles(
  api: () => Api,
  files: readonly string[],
  { dryRun, force }: { readonly dryRun: boolean; readonly force: boolean },
): Promise<AppliedFiles> {
  const documents = readResourceFiles(files);
  const body = { documents: documents.map(({ document }) => document.value) };
  const request = { method: "POST", path: applyPath(dryRun, force), body } as const;
  const result = await api()
    .origin(request)
    .catch((error: unknown) => {
      throw withPlaces(error, documents);
    });
  const warnings = fieldOf(result, "warnings");
  return { result, warnings: Array.isArray(warnings) ? placedLines(warnings, documents, "warning: ") : [] };
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
