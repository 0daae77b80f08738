/** Answers to hits as bytes, made once for all requests of a second: a head that only Age and ttl change, and the body. */
import { STATUS_CODES } from "node:http";
import { formatHttpDate } from "#domain/http/date.ts";
import { answerText, plainAfter } from "../access-log/access-line.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import { type SiteTallies, type SiteTally, statusSlotOf } from "../usage/site-tallies.ts";
import { hitStatus, notModifiedHead, wholeHead } from "./hit-head.ts";

/** A larger body is sent from where it is: to copy it costs more than a second buffer in the write. */
const COPIED_BODY_BYTES_MAX = 64 * 1024;
/** What prepared answers hold of memory, the bodies that they belong to included, since the store may have evicted those. */
const PREPARED_BYTES_MAX = 8 * 1024 * 1024;
/** What an entry takes beside its bytes: some objects and strings. */
const ENTRY_BYTES = 1_024;

/** Names and values in turn, with all that the edge says itself but Date. */
export interface PublishedHead {
  readonly status: number;
  readonly raw: readonly string[];
}

/** A file of a release: it has no age. One object for all hits of a representation. */
export interface PublishedObject {
  readonly site: string;
  readonly status: number;
  readonly body: { readonly byteLength: number };
  readonly heads: PublishedHeads;
}

export interface PublishedHeads {
  readonly whole: PublishedHead;
  readonly "not-modified": PublishedHead;
}

/** Also a file of a release that another process has lent. */
export interface KeptResponse extends StoredResponse {
  readonly heads?: PublishedHeads;
}

export interface HitOf<Stored> {
  readonly stored: Stored;
  readonly body: Uint8Array;
  readonly kind: "whole" | "head" | "not-modified";
}

export interface StoredHit extends HitOf<KeptResponse> {
  /** Whole seconds. */
  readonly ageSeconds: number;
  readonly ttlSeconds: number;
}

export type Hit = StoredHit | HitOf<PublishedObject>;

/** The bytes of an answer; `body` comes after them where it is not among them. */
export interface PreparedAnswer {
  readonly status: number;
  readonly contentBytes: number;
  readonly isPublished: boolean;
  /** Of the access log. */
  readonly logText: string;
  readonly logBytes: Uint8Array;
  readonly bytes: Buffer;
  readonly body: Uint8Array | undefined;
  /** What counts its site's use, and where by its status; for as long as it is the answer. */
  readonly tally: SiteTally | undefined;
  readonly statusSlot: number;
}

type HeadTexts = Record<Hit["kind"], HeadText | undefined>;

interface Prepared {
  readonly texts: HeadTexts;
  ageSeconds: number;
  ttlSeconds: number;
  atSecond: number;
  answers: Record<Hit["kind"], PreparedAnswer | undefined>;
}

/** A head in parts: what is between and after them changes. */
interface HeadText {
  readonly beforeTtl: string;
  /** Whether Age and ttl come next. */
  readonly isAged: boolean;
  /** Whether Date is ours to say. */
  readonly isUndated: boolean;
}

export class PreparedHits {
  /** As long as the store has the response. */
  readonly #texts = new WeakMap<Hit["stored"], HeadTexts>();
  /** Of this second: those of another are of no use. */
  readonly #prepared = new Map<Hit["stored"], Prepared>();
  readonly #tallies: SiteTallies | undefined;
  #bytes = 0;
  #second = 0;

  constructor(tallies?: SiteTallies) {
    this.#tallies = tallies;
  }

  /** `undefined` where a field has a character that no byte stands for. */
  answer(hit: Hit, nowMs: number): PreparedAnswer | undefined {
    const { kind } = hit;
    const [ageSeconds, ttlSeconds] = "ageSeconds" in hit ? [hit.ageSeconds, hit.ttlSeconds] : [0, 0];
    const atSecond = Math.floor(nowMs / 1000);
    if (atSecond !== this.#second) this.#clear(atSecond);
    const prepared = this.#prepared.get(hit.stored) ?? this.#add(hit.stored);
    if (prepared.ageSeconds !== ageSeconds || prepared.ttlSeconds !== ttlSeconds || prepared.atSecond !== atSecond) {
      Object.assign(prepared, { ageSeconds, ttlSeconds, atSecond, answers: emptyByKind() });
    }
    return prepared.answers[kind] ?? this.#make(prepared, hit, nowMs);
  }

  #add(stored: Hit["stored"]): Prepared {
    const { byteLength } = stored.body;
    const bytes = ENTRY_BYTES + byteLength + Math.min(byteLength, COPIED_BODY_BYTES_MAX);
    if (this.#bytes + bytes > PREPARED_BYTES_MAX) this.#clear(this.#second);
    const texts = this.#texts.get(stored) ?? emptyByKind<HeadText>();
    this.#texts.set(stored, texts);
    const times = { ageSeconds: -1, ttlSeconds: -1, atSecond: -1 };
    const prepared = { texts, ...times, answers: emptyByKind<PreparedAnswer>() };
    this.#prepared.set(stored, prepared);
    this.#bytes += bytes;
    return prepared;
  }

  #clear(second: number): void {
    this.#prepared.clear();
    this.#bytes = 0;
    this.#second = second;
  }

  #make(prepared: Prepared, hit: Hit, nowMs: number): PreparedAnswer | undefined {
    const { kind } = hit;
    const text = prepared.texts[kind] ?? headTextOf(hit);
    if (text === undefined) return undefined;
    prepared.texts[kind] = text;
    const answer = answerOf(headOf(text, prepared, nowMs), hit, this.#tallies?.of(hit.stored.site));
    prepared.answers[kind] = answer;
    return answer;
  }
}

function emptyByKind<T>(): Record<Hit["kind"], T | undefined> {
  return { whole: undefined, head: undefined, "not-modified": undefined };
}

/** What node:http would not write, or write otherwise than as one byte a character. */
const NOT_BYTES = /[^\t\x20-\x7e\x80-\xff]/;

function isPublished(
  stored: Hit["stored"],
): stored is (PublishedObject | KeptResponse) & Pick<PublishedObject, "heads"> {
  return stored.heads !== undefined;
}

function headTextOf({ stored, kind }: Hit): HeadText | undefined {
  const isModified = kind !== "not-modified";
  if (isPublished(stored)) return textOf(stored.heads[isModified ? "whole" : "not-modified"]);
  const head = isModified ? wholeHead(stored) : notModifiedHead(stored);
  return textOf(head, `cache-status: ${head.earlierStatus}${hitStatus(0).slice(0, -1)}`);
}

/** `own` is the line that Age and ttl come after. */
function textOf({ status, raw }: PublishedHead, own?: string): HeadText | undefined {
  const fields = raw.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${raw[index + 1]}`] : []));
  const lines = own === undefined ? fields : [...fields, own];
  const isUndated = !raw.some((name, index) => index % 2 === 0 && name === "date");
  if (lines.some((line) => NOT_BYTES.test(line))) return undefined;
  const beforeTtl = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines].join("\r\n");
  return { beforeTtl, isUndated, isAged: own !== undefined };
}

/** In the order and the words of node:http. */
function headOf({ beforeTtl, isUndated, isAged }: HeadText, { ttlSeconds, ageSeconds }: Prepared, nowMs: number) {
  const age = isAged ? `${ttlSeconds}\r\nage: ${ageSeconds}` : "";
  const date = isUndated ? `Date: ${formatHttpDate(nowMs)}\r\n` : "";
  return `${beforeTtl}${age}\r\n${date}Connection: keep-alive\r\n\r\n`;
}

function answerOf(head: string, { kind, body, stored }: Hit, tally: SiteTally | undefined): PreparedAnswer {
  const status = kind === "not-modified" ? 304 : stored.status;
  const contentBytes = kind === "whole" ? body.byteLength : 0;
  const isCopied = contentBytes <= COPIED_BODY_BYTES_MAX;
  const bytes = Buffer.allocUnsafeSlow(head.length + (isCopied ? contentBytes : 0));
  bytes.write(head, "latin1");
  if (isCopied && contentBytes > 0) bytes.set(body, head.length);
  const logText = answerText({ status, bytes: contentBytes, cache: "hit" });
  const logBytes = plainAfter(logText);
  return {
    status,
    contentBytes,
    isPublished: isPublished(stored),
    logText,
    logBytes,
    bytes,
    body: isCopied ? undefined : body,
    tally,
    statusSlot: statusSlotOf(status),
  };
}
