/** Makes entries of decisions for one segment, with the names that they are the first of it to use. */
import { visitPools } from "#domain/placement/decision-record.ts";
import type { ContentDecisionRecord, SessionDecisionRecord } from "../explain/explain-store.ts";
import { ByteWriter } from "./bytes.ts";
import { type AskedSteering, contentBody } from "./content-codec.ts";
import { type EntryHead, ID_BYTES, writeEntry } from "./entries.ts";
import { writeSession } from "./session-codec.ts";

/** A session's decision over all classes of an app and 128 pools each is 250 KiB; a policy's constraints may be as long again. */
export const ENTRY_BYTES_MAX = 1024 ** 2;
const ID_PREFIX = "d-";
const NO_ID = new Uint8Array(ID_BYTES);

export type LoggedDecision =
  | SessionDecisionRecord
  | { readonly kind: "content"; readonly record: ContentDecisionRecord; readonly asked: AskedSteering };

/** The bytes of which a decision's id was made; undefined for what is no such id. */
export function bytesOfId(id: string): Buffer | undefined {
  const bytes = Buffer.from(id.slice(ID_PREFIX.length), "base64url");
  return bytes.byteLength === ID_BYTES && idOfBytes(bytes) === id ? bytes : undefined;
}

export function idOfBytes(bytes: Buffer): string {
  return `${ID_PREFIX}${bytes.toString("base64url")}`;
}

export class SegmentEncoder {
  readonly #poolName: (id: number) => string;
  /** From 1. */
  readonly #words = new Map<string, number>();
  /** By id, as the segment has it: an id may be given anew. */
  readonly #pools: string[] = [];
  readonly #body = new ByteWriter();
  readonly #naming = new ByteWriter();

  constructor(poolName: (id: number) => string) {
    this.#poolName = poolName;
  }

  /** Adds the decision's entry, after those of names that are new; false where it is longer than an entry may be. */
  encode(decision: LoggedDecision, out: ByteWriter): boolean {
    const { id, atMs } = decision.kind === "session" ? decision : decision.record;
    const idBytes = bytesOfId(id);
    const head = { kind: decision.kind, id: idBytes ?? NO_ID, atMs };
    this.#body.clear();
    if (decision.kind === "content") this.#body.append(contentBody(decision.record, decision.asked));
    else this.#writeSession(decision, head, out);
    if (idBytes === undefined || this.#body.length > ENTRY_BYTES_MAX) return false;
    writeEntry(out, head, this.#body.written);
    return true;
  }

  #writeSession(decision: SessionDecisionRecord, head: EntryHead, out: ByteWriter): void {
    for (const { record } of decision.steps) {
      const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
      visitPools(view, 0, (pool) => this.#namePool(pool, head, out));
    }
    writeSession(this.#body, decision, { wordOf: (text) => this.#wordOf(text, head, out) });
  }

  #namePool(pool: number, { atMs }: EntryHead, out: ByteWriter): void {
    const name = this.#poolName(pool);
    if (this.#pools[pool] === name) return;
    this.#pools[pool] = name;
    this.#writeName("pool", pool, name, atMs, out);
  }

  #wordOf(text: string, { atMs }: EntryHead, out: ByteWriter): number {
    const known = this.#words.get(text);
    if (known !== undefined) return known;
    const word = this.#words.size + 1;
    this.#words.set(text, word);
    this.#writeName("word", word, text, atMs, out);
    return word;
  }

  #writeName(kind: "word" | "pool", number: number, text: string, atMs: number, out: ByteWriter): void {
    const naming = this.#naming;
    naming.clear();
    naming.uint32(number);
    naming.text(text);
    writeEntry(out, { kind, id: NO_ID, atMs }, naming.written);
  }
}
