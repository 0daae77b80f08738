/** Decides which rows a batch of writes appends to a log, each the next revision, or why it is refused. Pure. */
import { Failure } from "#domain/failure.ts";
import type { LogRow, ResourceLog, Write } from "./resource-log.ts";

/** A write sees those of its batch before it. Throws `resource-conflict`, or `not-found` for a deletion of nothing. */
export function planRows(log: Pick<ResourceLog, "find" | "revision">, writes: readonly Write[]): readonly LogRow[] {
  const planned = new Map<string, LogRow>();
  const before = log.revision();
  return writes.map((write, index) => {
    const key = `${write.kind}/${write.name}`;
    const earlier = planned.get(key);
    const current = earlier === undefined ? log.find(write.kind, write.name) : liveOf(earlier);
    const row = rowOf(write, current, before + index + 1);
    planned.set(key, row);
    return row;
  });
}

function liveOf(row: LogRow): LogRow | undefined {
  return row.deleted ? undefined : row;
}

function rowOf(write: Write, current: LogRow | undefined, revision: number): LogRow {
  const { kind, name, expectedRevision } = write;
  const currentRevision = current?.revision ?? 0;
  if (expectedRevision !== undefined && expectedRevision !== currentRevision) throw conflict(write, currentRevision);
  const json = write.render(revision);
  if (json === undefined && current === undefined) throw new Failure("not-found", `${kind} ${name} does not exist`);
  return { revision, kind, name, deleted: json === undefined, json: json ?? "" };
}

function conflict(write: Write, currentRevision: number): Failure {
  const there = currentRevision === 0 ? "does not exist" : `is at resourceVersion ${currentRevision}`;
  return new Failure(
    "resource-conflict",
    `${write.kind} ${write.name} ${there}, the write expected ${write.expectedRevision}: read it again and repeat`,
    { detail: { resourceVersion: currentRevision } },
  );
}
