/** What the log has acknowledged, kept apart from it: every pool's set at every revision of every epoch is told from this alone. */
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { type AnyResource, belongsToPool } from "#domain/resource.ts";
import type { LogRow } from "#origin/log/resource-log.ts";

/** Of one pool in one epoch, as far as it was asked for. */
interface PoolStates {
  /** JSON by `Kind/name`. */
  readonly live: Map<string, string>;
  readonly prints: Map<number, string>;
  revision: number;
}

export class History {
  #epoch = 1;
  /** Of an epoch after the first: at which revision it begins, with how many rows of the one before. */
  readonly #begins = new Map<number, { readonly revision: number; readonly rows: number }>();
  /** By epoch, in the order of their revisions. */
  readonly #rows = new Map<number, LogRow[]>([[1, []]]);
  readonly #states = new Map<string, PoolStates>();
  readonly #live = new Map<string, string>();
  readonly #parsed = new WeakMap<LogRow, AnyResource>();

  get epoch(): number {
    return this.#epoch;
  }

  get revision(): number {
    return Math.max(this.rows().at(-1)?.revision ?? 0, this.#begins.get(this.#epoch)?.revision ?? 0);
  }

  rows(epoch = this.#epoch): readonly LogRow[] {
    return this.#rows.get(epoch) ?? [];
  }

  add(rows: readonly LogRow[]): void {
    this.#rows.get(this.#epoch)?.push(...rows);
    for (const row of rows) take(this.#live, row, !row.deleted);
  }

  /** The log was restored as it was at a revision, and begins another epoch at a later one. */
  raise(revision: number, beginsAt: number): void {
    const kept = this.rows().filter((row) => row.revision <= revision);
    this.#epoch += 1;
    this.#rows.set(this.#epoch, kept);
    this.#begins.set(this.#epoch, { revision: beginsAt, rows: kept.length });
    this.#live.clear();
    for (const row of kept) take(this.#live, row, !row.deleted);
  }

  /** The live resources at the newest revision, as JSON by `Kind/name`. */
  get live(): ReadonlyMap<string, string> {
    return this.#live;
  }

  /** What a pool's edges hold at a revision, in a form that two equal sets have in common; `undefined` where it never was. */
  printAt(pool: string, epoch: number, revision: number): string | undefined {
    const key = `${epoch}/${pool}`;
    let states = this.#states.get(key);
    if (states === undefined) {
      states = { live: new Map(), prints: new Map(), revision: 0 };
      this.#states.set(key, states);
    }
    const begin = this.#begins.get(epoch);
    for (const row of this.rows(epoch).slice(states.revision)) {
      const isHeld = !row.deleted && row.kind !== "Tombstone" && belongsToPool(this.#resourceOf(row), pool);
      take(states.live, row, isHeld);
      states.revision += 1;
      states.prints.set(row.revision, printOf(states.live.values()));
      if (states.revision === begin?.rows) states.prints.set(begin.revision, printOf(states.live.values()));
    }
    return states.prints.get(revision);
  }

  #resourceOf(row: LogRow): AnyResource {
    const known = this.#parsed.get(row) ?? parseStoredResource(row.json);
    this.#parsed.set(row, known);
    return known;
  }
}

function take(live: Map<string, string>, { kind, name, json }: LogRow, isLive: boolean): void {
  if (isLive) live.set(`${kind}/${name}`, json);
  else live.delete(`${kind}/${name}`);
}

export function printOf(resources: Iterable<string>): string {
  return [...resources].sort().join("\n");
}
