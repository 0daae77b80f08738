/** What one replica tells the others of who wants sessions: names once, then a row for each session that came, moved or ended. */
import Type, { type Static } from "typebox";
import { Compile } from "typebox/compile";
import type { DemandAttempt, TriedChoice } from "./demand-counter.ts";

/** Of one turn of one replica: some 1,200 sessions that are new, or twice as many that are not. */
export const DEMAND_TEXT_BYTES_MAX = 131_072;
/** Of what a session may choose from, the nearest: who finds sixteen full has no other. */
export const CHOICE_POOLS_MAX = 16;

export interface ToldWish {
  readonly session: string;
  /** When it is told. */
  readonly ageMs: number;
  /** Undefined: it has ended. */
  readonly attempt: ToldAttempt | undefined;
}

export interface ToldAttempt extends DemandAttempt {
  readonly decision?: TriedChoice | undefined;
}

const STATES = ["ended", "placed", "waiting", "refused"] as const;
const NONE = -1;

const name = Type.String({ minLength: 1, maxLength: 256 });
const place = Type.Union([
  Type.Tuple([]),
  Type.Tuple([Type.Number({ minimum: -90, maximum: 90 }), Type.Number({ minimum: -180, maximum: 180 })]),
]);
const index = Type.Integer({ minimum: NONE });

/** Groups with the room in ms and where they are; pools; render classes; sessions. */
const Told = Type.Tuple([
  Type.Array(Type.Tuple([Type.Array(name, { maxItems: 8 }), Type.Integer({ minimum: 0, maximum: 60_000 }), place])),
  Type.Array(name),
  Type.Array(name),
  Type.Array(
    Type.Tuple([
      Type.String({ minLength: 1, maxLength: 64 }),
      // Age in ms; state; 1 for an arrival; group, class and pool by their places above; pool and RTT of its choice in turn.
      Type.Integer({ minimum: 0 }),
      Type.Integer({ minimum: 0, maximum: STATES.length - 1 }),
      Type.Integer({ minimum: 0, maximum: 1 }),
      index,
      index,
      index,
      Type.Array(Type.Number({ minimum: 0 }), { maxItems: 2 * CHOICE_POOLS_MAX }),
    ]),
  ),
]);

type Told = Static<typeof Told>;

/** Compiled: a full turn is read in 1.3 ms of CPU, interpreted in 30 ms. */
const toldCheck = Compile(Told);

/** The first of them, as many as the bytes hold; an empty text where there are none. */
export function packDemand(
  wishes: Iterable<ToldWish>,
  bytesMax = DEMAND_TEXT_BYTES_MAX,
): { readonly text: string; readonly told: number } {
  const packing = new Packing(bytesMax);
  let told = 0;
  for (const wish of wishes) {
    if (!packing.add(wish)) break;
    told += 1;
  }
  return { text: told === 0 ? "" : packing.text, told };
}

/** Undefined for what is none of ours; nothing of it is taken then. */
export function parseDemand(text: string): readonly ToldWish[] | undefined {
  if (text.length > DEMAND_TEXT_BYTES_MAX) return undefined;
  const told = parseJson(text);
  if (!toldCheck.Check(told)) return undefined;
  const wishes: ToldWish[] = [];
  for (const row of told[3]) {
    const wish = readRow(told, row);
    if (wish === undefined) return undefined;
    wishes.push(wish);
  }
  return wishes;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Undefined where it names what is not there. */
function readRow([groups, pools, classes]: Told, row: Told[3][number]): ToldWish | undefined {
  const [session, ageMs, at, isArrival, groupAt, classAt, poolAt, choice] = row;
  const state = STATES[at];
  if (state === "ended" || state === undefined) return { session, ageMs, attempt: undefined };
  const group = groups[groupAt];
  const renderClass = classes[classAt];
  const pool = pools[poolAt];
  const decision = readChoice(pools, choice);
  const isPlaced = state === "placed";
  if (group === undefined || renderClass === undefined || decision === undefined) return undefined;
  if (isPlaced !== (pool !== undefined)) return undefined;
  const [names, roomMs, [latitude, longitude]] = group;
  const isKnown = latitude !== undefined && longitude !== undefined;
  const client = { groups: names, coordinates: isKnown ? { latitude, longitude } : undefined };
  const isNew = isArrival === 1;
  const tried = choice.length === 0 ? undefined : decision;
  return { session, ageMs, attempt: { session, client, roomMs, renderClass, state, pool, isNew, decision: tried } };
}

function readChoice(pools: readonly string[], choice: readonly number[]): TriedChoice | undefined {
  const found: { pool: string; rttMs: number }[] = [];
  for (let at = 0; at < choice.length; at += 2) {
    const pool = pools[choice[at] ?? NONE];
    const rttMs = choice[at + 1];
    if (pool === undefined || rttMs === undefined) return undefined;
    found.push({ pool, rttMs });
  }
  return { pools: found.map(({ pool }) => pool), rttMs: found.map(({ rttMs }) => rttMs) };
}

class Packing {
  readonly #bytesMax: number;
  /** As JSON, by what they are found again. */
  readonly #groups = new Map<string, number>();
  readonly #pools = new Map<string, number>();
  readonly #classes = new Map<string, number>();
  readonly #rows: string[] = [];
  #bytes = Buffer.byteLength("[[],[],[],[]]");
  /** Of the row that is being made. */
  #added = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get text(): string {
    const parts = [this.#groups.keys(), this.#pools.keys(), this.#classes.keys(), this.#rows];
    return `[${parts.map((part) => `[${[...part].join(",")}]`).join(",")}]`;
  }

  /** False where it does not fit any more; then the text is not to be added to. */
  add(wish: ToldWish): boolean {
    const sizes = [this.#groups.size, this.#pools.size, this.#classes.size] as const;
    this.#added = 0;
    const row = JSON.stringify(this.#rowOf(wish));
    const bytes = this.#bytes + this.#added + Buffer.byteLength(row) + 1;
    if (bytes > this.#bytesMax) {
      for (const [at, table] of [this.#groups, this.#pools, this.#classes].entries()) cutTo(table, sizes[at] ?? 0);
      return false;
    }
    this.#bytes = bytes;
    this.#rows.push(row);
    return true;
  }

  #rowOf({ session, ageMs, attempt }: ToldWish): Told[3][number] {
    const age = Math.max(0, Math.round(ageMs));
    if (attempt === undefined) return [session, age, STATES.indexOf("ended"), 0, NONE, NONE, NONE, []];
    const { client, roomMs, renderClass, state, pool, isNew, decision } = attempt;
    const { coordinates } = client;
    const where = coordinates === undefined ? [] : [coordinates.latitude, coordinates.longitude];
    const group = [client.groups, Math.floor(Math.min(60_000, Math.max(0, roomMs))), where];
    return [
      ...([session, age, STATES.indexOf(state), isNew ? 1 : 0] as const),
      this.#find(this.#groups, group),
      this.#find(this.#classes, renderClass),
      pool === undefined ? NONE : this.#find(this.#pools, pool),
      decision === undefined ? [] : this.#packChoice(decision),
    ];
  }

  #packChoice({ pools, rttMs }: TriedChoice): number[] {
    const entries = pools.map((pool, at) => ({ pool, rttMs: rttMs[at] ?? 0 }));
    entries.sort((a, b) => a.rttMs - b.rttMs);
    const nearest = entries.slice(0, CHOICE_POOLS_MAX);
    return nearest.flatMap(({ pool, rttMs }) => [this.#find(this.#pools, pool), Math.round(rttMs * 10) / 10]);
  }

  #find(table: Map<string, number>, value: unknown): number {
    const key = JSON.stringify(value);
    const known = table.get(key);
    if (known !== undefined) return known;
    table.set(key, table.size);
    this.#added += Buffer.byteLength(key) + 1;
    return table.size - 1;
  }
}

function cutTo(table: Map<string, number>, size: number): void {
  for (const [key, at] of table) if (at >= size) table.delete(key);
}
