/** Reads one segment alone: its decisions in order, with the names that it brings. Pure. */
import type { DecisionRecord } from "../explain/explain-store.ts";
import { ByteReader } from "./bytes.ts";
import { readContent } from "./content-codec.ts";
import { AT_ID, type Entry, ID_BYTES, isBodyWhole, type SegmentEnd, walkEntries } from "./entries.ts";
import { idOfBytes } from "./segment-encoder.ts";
import { readSession } from "./session-codec.ts";

/** A name whose entry was damaged. */
const LOST = "";

/** The names of a segment up to one of its entries. */
export class SegmentNames {
  readonly #words = new Map<number, string>();
  readonly #pools = new Map<number, string>();

  /** False for an entry that is of no name, or damaged. */
  take(bytes: Buffer, entry: Entry): boolean {
    if ((entry.kind !== "word" && entry.kind !== "pool") || !isBodyWhole(bytes, entry)) return false;
    const reader = new ByteReader(bytes, entry.bodyAt, entry.bodyEnd);
    const number = reader.uint32();
    (entry.kind === "word" ? this.#words : this.#pools).set(number, reader.text());
    return true;
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
    else if (matches(entry)) found = entry;
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

/** Visits each decision that is whole, with the names up to it. Answers what is damaged, and how the segment ends. */
export function visitDecisions(
  bytes: Buffer,
  visit: (entry: Entry, names: SegmentNames) => void,
): { readonly faults: readonly SegmentFault[]; readonly end: SegmentEnd } {
  const faults: SegmentFault[] = [];
  const names = new SegmentNames();
  const end = walkEntries(bytes, (entry) => {
    if (names.take(bytes, entry)) return;
    if (entry.kind === "word" || entry.kind === "pool" || !isBodyWhole(bytes, entry)) {
      faults.push({ offset: entry.offset, reason: `the bytes of a ${entry.kind} were changed` });
    } else visit(entry, names);
  });
  if (end.kind === "corrupt") faults.push({ offset: end.offset, reason: end.reason });
  return { faults, end };
}
