/** One pool's set of the desired state, kept row by row, and the batches that take its nodes along. */

import { createSetDigest, type SetDigest } from "#contracts/codec/set-digest.ts";
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { ALL_POOLS, type DesiredRow, type PoolBatch, type Tombstone } from "#domain/desired-state.ts";
import { type AnyResource, belongsToPool } from "#domain/resource.ts";
import type { LogRow } from "../log/resource-log.ts";

/** Resources of one message, as JSON: far under the message limit, however long a single one is. */
const BATCH_JSON_BYTES_MAX = 1024 * 1024;
/** Of one message, with its last rows: some 100 bytes each. */
const TOMBSTONES_MAX = 20_000;
/** What does not concern a pool is told to it together, when it has come to so many revisions. */
export const BOOKMARK_REVISIONS = 64;

/** A row of the log, parsed once for all pools. */
export interface ParsedRow extends DesiredRow {
  /** Of the resource as JSON. */
  readonly jsonBytes: number;
}

export function parseRow({ revision, kind, name, deleted, json }: LogRow): ParsedRow {
  return { revision, kind, name, resource: deleted ? undefined : parseStoredResource(json), jsonBytes: json.length };
}

export const keyOf = ({ kind, name }: Pick<DesiredRow, "kind" | "name">): string => `${kind}/${name}`;

/** All resources of all pools at a revision, by `Kind/name`. */
export interface Everything {
  readonly epoch: number;
  readonly revision: number;
  readonly rows: ReadonlyMap<string, ParsedRow>;
}

export class PoolSet {
  readonly pool: string;
  readonly #epoch: number;
  readonly #rows = new Map<string, ParsedRow>();
  /** By their own name; said to nodes that get the whole set. */
  readonly #tombstones = new Map<string, ParsedRow>();
  readonly #digest = createSetDigest();
  readonly #parent: string | undefined;
  #revision: number;

  constructor(pool: string, { epoch, revision, rows }: Everything) {
    this.pool = pool;
    this.#epoch = epoch;
    this.#revision = revision;
    this.#parent = parentIn(rows.get(keyOf({ kind: "NodePool", name: pool }))?.resource);
    for (const row of rows.values()) this.#take(row);
  }

  /** Where the batches so far lead: later rows may be taken that concern others. */
  get revision(): number {
    return this.#revision;
  }

  get setDigest(): string {
    return this.#digest.toHex();
  }

  /**
   * Takes the log's next rows, up to `to`. The batches hold what concerns the pool; where nothing does, an empty one
   * comes after `BOOKMARK_REVISIONS` only. `letOut` are earlier ones that were held back from the pool until `to`: where
   * they are given the pool is told of it, even if none is left.
   */
  advance(rows: readonly ParsedRow[], to: number, letOut?: readonly ParsedRow[]): PoolBatch[] {
    const batches: PoolBatch[] = [];
    let bytes = 0;
    let taken: ParsedRow[] = [];
    const close = (revision: number): void => {
      batches.push({ ...this.#position(this.#revision, revision), rows: taken });
      this.#revision = revision;
      bytes = 0;
      taken = [];
    };
    for (const row of rows) {
      const desired = this.#take(row);
      if (desired === undefined) continue;
      taken.push(desired);
      bytes += row.jsonBytes;
      if (bytes > BATCH_JSON_BYTES_MAX) close(row.revision);
    }
    if (letOut !== undefined)
      return [...batches, ...this.#letOut([...taken, ...letOut.flatMap((row) => this.#take(row) ?? [])], to)];
    if (taken.length > 0 || to - this.#revision >= BOOKMARK_REVISIONS) close(to);
    return batches;
  }

  /** Whether another pool is the parent after these rows: its edges are not in them, so the set is made anew. */
  hasOtherParent(rows: readonly ParsedRow[]): boolean {
    const own = rows.filter(({ kind, name }) => kind === "NodePool" && name === this.pool);
    return own.some(({ resource }) => parentIn(resource) !== this.#parent);
  }

  /** The whole set in parts. */
  snapshot(): PoolBatch[] {
    const position = { ...this.#position(0, this.#revision), snapshot: true };
    const parts = inParts(this.#rows.values(), position);
    const tombstones = this.#newestTombstones();
    return parts.map((part) => (part.last ? { ...part, tombstones } : part));
  }

  /**
   * From what a node held at a revision to what the set is now, at once and without what has been superseded.
   * `past` has each row that changed since, as it was then, where it was. `undefined` where the node held something else.
   */
  changesSince(held: { readonly revision: number; readonly setDigest: string }, past: Past): PoolBatch[] | undefined {
    const own = past.get(keyOf({ kind: "NodePool", name: this.pool }));
    if (own !== undefined && parentIn(own.before?.resource) !== this.#parent) return undefined;
    const digest = createSetDigest(this.setDigest);
    const changed: ParsedRow[] = [];
    for (const [key, { before, now }] of past) {
      if (now.kind === "Tombstone") continue;
      const row = this.#rows.get(key);
      const wasOurs = before?.resource !== undefined && this.#isOurs(before.resource);
      if (row?.resource !== undefined) digest.remove(row.resource);
      if (wasOurs) addTo(digest, before);
      if (row !== undefined) changed.push(row);
      else if (wasOurs) changed.push({ ...now, resource: undefined, jsonBytes: 0 });
    }
    if (digest.toHex() !== held.setDigest) return undefined;
    changed.sort((a, b) => a.revision - b.revision);
    return inParts(changed, this.#position(held.revision, this.#revision));
  }

  #letOut(rows: readonly ParsedRow[], to: number): PoolBatch[] {
    const from = this.#revision;
    this.#revision = to;
    return inParts(rows, this.#position(from, to));
  }

  #position(from: number, to: number) {
    const { pool, setDigest } = this;
    return { epoch: this.#epoch, pool, from, to, snapshot: false, part: 0, last: true, setDigest };
  }

  #isOurs(resource: AnyResource): boolean {
    return this.pool === ALL_POOLS || belongsToPool(resource, this.pool, this.#parent);
  }

  #newestTombstones(): readonly Tombstone[] {
    const newest = [...this.#tombstones.values()].sort((a, b) => b.revision - a.revision).slice(0, TOMBSTONES_MAX);
    return newest.flatMap(({ revision, resource }) => {
      return resource?.kind === "Tombstone" ? { revision, kind: resource.spec.kind, name: resource.spec.name } : [];
    });
  }

  #bury(row: ParsedRow): undefined {
    if (row.resource === undefined) this.#tombstones.delete(row.name);
    else this.#tombstones.set(row.name, row);
  }

  /** A row that leaves the pool is a deletion here; one that never concerned it is `undefined`. */
  #take(row: ParsedRow): ParsedRow | undefined {
    if (row.kind === "Tombstone") return this.#bury(row);
    const key = keyOf(row);
    const before = this.#rows.get(key);
    const isOurs = row.resource !== undefined && this.#isOurs(row.resource);
    if (before === undefined && !isOurs) return undefined;
    if (before?.resource !== undefined) this.#digest.remove(before.resource);
    if (!isOurs) {
      this.#rows.delete(key);
      return { ...row, resource: undefined, jsonBytes: 0 };
    }
    addTo(this.#digest, row);
    this.#rows.set(key, row);
    return row;
  }
}

/** Each row that changed after a revision: as it was at it, and its last change since. */
export type Past = ReadonlyMap<string, { readonly before: ParsedRow | undefined; readonly now: ParsedRow }>;

function addTo(digest: SetDigest, { resource }: ParsedRow): void {
  if (resource !== undefined) digest.add(resource);
}

/** One batch whose last part brings it into force. */
function inParts(rows: Iterable<ParsedRow>, position: Omit<PoolBatch, "rows">): PoolBatch[] {
  const parts: DesiredRow[][] = [[]];
  let bytes = 0;
  for (const row of rows) {
    parts.at(-1)?.push(row);
    bytes += row.jsonBytes;
    if (bytes <= BATCH_JSON_BYTES_MAX) continue;
    parts.push([]);
    bytes = 0;
  }
  return parts.map((part, index) => {
    const last = index === parts.length - 1;
    return { ...position, part: index, last, rows: part, setDigest: last ? position.setDigest : "" };
  });
}

function parentIn(resource: AnyResource | undefined): string | undefined {
  return resource?.kind === "NodePool" ? resource.spec.parent : undefined;
}
