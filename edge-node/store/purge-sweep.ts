/** Which rows a purge order is for, some at a time: a step reads a bounded number of rows, whatever they turn out to be. */
import type { Row } from "#platform/sqlite/database.ts";
import type { Statements } from "./disk-schema.ts";
import type { PurgeOrder } from "./purging.ts";

/** Rows of a step: a millisecond or two of deletions. */
const SWEPT_AT_ONCE = 32;

/** An order that stands in the index until it is swept. */
export interface OpenOrder {
  readonly id: number;
  readonly order: PurgeOrder;
}

/** Behind a row of one of the names that the order gives. */
export interface SweepPlace {
  readonly name: number;
  readonly key: string;
  readonly id: number;
}

export const SWEEP_START: SweepPlace = { name: 0, key: "", id: -1 };

export interface SweepStep {
  readonly ids: readonly number[];
  /** `undefined` once there are no more. */
  readonly next: SweepPlace | undefined;
}

export function sweptRows(statements: Statements, order: PurgeOrder, from: SweepPlace): SweepStep {
  const atMs = order.kind === "expire" ? order.atMs : order.spec.atMs;
  const rows = rowsOf(statements, order, from);
  const isOurs = (row: Row) => order.kind === "expire" || row["site"] === undefined || row["site"] === order.spec.site;
  const ids = rows.filter((row) => Number(row["requested_ms"]) < atMs && isOurs(row)).map((row) => Number(row["id"]));
  const last = rows.at(-1);
  if (last !== undefined && rows.length === SWEPT_AT_ONCE)
    return { ids, next: { name: from.name, key: String(last["key"]), id: Number(last["id"]) } };
  const name = from.name + 1;
  return { ids, next: name < namesOf(order) ? { ...SWEEP_START, name } : undefined };
}

function namesOf(order: PurgeOrder): number {
  if (order.kind === "expire") return 1;
  const { match } = order.spec;
  return match.kind === "paths" ? match.paths.length : match.kind === "tags" ? match.tags.length : 1;
}

function rowsOf(statements: Statements, order: PurgeOrder, { name, key, id }: SweepPlace): readonly Row[] {
  if (order.kind === "expire") return statements.after.all(id, SWEPT_AT_ONCE);
  const { site, match } = order.spec;
  switch (match.kind) {
    case "all":
      return statements.ofPrefix.all(site, key, id, SWEPT_AT_ONCE);
    case "prefix": {
      const rows = statements.ofPrefix.all(site, key === "" ? match.prefix : key, id, SWEPT_AT_ONCE);
      return rows.filter((row) => String(row["key"]).startsWith(match.prefix));
    }
    case "paths":
      return statements.ofPath.all(site, match.paths[name] ?? "", id, SWEPT_AT_ONCE);
    case "tags":
      return statements.ofTag.all(match.tags[name] ?? "", id, SWEPT_AT_ONCE);
  }
}
