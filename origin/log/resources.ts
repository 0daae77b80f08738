/** Resources on top of the log: how a written spec becomes the stored resource, and reads of parsed resources. */
import { isDeepStrictEqual } from "node:util";
import { parseStoredResource, type ResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { Failure } from "#domain/failure.ts";
import type { Labels } from "#domain/placement/labels.ts";
import { type AnyResource, API_VERSION, type Kind, type Resource } from "#domain/resource.ts";
import type { Awaitable, LocalLog, LogRow, ResourceLog, Write } from "./resource-log.ts";

export type WriteAction = "created" | "changed" | "unchanged";

export interface PlannedWrite {
  readonly action: WriteAction;
  /** Absent when nothing is to change. */
  readonly write?: Write;
}

/** Kind, name, labels and spec as their writer gives them. */
export type Written = Pick<ResourceInput, "kind" | "spec"> & {
  readonly metadata: { readonly name: string; readonly labels: Labels; readonly resourceVersion?: number };
};

/** What writing a resource would do; the same spec and labels again do nothing. */
export function planWrite(log: ResourceLog, written: Written, nowMs: number): PlannedWrite {
  const { name, labels, resourceVersion } = written.metadata;
  const current = findResource(log, written.kind, name);
  checkExpected(written, current?.metadata.resourceVersion ?? 0);
  const specIsSame = current !== undefined && isDeepStrictEqual(current.spec, written.spec);
  if (specIsSame && isDeepStrictEqual(current.metadata.labels, labels)) return { action: "unchanged" };
  const generation = (current?.metadata.generation ?? 0) + (specIsSame ? 0 : 1);
  const createdAtMs = current?.metadata.createdAtMs ?? nowMs;
  return {
    action: current === undefined ? "created" : "changed",
    write: {
      kind: written.kind,
      name,
      expectedRevision: resourceVersion ?? current?.metadata.resourceVersion ?? 0,
      render: (revision) =>
        JSON.stringify({
          apiVersion: API_VERSION,
          kind: written.kind,
          metadata: { name, labels, generation, resourceVersion: revision, createdAtMs },
          spec: written.spec,
        }),
    },
  };
}

function checkExpected(written: Written, currentVersion: number): void {
  const { name, resourceVersion } = written.metadata;
  if (resourceVersion === undefined || resourceVersion === currentVersion) return;
  throw new Failure(
    "resource-conflict",
    `${written.kind} ${name} is at resourceVersion ${currentVersion}, the write expected ${resourceVersion}: read it again and repeat; without metadata.resourceVersion whatever is there is written over`,
    { detail: { resourceVersion: currentVersion } },
  );
}

/** Writes one resource; gives the row that holds it now. */
export function writeResource(log: LocalLog, written: Written, nowMs: number): LogRow;
export function writeResource(log: ResourceLog, written: Written, nowMs: number): Awaitable<LogRow>;
export function writeResource(log: ResourceLog, written: Written, nowMs: number): Awaitable<LogRow> {
  const { write } = planWrite(log, written, nowMs);
  if (write === undefined) return firstOf(written, [log.find(written.kind, written.metadata.name)]);
  const rows = log.write([write]);
  return rows instanceof Promise ? rows.then((later) => firstOf(written, later)) : firstOf(written, rows);
}

function firstOf(written: Written, [row]: readonly (LogRow | undefined)[]): LogRow {
  if (row === undefined) throw new Failure("not-found", `${written.kind} ${written.metadata.name} does not exist`);
  return row;
}

/** Of a kind that is not known before, its `kind` tells its `spec`. */
type Stored<K extends Kind> = AnyResource & Resource<K>;

export function findResource<K extends Kind>(log: ResourceLog, kind: K, name: string): Stored<K> | undefined {
  const row = log.find(kind, name);
  if (row === undefined) return undefined;
  const resource = parseStoredResource(row.json);
  return isOfKind(resource, kind) ? resource : undefined;
}

/** Throws `not-found`. */
export function getResource<K extends Kind>(log: ResourceLog, kind: K, name: string): Stored<K> {
  const resource = findResource(log, kind, name);
  if (resource === undefined) throw new Failure("not-found", `${kind} ${name} does not exist`);
  return resource;
}

/** The newest, or as they were `at` a revision. */
export function listResources<K extends Kind>(log: ResourceLog, kind: K, at?: number): readonly Stored<K>[] {
  return log.list({ kind, ...(at === undefined ? {} : { at }) }).rows.flatMap((row) => {
    const resource = parseStoredResource(row.json);
    return isOfKind(resource, kind) ? [resource] : [];
  });
}

function isOfKind<K extends Kind>(resource: AnyResource, kind: K): resource is Stored<K> {
  return resource.kind === kind;
}
