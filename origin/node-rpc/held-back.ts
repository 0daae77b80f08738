/**
 * What is held back from pools whose turn has not come: each wave's view of what rolls out, which is the log as it was at
 * the wave's position. Positions are a row of the log themselves, so what a pool has follows from the log alone.
 */
import { ALL_POOLS, ROLLED_OUT_KINDS, rollsOut } from "#domain/desired-state.ts";
import { positionOf, positionsIn, ROLLOUT_NAME, type RolloutSpec, waveOf } from "#domain/fleet/rollout.ts";
import type { LogRow, ResourceLog } from "../log/resource-log.ts";
import { keyOf, type ParsedRow, parseRow } from "./pool-set.ts";

/** A resource that a wave has not the newest version of. */
interface HeldRow {
  /** What the wave has; `undefined`: nothing. */
  readonly before: ParsedRow | undefined;
  readonly newest: ParsedRow;
  /** No change of it that the wave has not is older. */
  readonly from: number;
}

type HeldRows = Map<string, HeldRow>;

/** What a pool gets of what was held back from it; `undefined`: its wave stays where it is. */
export type LetOut = (pool: string) => readonly ParsedRow[] | undefined;

export class HeldBack {
  readonly #log: ResourceLog;
  #rollout: RolloutSpec | undefined;
  /** By wave; nothing is ever held back from the first. */
  #waves: readonly HeldRows[];

  /** `rows` are all live resources at the revision. */
  constructor(log: ResourceLog, rows: ReadonlyMap<string, ParsedRow>, revision: number) {
    this.#log = log;
    this.#rollout = rolloutIn(rows.get(keyOf({ kind: "Rollout", name: ROLLOUT_NAME })));
    this.#waves = this.#load(rows, revision);
  }

  get rollout(): RolloutSpec | undefined {
    return this.#rollout;
  }

  /** Of each wave, by `Kind/name`. */
  get waves(): readonly ReadonlyMap<string, { readonly from: number }>[] {
    return this.#waves;
  }

  /** Revisions that are not to be forgotten: what waves have, and what they may be brought to. */
  get positions(): readonly number[] {
    return positionsIn(this.#rollout);
  }

  /** `undefined`: the pool has the newest of everything. */
  position(pool: string): number | undefined {
    return pool === ALL_POOLS ? undefined : positionOf(this.#rollout, pool);
  }

  /** As it was at a revision of the log. */
  positionAt(pool: string, revision: number): number | undefined {
    if (pool === ALL_POOLS) return undefined;
    const row = this.#log.findAt("Rollout", ROLLOUT_NAME, revision);
    return positionOf(row && rolloutIn(parseRow(row)), pool);
  }

  /** Of the log's next row, before it takes the place of another. */
  take(row: ParsedRow, before: ParsedRow | undefined): void {
    if (!rollsOut(row.kind)) return;
    const key = keyOf(row);
    for (const held of this.#waves.slice(1)) {
      const known = held.get(key);
      held.set(key, known === undefined ? { before, newest: row, from: row.revision } : { ...known, newest: row });
    }
  }

  /** Of the log's next rows, what a pool gets now. */
  visible(pool: string, rows: readonly ParsedRow[]): readonly ParsedRow[] {
    return this.position(pool) === undefined ? rows : rows.filter(({ kind }) => !rollsOut(kind));
  }

  /** All live resources as a pool has them. */
  viewOf(pool: string, rows: ReadonlyMap<string, ParsedRow>): ReadonlyMap<string, ParsedRow> {
    const held = this.#of(this.#rollout, pool);
    if (held === undefined || held.size === 0) return rows;
    const view = new Map(rows);
    for (const [key, { before }] of held) {
      if (before === undefined) view.delete(key);
      else view.set(key, before);
    }
    return view;
  }

  /** Takes the roll-out's own next row, after all before it; `rows` are all live resources with it. */
  move(row: ParsedRow, rows: ReadonlyMap<string, ParsedRow>): LetOut {
    const [before, next] = [this.#rollout, rolloutIn(row)];
    this.#rollout = next;
    this.#waves = this.#load(rows, row.revision);
    const made = new Map<string, readonly ParsedRow[]>();
    return (pool) => {
      const [from, to] = [positionOf(before, pool), positionOf(next, pool)];
      if (pool === ALL_POOLS) return undefined;
      if (from === undefined || from === to) return isTold(next, pool, row.revision) ? [] : undefined;
      const key = `${from}/${to}`;
      const letOut = made.get(key) ?? this.#changes(from, to ?? row.revision);
      made.set(key, letOut);
      return letOut;
    };
  }

  #of(rollout: RolloutSpec | undefined, pool: string): HeldRows | undefined {
    return pool === ALL_POOLS || rollout === undefined ? undefined : this.#waves[waveOf(rollout, pool)];
  }

  #changes(from: number, to: number): readonly ParsedRow[] {
    const [before, now] = [this.#listAt(from), this.#listAt(to)];
    const changed = [...now].filter(([key, { revision }]) => before.get(key)?.revision !== revision);
    const gone = [...before].filter(([key]) => !now.has(key));
    return [
      ...changed.map(([, row]) => parseRow(row)),
      ...gone.map(([, { kind, name }]) => ({ kind, name, revision: to, resource: undefined, jsonBytes: 0 })),
    ];
  }

  #listAt(position: number): ReadonlyMap<string, LogRow> {
    const rows = ROLLED_OUT_KINDS.flatMap((kind) => this.#log.list({ kind, at: position }).rows);
    return new Map(rows.map((row) => [keyOf(row), row]));
  }

  #at({ kind, name }: Pick<LogRow, "kind" | "name">, position: number): ParsedRow | undefined {
    const row = this.#log.findAt(kind, name, position);
    return row && parseRow(row);
  }

  #load(rows: ReadonlyMap<string, ParsedRow>, revision: number): readonly HeldRows[] {
    const loaded = new Map<number, HeldRows>();
    return (this.#rollout?.waves ?? []).map(({ position }) => {
      if (position === undefined) return new Map();
      const held = loaded.get(position) ?? this.#heldAt(position, rows, revision);
      loaded.set(position, held);
      return new Map(held);
    });
  }

  #heldAt(position: number, rows: ReadonlyMap<string, ParsedRow>, revision: number): HeldRows {
    const held: HeldRows = new Map();
    const then = this.#listAt(position);
    for (const [key, row] of then) {
      const newest = rows.get(key) ?? this.#at(row, revision);
      if (newest === undefined || newest.revision === row.revision) continue;
      held.set(key, { before: parseRow(row), newest, from: position + 1 });
    }
    for (const [key, newest] of rows) {
      if (rollsOut(newest.kind) && !then.has(key)) held.set(key, { before: undefined, newest, from: position + 1 });
    }
    return held;
  }
}

function rolloutIn(row: ParsedRow | undefined): RolloutSpec | undefined {
  return row?.resource?.kind === "Rollout" ? row.resource.spec : undefined;
}

/** Whether it is to prove what it has from this revision on: it learns of none that brings it nothing. */
function isTold(rollout: RolloutSpec | undefined, pool: string, revision: number): boolean {
  return rollout?.waves[waveOf(rollout, pool)]?.steps.at(-1)?.since === revision;
}
