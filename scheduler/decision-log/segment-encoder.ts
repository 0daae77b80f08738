/** Makes entries of decisions for one segment, with the names that they are the first of it to use. */
import { visitPools } from "#domain/placement/decision-record.ts";
import type { StatedPool } from "#domain/simulation/fleet-pools.ts";
import type { ContentDecisionRecord, EndedSession, SessionDecisionRecord } from "../explain/explain-store.ts";
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
  | ({ readonly kind: "ended" } & EndedSession)
  | { readonly kind: "content"; readonly record: ContentDecisionRecord; readonly asked: AskedSteering };

/** The bytes of which a decision's id was made; undefined for what is no such id. */
export function bytesOfId(id: string): Buffer | undefined {
  const bytes = Buffer.from(id.slice(ID_PREFIX.length), "base64url");
  return bytes.byteLength === ID_BYTES && idOfBytes(bytes) === id ? bytes : undefined;
}

export function idOfBytes(bytes: Buffer): string {
  return `${ID_PREFIX}${bytes.toString("base64url")}`;
}

/** What a record, which names pools by number, does not say of them. */
export interface LoggedPools {
  poolName(id: number): string;
  /** What the operator says of it; the same object for as long as it is the same. Undefined where it is gone. */
  findPool(name: string): StatedPool | undefined;
}

interface NamedPool {
  readonly name: string;
  stated: StatedPool | undefined;
  readonly text: string;
}

export class SegmentEncoder {
  readonly #source: LoggedPools;
  /** From 1. */
  readonly #words = new Map<string, number>();
  /** By id, as the segment has it: an id may be given anew, and a pool may change. */
  readonly #pools: NamedPool[] = [];
  readonly #body = new ByteWriter();
  readonly #naming = new ByteWriter();

  constructor(source: LoggedPools) {
    this.#source = source;
  }

  /** Adds the decision's entry, after those of names that are new; false where it is longer than an entry may be. */
  encode(decision: LoggedDecision, out: ByteWriter): boolean {
    if (decision.kind === "ended") return this.#encodeEnded(decision, out);
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

  #encodeEnded({ session, atMs }: EndedSession, out: ByteWriter): boolean {
    this.#body.clear();
    this.#body.text(session);
    writeEntry(out, { kind: "ended", id: NO_ID, atMs }, this.#body.written);
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
    const name = this.#source.poolName(pool);
    const stated = this.#source.findPool(name);
    const known = this.#pools[pool];
    const isKnown = known?.name === name;
    if (isKnown && (stated === undefined || stated === known.stated)) return;
    const text = stated === undefined ? "" : poolText(stated);
    if (isKnown && text === known.text) {
      known.stated = stated;
      return;
    }
    this.#pools[pool] = { name, stated, text };
    this.#writeName("pool", pool, [name, text], atMs, out);
  }

  #wordOf(text: string, { atMs }: EntryHead, out: ByteWriter): number {
    const known = this.#words.get(text);
    if (known !== undefined) return known;
    const word = this.#words.size + 1;
    this.#words.set(text, word);
    this.#writeName("word", word, [text], atMs, out);
    return word;
  }

  #writeName(kind: "word" | "pool", number: number, texts: readonly string[], atMs: number, out: ByteWriter): void {
    const naming = this.#naming;
    naming.clear();
    naming.uint32(number);
    for (const text of texts) naming.text(text);
    writeEntry(out, { kind, id: NO_ID, atMs }, naming.written);
  }
}

function poolText({ metadata: { labels }, spec: { region, coordinates } }: StatedPool): string {
  return JSON.stringify({ labels, region, coordinates });
}
