/** `perigee revisions` and `diff`, and the rollback of a policy: what it said before, and that said again. */
import type { Command } from "commander";
import { Failure, isFailure } from "#domain/failure.ts";
import { describePointer, valueAt } from "#domain/schema-faults.ts";
import { changedPointers } from "../../origin/operator-api/changed-pointers.ts";
import { parseKind } from "../kinds.ts";
import { fieldOf, itemsOf, printValue, renderTable, resultOption, textOf } from "../output.ts";
import { applyPath } from "./apply.ts";
import { type Api, apiOf, type CommandSession } from "./session.ts";

export function addRevisions(program: Command, session: CommandSession): void {
  program
    .command("revisions")
    .description("the last revisions of a policy, the newest first, and what each changed")
    .argument("<kind>", "placementpolicy, contentpolicy or rolloutpolicy")
    .argument("<name>")
    .addOption(resultOption())
    .addHelpText("after", "\nExample:\n  perigee revisions placementpolicy eu")
    .action(async (kindText: string, name: string, options: { output: string }, command: Command) => {
      const path = `${pathOf(kindText, name)}/revisions`;
      const answer = await apiOf(command, session).origin({ method: "GET", path });
      if (options.output === "json") return printValue(session.output, "json", answer);
      session.output.line(renderTable(["REVISION", "GENERATION", "SEEN", "CHANGED"], itemsOf(answer).map(rowOf)));
    });
}

export function addDiff(program: Command, session: CommandSession): void {
  program
    .command("diff")
    .description("what differs between a policy at one revision and now, or at another")
    .argument("<kind>", "placementpolicy, contentpolicy or rolloutpolicy")
    .argument("<name>")
    .requiredOption("--revision <number>", "as `perigee revisions` lists them")
    .option("--to <number>", "another revision; as it is now where it is not given")
    .addHelpText("after", "\nExample:\n  perigee diff placementpolicy eu --revision 41")
    .action(async (kindText: string, name: string, options: { revision: string; to?: string }, command: Command) => {
      const api = apiOf(command, session);
      const before = await readRevision(api, pathOf(kindText, name), options.revision);
      const after =
        options.to === undefined
          ? await api.origin({ method: "GET", path: pathOf(kindText, name) })
          : await readRevision(api, pathOf(kindText, name), options.to);
      const lines = diffLines(before, after);
      session.output.line(lines.length === 0 ? "nothing differs" : lines.join("\n"));
    });
}

export interface PolicyRollback {
  readonly kind: string;
  readonly name: string;
  readonly revision: string;
  /** Although it breaks guard-rails. */
  readonly force: boolean;
}

/** Writes the spec and labels of a revision again, if nobody has written since they were compared with. */
export async function rollBackPolicy(
  api: Api,
  { kind: kindText, name, revision, force }: PolicyRollback,
): Promise<unknown> {
  const kind = parseKind(kindText);
  const before = await readRevision(api, pathOf(kindText, name), revision);
  const listed = itemsOf(await api.origin({ method: "GET", path: `${pathOf(kindText, name)}/revisions` }));
  const [newest] = listed;
  const resourceVersion = fieldOf(newest, "deleted") === true ? 0 : Number(fieldOf(newest, "revision"));
  const metadata = { name, labels: fieldOf(before, "metadata", "labels") ?? {}, resourceVersion };
  const document = { apiVersion: fieldOf(before, "apiVersion"), kind, metadata, spec: fieldOf(before, "spec") };
  const body = { documents: [document] };
  return await api.origin({ method: "POST", path: applyPath(false, force), body }).catch((error: unknown) => {
    throw ofRevision(error, `${kind} ${name} as of revision ${revision}`);
  });
}

/** The origin numbers the one document that it was sent. */
function ofRevision(error: unknown, what: string): unknown {
  const faults = isFailure(error) ? error.detail["faults"] : undefined;
  if (!isFailure(error) || !Array.isArray(faults)) return error;
  const lines = faults.map((fault: unknown) => `${what}: ${textOf(fieldOf(fault, "message"))}`);
  return new Failure(error.code, lines.join("\n"), { cause: error });
}

function pathOf(kindText: string, name: string): string {
  return `/v1/resources/${parseKind(kindText)}/${encodeURIComponent(name)}`;
}

function readRevision(api: Api, path: string, text: string): Promise<unknown> {
  if (!/^[1-9]\d{0,15}$/.test(text)) {
    throw new Failure("argument-invalid", `a revision is a whole number from 1, got ${JSON.stringify(text)}`);
  }
  return api.origin({ method: "GET", path: `${path}/revisions/${text}` });
}

/** `spec.stickinessMs: 2 → 5`. */
function diffLines(before: unknown, after: unknown): readonly string[] {
  const said = (document: unknown) => ({
    spec: fieldOf(document, "spec"),
    metadata: { labels: fieldOf(document, "metadata", "labels") },
  });
  const [left, right] = [said(before), said(after)];
  const shown = (value: unknown) => (value === undefined ? "nothing" : JSON.stringify(value));
  return changedPointers(left, right).map(
    (pointer) => `${describePointer(pointer)}: ${shown(valueAt(left, pointer))} → ${shown(valueAt(right, pointer))}`,
  );
}

function rowOf(item: unknown): string[] {
  const isDeleted = fieldOf(item, "deleted") === true;
  const changed = fieldOf(item, "changed");
  return [
    textOf(fieldOf(item, "revision")),
    isDeleted ? "" : textOf(fieldOf(item, "generation")),
    new Date(Number(fieldOf(item, "seenAtMs"))).toISOString(),
    isDeleted ? "deleted" : (Array.isArray(changed) ? changed : []).map(textOf).map(describePointer).join(" "),
  ];
}
