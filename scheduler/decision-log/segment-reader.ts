/** Reads one segment alone: its decisions in order, with the names that it brings. Pure. */
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { assert } from "#domain/assert.ts";
import type { DecisionRecord } from "../explain/explain-store.ts";
import { ByteReader } from "./bytes.ts";
import { readContent } from "./content-codec.ts";
import { AT_ID, type Entry, ID_BYTES, isBodyWhole, type SegmentEnd, walkEntries } from "./entries.ts";
import { idOfBytes } from "./segment-encoder.ts";
import { readSession } from "./session-codec.ts";

/** A name whose entry was damaged. */
const LOST = "";

const poolSchema = Type.Object({
  labels: Type.Record(Type.String(), Type.String()),
  region: Type.String(),
  coordinates: Type.Object({ latitude: Type.Number(), longitude: Type.Number() }),
});
/** What operators said of a pool. */
export type LoggedPool = Static<typeof poolSchema>;

/** The names of a segment up to one of its entries. */
export class SegmentNames {
  readonly #words = new Map<number, string>();
  readonly #pools = new Map<number, string>();
  /** By name, where operators said anything: the last, and since when. */
  readonly pools = new Map<string, { readonly pool: LoggedPool; readonly atMs: number }>();

  /** False for an entry that is of no name, or damaged. */
  take(bytes: Buffer, entry: Entry): boolean {
    if ((entry.kind !== "word" && entry.kind !== "pool") || !isBodyWhole(bytes, entry)) return false;
    const reader = new ByteReader(bytes, entry.bodyAt, entry.bodyEnd);
    const number = reader.uint32();
    const name = reader.text();
    if (entry.kind === "word") this.#words.set(number, name);
    else this.#takePool(number, name, reader.text(), entry.atMs);
    return true;
  }

  #takePool(number: number, name: string, text: string, atMs: number): void {
    this.#pools.set(number, name);
    if (text === "") return;
    const pool: unknown = JSON.parse(text);
    assert(Value.Check(poolSchema, pool), "a pool is read as it was written");
    this.pools.set(name, { pool, atMs });
  }

  readonly wordOf = (word: number): string => this.#words.get(word) ?? LOST;
  readonly poolName = (pool: number): string => this.#pools.get(pool) ?? LOST;
}

export function idOfEntry(bytes: Buffer, { offset }: Entry): string {
  return idOfBytes(bytes.subarray(offset + AT_ID, offset + AT_ID + ID_BYTES));
}

/** Of an entry whose body is whole. */
export function readDecision(bytes: Buffer, entry: Entry, names: SegmentNames): DecisionRecord {
  const id = idOfEntry(bytes, entry);
  return entry.kind === "content" ? readContent(bytes, entry, id) : readSession(bytes, entry, { id, ...names });
}

export interface FoundDecision {
  readonly record: DecisionRecord;
  /** Of the ids in its steps' records. */
  readonly poolName: (id: number) => string;
}

/** The last decision of the segment for which `matches` holds. */
export function findLast(bytes: Buffer, matches: (entry: Entry) => boolean): FoundDecision | undefined {
  let found: Entry | undefined;
  const naming: Entry[] = [];
  walkEntries(bytes, (entry) => {
    if (entry.kind === "word" || entry.kind === "pool") naming.push(entry);
    else if (entry.kind !== "ended" && matches(entry)) found = entry;
  });
  if (found === undefined || !isBodyWhole(bytes, found)) return undefined;
  const names = new SegmentNames();
  for (const entry of naming) if (entry.offset < found.offset) names.take(bytes, entry);
  return { record: readDecision(bytes, found, names), poolName: names.poolName };
}

export interface SegmentFault {
  readonly offset: number;
  readonly reason: string;
}

/** Visits each decision and each end of a session that is whole, with the names up to it. Answers what is damaged, and how the segment ends. */
export function visitSegment(
  bytes: Buffer,
  visit: (entry: Entry, names: SegmentNames) => void,
): { readonly faults: readonly SegmentFault[]; readonly end: SegmentEnd; readonly names: SegmentNames } {
  const faults: SegmentFault[] = [];
  const names = new SegmentNames();
  const end = walkEntries(bytes, (entry) => {
    if (names.take(bytes, entry)) return;
    if (entry.kind === "word" || entry.kind === "pool" || !isBodyWhole(bytes, entry)) {
      faults.push({ offset: entry.offset, reason: `the bytes of a ${entry.kind} were changed` });
    } else visit(entry, names);
  });
  if (end.kind === "corrupt") faults.push({ offset: end.offset, reason: end.reason });
  return { faults, end, names };
}

/** The session that an entry says has ended. */
export function readEnded(bytes: Buffer, { bodyAt, bodyEnd }: Entry): string {
  return new ByteReader(bytes, bodyAt, bodyEnd).text();
}
