/** The port of the revisioned log of resources: one global revision, compare-and-swap, list and gap-free watch. */
import type { Timeline } from "#domain/desired-state.ts";
import type { Kind } from "#domain/resource.ts";

/** One change of one resource. */
export interface LogRow {
  readonly revision: number;
  readonly kind: Kind;
  readonly name: string;
  readonly deleted: boolean;
  /** The resource as JSON; empty when deleted. */
  readonly json: string;
}

export interface Write {
  readonly kind: Kind;
  readonly name: string;
  /** The revision of the last change that the writer saw; 0: there is none; absent: whatever is there. */
  readonly expectedRevision?: number;
  /** The resource as JSON at the revision it gets; `undefined` deletes. */
  readonly render: (revision: number) => string | undefined;
}

/** A number that outlives the rows it was counted from. */
export interface Kept {
  readonly name: string;
  readonly value: number;
}

/** The log forgets older ones: a node that was away for so many starts is not told from one of another history. */
export const TIMELINES_MAX = 1000;

/** What was there and another. */
export function withTimeline(timelines: readonly Timeline[], next: Timeline): readonly Timeline[] {
  return [...timelines, next].slice(-TIMELINES_MAX);
}

export interface LogList {
  readonly revision: number;
  /** Live resources, by kind and name. */
  readonly rows: readonly LogRow[];
}

export type WatchEvent =
  | { readonly kind: "row"; readonly row: LogRow }
  /** Everything up to this revision has been given. */
  | { readonly kind: "bookmark"; readonly revision: number };

/** At once where the log is in this process, later where it is elsewhere. */
export type Awaitable<T> = T | Promise<T>;

/** Reads are of this process's own copy, and wait for nothing. */
export interface ResourceLog extends Disposable {
  /** Grows when the log is restored from a backup, so that revisions of two histories are never taken for each other. */
  readonly epoch: number;
  /** Of the last change; 0 while there is none. */
  revision(): number;
  /** Lists at, and watches from, revisions before this one are refused; lists at those that are held are not. */
  compactedRevision(): number;
  find(kind: Kind, name: string): LogRow | undefined;
  /** As it was at a revision that is not compacted, or held; also where that was its deletion. */
  findAt(kind: Kind, name: string, revision: number): LogRow | undefined;
  /** At the newest revision, or as it was `at` one. Throws `revision-compacted` or `argument-invalid`. */
  list(options?: { readonly kind?: Kind; readonly at?: number }): LogList;
  /**
   * All or none with what is kept, in order, each a revision of its own; durable, and seen by reads here, once given.
   * Throws `resource-conflict`; deleting what is not there is `not-found`; `unavailable` where the log is elsewhere and
   * did not answer: then it may have been written or not.
   */
  write(writes: readonly Write[], keep?: Kept): Awaitable<readonly LogRow[]>;
  /** Of this epoch and those before, in order; the newest of them, where there are very many. */
  timelines(): readonly Timeline[];
  /** What was last kept with a write, also after compaction; 0 where nothing was. */
  kept(name: string): number;
  /** At most `rowsMax` changes after a revision, in order. Throws `revision-compacted` or `argument-invalid`. */
  changesAfter(revision: number, rowsMax: number): readonly LogRow[];
  /**
   * Every change after `from`, each once and in order, with a bookmark each time all are given; ends by the signal's abort.
   * Throws `revision-compacted` also later, for a reader so slow that compaction overtook it.
   */
  watch(from: number, signal: AbortSignal): AsyncIterable<WatchEvent>;
  /**
   * Forgets what was superseded at or before `revision`, but for what was the newest at a held revision: `list` and
   * `findAt` go on there until another compaction does not hold it. What cannot keep less forgets only what is older.
   */
  compact(revision: number, held?: readonly number[]): Awaitable<void>;
}

/** A log that writes at once. */
export interface LocalLog extends ResourceLog {
  write(writes: readonly Write[], keep?: Kept): readonly LogRow[];
  compact(revision: number, held?: readonly number[]): void;
}
