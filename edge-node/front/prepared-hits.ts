/** Answers to hits as bytes, made once for all requests of a second: a head that only Age and ttl change, and the body. */
import { STATUS_CODES } from "node:http";
import { formatHttpDate } from "#domain/http/date.ts";
import { answerText, plainAfter } from "../access-log/access-line.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import { type HitHead, hitStatus, notModifiedHead, wholeHead } from "./hit-head.ts";

/** A larger body is sent from where it is: to copy it costs more than a second buffer in the write. */
const COPIED_BODY_BYTES_MAX = 64 * 1024;
/** What prepared answers hold of memory, the bodies that they belong to included, since the store may have evicted those. */
const PREPARED_BYTES_MAX = 8 * 1024 * 1024;
/** What an entry takes beside its bytes: some objects and strings. */
const ENTRY_BYTES = 1_024;

export interface Hit {
  readonly stored: StoredResponse;
  readonly body: Uint8Array;
  readonly kind: "whole" | "head" | "not-modified";
  /** Whole seconds. */
  readonly ageSeconds: number;
  readonly ttlSeconds: number;
}

/** The bytes of an answer; `body` comes after them where it is not among them. */
export interface PreparedAnswer {
  readonly status: number;
  readonly contentBytes: number;
  /** Of the access log. */
  readonly logText: string;
  readonly logBytes: Uint8Array;
  readonly bytes: Buffer;
  readonly body: Uint8Array | undefined;
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
  /** Whether Date is ours to say. */
  readonly isUndated: boolean;
}

export class PreparedHits {
  /** As long as the store has the response. */
  readonly #texts = new WeakMap<StoredResponse, HeadTexts>();
  /** Of this second: those of another are of no use. */
  readonly #prepared = new Map<StoredResponse, Prepared>();
  #bytes = 0;
  #second = 0;

  /** `undefined` where a field has a character that no byte stands for. */
  answer(hit: Hit, nowMs: number): PreparedAnswer | undefined {
    const { ageSeconds, ttlSeconds, kind } = hit;
    const atSecond = Math.floor(nowMs / 1000);
    if (atSecond !== this.#second) this.#clear(atSecond);
    const prepared = this.#prepared.get(hit.stored) ?? this.#add(hit.stored);
    if (prepared.ageSeconds !== ageSeconds || prepared.ttlSeconds !== ttlSeconds || prepared.atSecond !== atSecond) {
      Object.assign(prepared, { ageSeconds, ttlSeconds, atSecond, answers: emptyByKind() });
    }
    return prepared.answers[kind] ?? this.#make(prepared, hit, nowMs);
  }

  #add(stored: StoredResponse): Prepared {
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
    const { kind, stored } = hit;
    const text =
      prepared.texts[kind] ?? headTextOf(kind === "not-modified" ? notModifiedHead(stored) : wholeHead(stored));
    if (text === undefined) return undefined;
    prepared.texts[kind] = text;
    const answer = answerOf(headOf(text, hit, nowMs), hit);
    prepared.answers[kind] = answer;
    return answer;
  }
}

function emptyByKind<T>(): Record<Hit["kind"], T | undefined> {
  return { whole: undefined, head: undefined, "not-modified": undefined };
}

/** What node:http would not write, or write otherwise than as one byte a character. */
const NOT_BYTES = /[^\t\x20-\x7e\x80-\xff]/;

function headTextOf({ status, raw, earlierStatus }: HitHead): HeadText | undefined {
  const lines = raw.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${raw[index + 1]}`] : []));
  const isUndated = !raw.some((name, index) => index % 2 === 0 && name === "date");
  const own = `cache-status: ${earlierStatus}${hitStatus(0).slice(0, -1)}`;
  if ([...lines, own].some((line) => NOT_BYTES.test(line))) return undefined;
  return { beforeTtl: [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines, own].join("\r\n"), isUndated };
}

/** In the order and the words of node:http. */
function headOf({ beforeTtl, isUndated }: HeadText, { ttlSeconds, ageSeconds }: Hit, nowMs: number): string {
  const date = isUndated ? `Date: ${formatHttpDate(nowMs)}\r\n` : "";
  return `${beforeTtl}${ttlSeconds}\r\nage: ${ageSeconds}\r\n${date}Connection: keep-alive\r\n\r\n`;
}

function answerOf(head: string, { kind, body, stored }: Hit): PreparedAnswer {
  const status = kind === "not-modified" ? 304 : stored.status;
  const contentBytes = kind === "whole" ? body.byteLength : 0;
  const isCopied = contentBytes <= COPIED_BODY_BYTES_MAX;
  const bytes = Buffer.allocUnsafeSlow(head.length + (isCopied ? contentBytes : 0));
  bytes.write(head, "latin1");
  if (isCopied && contentBytes > 0) bytes.set(body, head.length);
  const logText = answerText({ status, bytes: contentBytes, cache: "hit" });
  const logBytes = plainAfter(logText);
  return { status, contentBytes, logText, logBytes, bytes, body: isCopied ? undefined : body };
}
