/**
 * What sets that are refused here order all the same: the purges and revocations of their signed batches, kept beside the
 * set that is served. They only remove. One that crashes the process is left out, as long as it is the same.
 */
import type { Resources } from "#contracts/codec/set-state.ts";
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import type { DesiredRow } from "#domain/desired-state.ts";
import { isFailure } from "#domain/failure.ts";
import type { AnyResource } from "#domain/resource.ts";
import type { Database, Row } from "#platform/sqlite/database.ts";

/** The states are the trial's: `taken` until proven, or `crashed`. */
export const ORDERS_MIGRATION = `
  CREATE TABLE orders (
    kind TEXT NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL, revision INTEGER NOT NULL, json TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('taken', 'proven', 'crashed')), PRIMARY KEY (kind, name)
  ) STRICT`;

/** Twice what an origin that purges each two minutes retains. */
export const ORDERS_MAX = 40_000;

interface Order {
  readonly epoch: number;
  readonly revision: number;
  /** `undefined` of one that is left out. */
  readonly resource: AnyResource | undefined;
}

/** Of one batch that was refused, all parts so far. */
export interface RefusedRows {
  readonly epoch: number;
  /** The revision that it leads to. */
  readonly to: number;
  readonly rows: readonly DesiredRow[];
  /** All that the log retains is among them. */
  readonly isWhole: boolean;
}

export class Orders {
  readonly #database: Database;
  /** By `Kind/name`. */
  #orders: ReadonlyMap<string, Order>;

  constructor(database: Database) {
    this.#database = database;
    this.#orders = this.#load();
  }

  /** Of the newest; `undefined` while there are none. */
  get epoch(): number | undefined {
    const epochs = [...this.#orders.values()].map(({ epoch }) => epoch);
    return epochs.length === 0 ? undefined : epochs.reduce((a, b) => Math.max(a, b));
  }

  /** The set with them: where it has a newer version, with that. */
  over(resources: Resources): Resources {
    const newer = [...this.#orders].flatMap(([key, { resource }]): (readonly [string, AnyResource])[] => {
      const held = resources.get(key)?.metadata.resourceVersion ?? 0;
      return resource === undefined || resource.metadata.resourceVersion <= held ? [] : [[key, resource]];
    });
    return newer.length === 0 ? resources : new Map([...resources, ...newer]);
  }

  /** Durable before they are in force. `beforeChange` is called, in that case, before all else; true where it was. */
  take(refused: RefusedRows, beforeChange: () => void): boolean {
    const { wanted, gone } = this.#changes(refused);
    if (wanted.length === 0 && gone.length === 0) return false;
    beforeChange();
    this.#database.transaction(() => {
      const remove = this.#database.prepare("DELETE FROM orders WHERE kind = ? AND name = ?");
      for (const { kind, name } of gone) remove.run(kind, name);
      const insert = this.#database.prepare("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, 'taken')");
      for (const { kind, name, revision, resource } of wanted) {
        insert.run(kind, name, refused.epoch, revision, JSON.stringify(resource));
      }
      this.#database
        .prepare(
          `DELETE FROM orders WHERE (kind, name) NOT IN
             (SELECT kind, name FROM orders ORDER BY epoch DESC, revision DESC LIMIT ?)`,
        )
        .run(ORDERS_MAX);
    });
    this.#orders = this.#load();
    return true;
  }

  /** Within the transaction that stores a set: it has what was ordered up to its revision. `settled` follows its commit. */
  settle(epoch: number, revision: number): void {
    if (this.#orders.size === 0) return;
    this.#database
      .prepare("DELETE FROM orders WHERE epoch < ?1 OR (epoch = ?1 AND revision <= ?2)")
      .run(epoch, revision);
  }

  settled(): void {
    if (this.#orders.size > 0) this.#orders = this.#load();
  }

  /** What is older than what is known changes nothing. */
  #changes({ epoch, to, rows, isWhole }: RefusedRows) {
    const orders = rows.filter(({ kind }) => kind === "Purge" || kind === "Revocation");
    const isOlder = (key: string, revision: number): boolean => {
      const known = this.#orders.get(key);
      return known !== undefined && (known.epoch < epoch || (known.epoch === epoch && known.revision < revision));
    };
    const wanted = orders.filter((row) => {
      const key = keyOf(row);
      return row.resource !== undefined && (!this.#orders.has(key) || isOlder(key, row.revision));
    });
    const named = orders.filter((row) => row.resource === undefined && isOlder(keyOf(row), row.revision));
    const stays = new Set(orders.filter(({ resource }) => resource !== undefined).map(keyOf));
    const unnamed = isWhole ? [...this.#orders.keys()].filter((key) => !stays.has(key) && isOlder(key, to + 1)) : [];
    return { wanted, gone: [...named, ...unnamed.map(namesIn)] };
  }

  #load(): ReadonlyMap<string, Order> {
    return new Map(this.#database.prepare("SELECT * FROM orders").all().map(orderOf));
  }
}

function orderOf(row: Row): readonly [string, Order] {
  const [kind, name, json] = [String(row["kind"]), String(row["name"]), String(row["json"])];
  const resource = row["state"] === "crashed" ? undefined : readable(json);
  return [`${kind}/${name}`, { epoch: Number(row["epoch"]), revision: Number(row["revision"]), resource }];
}

/** What another version of this program has written may say what this one does not know: then it is left out. */
function readable(json: string): AnyResource | undefined {
  try {
    return parseStoredResource(json);
  } catch (error) {
    if (isFailure(error, "resource-invalid")) return undefined;
    throw error;
  }
}

const keyOf = ({ kind, name }: Pick<DesiredRow, "kind" | "name">): string => `${kind}/${name}`;

function namesIn(key: string): { readonly kind: string; readonly name: string } {
  const slash = key.indexOf("/");
  return { kind: key.slice(0, slash), name: key.slice(slash + 1) };
}
