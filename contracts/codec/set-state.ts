/** What a pool's set becomes by a batch: all of it or a named refusal. Pure but for the digest's hash. */

import { type DesiredRow, isOfHistory, type PoolBatch, type Watermark } from "#domain/desired-state.ts";
import { Failure } from "#domain/failure.ts";
import type { AnyResource } from "#domain/resource.ts";
import { createSetDigest, setDigestOf } from "./set-digest.ts";

export type Resources = ReadonlyMap<string, AnyResource>;

export interface SetState {
  readonly epoch: number;
  readonly revision: number;
  readonly setDigest: string;
  /** That wrote the revision, where its batch says so. */
  readonly timeline?: string;
  /** By `Kind/name`. */
  readonly resources: Resources;
}

export function watermarkOf({ epoch, revision, setDigest, timeline }: SetState): Watermark {
  return { epoch, revision, setDigest, ...(timeline === undefined ? {} : { timeline }) };
}

export const EMPTY_SET: SetState = { epoch: 0, revision: 0, setDigest: setDigestOf([]), resources: new Map() };

/** `parts` are all parts of one batch in order. Throws `digest-mismatch` where the result is not what was signed. */
export function advance(state: SetState, parts: readonly PoolBatch[]): SetState {
  const last = parts.at(-1);
  if (last === undefined) return state;
  const rows = parts.flatMap((part) => part.rows);
  const before = last.snapshot ? EMPTY_SET : state;
  const resources = changed(before.resources, rows);
  const digest = createSetDigest(before.setDigest);
  for (const key of new Set(rows.map(keyOf))) {
    const old = before.resources.get(key);
    const now = resources.get(key);
    if (old !== undefined) digest.remove(old);
    if (now !== undefined) digest.add(now);
  }
  if (digest.toHex() !== last.setDigest) {
    throw new Failure("digest-mismatch", `pool ${last.pool}: the set at revision ${last.to} has another digest`);
  }
  const timeline = last.timelines?.at(-1)?.id;
  const at = { epoch: last.epoch, revision: last.to, setDigest: last.setDigest };
  return { ...at, ...(timeline === undefined ? {} : { timeline }), resources };
}

/**
 * Throws `epoch-regressed`, also for a log that was never at what is held, or `revision-compacted` for a batch that
 * continues another revision: ask for a snapshot.
 */
export function checkContinues(at: Pick<SetState, "epoch" | "revision" | "timeline">, batch: PoolBatch): void {
  const { epoch, from, to, snapshot, timelines = [] } = batch;
  if (epoch < at.epoch) throw new Failure("epoch-regressed", `a batch of epoch ${epoch}, after ${at.epoch}`);
  if (epoch === at.epoch && to < at.revision) {
    throw new Failure("epoch-regressed", `a batch to revision ${to}, after ${at.revision} of the same epoch`);
  }
  if (epoch === at.epoch && !isOfHistory(at, timelines)) {
    const what = "is of a log that was put back to before what is held and has gone on another way";
    throw new Failure("epoch-regressed", `a batch to revision ${to} ${what} (revision ${at.revision})`);
  }
  if (!snapshot && (epoch !== at.epoch || from !== at.revision)) {
    throw new Failure("revision-compacted", `a batch from revision ${from} does not continue ${at.revision}`);
  }
}

/** The earlier parts and this one. Throws `revision-compacted` where it does not follow them. */
export function withPart<T extends { readonly batch: PoolBatch }>(earlier: readonly T[], next: T): readonly T[] {
  const { batch } = next;
  const before = batch.part === 0 ? [] : earlier;
  const fits = before.every(
    (part) => part.batch.epoch === batch.epoch && part.batch.to === batch.to && part.batch.snapshot === batch.snapshot,
  );
  if (fits && before.length === batch.part) return [...before, next];
  throw new Failure("revision-compacted", `part ${batch.part} does not follow the ${before.length} before it`);
}

function keyOf({ kind, name }: DesiredRow): string {
  return `${kind}/${name}`;
}

function changed(before: Resources, rows: readonly DesiredRow[]): Resources {
  const after = new Map(before);
  for (const row of rows) {
    if (row.resource === undefined) after.delete(keyOf(row));
    else after.set(keyOf(row), row.resource);
  }
  return after;
}
