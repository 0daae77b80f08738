/** One pool's set of the desired state, kept row by row, and the batches that take its nodes along. */

import { createSetDigest } from "#contracts/codec/set-digest.ts";
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { ALL_POOLS, type DesiredRow, type PoolBatch } from "#domain/desired-state.ts";
import { type AnyResource, belongsToPool } from "#domain/resource.ts";
import type { LogList, LogRow } from "../log/resource-log.ts";

/** Resources of one message, as JSON: far under the message limit, however long a single one is. */
const BATCH_JSON_BYTES_MAX = 1024 * 1024;

export class PoolSet {
  readonly pool: string;
  readonly #epoch: number;
  readonly #resources = new Map<string, AnyResource>();
  readonly #digest = createSetDigest();
  readonly #parent: string | undefined;
  #revision: number;

  constructor(pool: string, epoch: number, { revision, rows }: LogList) {
    this.pool = pool;
    this.#epoch = epoch;
    this.#revision = revision;
    const own = rows.find(({ kind, name }) => kind === "NodePool" && name === pool);
    this.#parent = own && parentIn(own);
    for (const row of rows) this.#take(row);
  }

  get revision(): number {
    return this.#revision;
  }

  get setDigest(): string {
    return this.#digest.toHex();
  }

  /** Takes the log's next rows, up to `to`; the batches hold what concerns the pool, at least one batch even if nothing does. */
  advance(rows: readonly LogRow[], to: number): PoolBatch[] {
    const batches: PoolBatch[] = [];
    let [from, bytes, taken]: [number, number, DesiredRow[]] = [this.#revision, 0, []];
    const close = (revision: number): void => {
      const setDigest = this.#digest.toHex();
      const position = { epoch: this.#epoch, pool: this.pool, from, to: revision };
      batches.push({ ...position, snapshot: false, part: 0, last: true, rows: taken, setDigest });
      [from, bytes, taken] = [revision, 0, []];
    };
    for (const row of rows) {
      const desired = this.#take(row);
      if (desired !== undefined) taken.push(desired);
      bytes += desired === undefined ? 0 : row.json.length;
      if (bytes > BATCH_JSON_BYTES_MAX) close(row.revision);
    }
    if (taken.length > 0 || from < to) close(to);
    this.#revision = to;
    return batches;
  }

  /** Whether another pool is the parent after these rows: its edges are not in them, so the set is made anew. */
  hasOtherParent(rows: readonly LogRow[]): boolean {
    const own = rows.filter(({ kind, name }) => kind === "NodePool" && name === this.pool);
    return own.some((row) => parentIn(row) !== this.#parent);
  }

  /** The whole set in parts. */
  snapshot(): PoolBatch[] {
    const parts: DesiredRow[][] = [[]];
    let bytes = 0;
    for (const resource of this.#resources.values()) {
      const { kind, metadata } = resource;
      parts.at(-1)?.push({ revision: metadata.resourceVersion, kind, name: metadata.name, resource });
      bytes += JSON.stringify(resource).length;
      if (bytes <= BATCH_JSON_BYTES_MAX) continue;
      parts.push([]);
      bytes = 0;
    }
    const position = { epoch: this.#epoch, pool: this.pool, from: 0, to: this.#revision, snapshot: true };
    return parts.map((rows, part) => {
      const last = part === parts.length - 1;
      return { ...position, part, last, rows, setDigest: last ? this.setDigest : "" };
    });
  }

  /** A row that leaves the pool is a deletion here; one that never concerned it is `undefined`. */
  #take(row: LogRow): DesiredRow | undefined {
    const key = `${row.kind}/${row.name}`;
    const before = this.#resources.get(key);
    const parsed = row.deleted ? undefined : parseStoredResource(row.json);
    const isOurs = parsed !== undefined && (this.pool === ALL_POOLS || belongsToPool(parsed, this.pool, this.#parent));
    if (before === undefined && !isOurs) return undefined;
    if (before !== undefined) this.#digest.remove(before);
    if (isOurs) {
      this.#digest.add(parsed);
      this.#resources.set(key, parsed);
    } else {
      this.#resources.delete(key);
    }
    return { revision: row.revision, kind: row.kind, name: row.name, resource: isOurs ? parsed : undefined };
  }
}

function parentIn(row: LogRow): string | undefined {
  const resource = row.deleted ? undefined : parseStoredResource(row.json);
  return resource?.kind === "NodePool" ? resource.spec.parent : undefined;
}
