/** Keeps encoded variants of stored responses: each made once, behind the answers, and found by whoever accepts its coding. */
import { hash, webcrypto } from "node:crypto";
import { COMPRESSED_RATIO_MAX } from "#domain/content/compressible.ts";
import { parseCacheControl } from "#domain/http/cache-control.ts";
import {
  CONTENT_CODINGS,
  type ContentCoding,
  negotiateEncoding,
  withVaryOnEncoding,
} from "#domain/http/content-coding.ts";
import { type Fields, fieldValue } from "#domain/http/fields.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import { encodeContent } from "#platform/content-coding.ts";
import type { ResponseStore } from "../store/response-store.ts";
import { cacheKeyOf, type StoredResponse } from "../store/stored-response.ts";
import { decideCompression, encodedHead, isEncodingOf, sliceOf, withEncoding } from "./encoded-response.ts";
import { type EncodingJob, EncodingJobs } from "./encoding-jobs.ts";
import type { CompressionEvents } from "./events.ts";

/** User agents differ in some ways to say what they decode. */
const WISHES_MAX = 256;

export interface CompressorOptions {
  readonly store: Pick<ResponseStore, "find" | "findInMemory" | "begin">;
  readonly events: CompressionEvents;
}

/** What is known of content while it is in memory. */
interface Known {
  readonly digest: string;
  /** What does not make it smaller, or failed. */
  readonly without: Set<ContentCoding>;
}

/** A response that a coding may be chosen for, and which. */
interface Choice {
  readonly stored: StoredResponse;
  readonly content: Uint8Array;
  readonly request: Fields;
  readonly coding: ContentCoding;
}

export class Compressor {
  readonly #options: CompressorOptions;
  readonly #jobs = new EncodingJobs((job) => this.#make(job));
  readonly #wishes = new BoundedMap<string, ContentCoding | "identity">({ entriesMax: WISHES_MAX });
  readonly #known = new WeakMap<Uint8Array, Known>();
  readonly #worth = new WeakMap<Fields, boolean>();
  /** By encoded variant, or by the response that goes out as it is: an answer is put together once. */
  readonly #answers = new WeakMap<StoredResponse, { readonly of: StoredResponse; readonly answer: StoredResponse }>();

  constructor(options: CompressorOptions) {
    this.#options = options;
  }

  /** What a stored response is to a request: an encoded variant, or itself; what is lacking is made behind it. */
  select(stored: StoredResponse, request: Fields): StoredResponse | Promise<StoredResponse> {
    const chosen = this.#choose(stored, request);
    if ("answer" in chosen) return chosen.answer;
    const digest = this.#known.get(chosen.content)?.digest;
    if (digest === undefined) return this.#lacking(chosen);
    const found = this.#options.store.find(cacheKeyOf(stored), request, sliceOf(chosen.coding));
    return found instanceof Promise
      ? found.then((encoded) => this.#encoded(chosen, encoded, digest) ?? this.#lacking(chosen))
      : (this.#encoded(chosen, found, digest) ?? this.#lacking(chosen));
  }

  /** The same of what is in memory; `undefined` where `select` has to be asked. */
  selectInMemory(stored: StoredResponse, request: Fields): StoredResponse | undefined {
    const chosen = this.#choose(stored, request);
    if ("answer" in chosen) return chosen.answer;
    const digest = this.#known.get(chosen.content)?.digest;
    if (digest === undefined) return undefined;
    const found = this.#options.store.findInMemory(cacheKeyOf(stored), request, sliceOf(chosen.coding));
    return this.#encoded(chosen, found, digest);
  }

  /** The fields of a response that arrives: whoever gets it may get another variant later. */
  announced(head: Pick<StoredResponse, "status" | "slice" | "fields">): Fields {
    const length = fieldValue(head.fields, "content-length");
    const { kind } = decideCompression(head, length === undefined ? undefined : Number(length));
    return kind === "compress" ? withVaryOnEncoding(head.fields) : head.fields;
  }

  /** Resolves when nothing is being made. */
  settled(): Promise<void> {
    return this.#jobs.settled();
  }

  #choose(stored: StoredResponse, request: Fields): Choice | { readonly answer: StoredResponse } {
    const { body: content } = stored;
    if (!(content instanceof Uint8Array) || !this.#isWorth(stored)) return { answer: stored };
    const coding = this.#codingFor(request);
    if (coding === "identity" || this.#known.get(content)?.without.has(coding) === true)
      return { answer: this.#plain(stored) };
    return { stored, content, request, coding };
  }

  #isWorth(stored: StoredResponse): boolean {
    const known = this.#worth.get(stored.fields);
    if (known !== undefined) return known;
    const isWorth = decideCompression(stored, stored.body.byteLength).kind === "compress";
    this.#worth.set(stored.fields, isWorth);
    return isWorth;
  }

  #codingFor(request: Fields): ContentCoding | "identity" {
    const wish = fieldValue(request, "accept-encoding");
    if (wish === undefined || isTransformRefused(request)) return "identity";
    const known = this.#wishes.peek(wish);
    if (known !== undefined) return known;
    const coding = negotiateEncoding(wish, CONTENT_CODINGS);
    this.#wishes.set(wish, coding);
    return coding;
  }

  /** `undefined` for a variant of other content. */
  #encoded(
    { stored, coding }: Choice,
    encoded: StoredResponse | undefined,
    digest: string,
  ): StoredResponse | undefined {
    if (encoded === undefined) return undefined;
    const made = this.#answers.get(encoded);
    if (made?.of === stored) return made.answer;
    if (!isEncodingOf(encoded, digest)) return undefined;
    const answer = withEncoding(stored, encoded, coding);
    this.#answers.set(encoded, { of: stored, answer });
    return answer;
  }

  #lacking({ stored, content, request, coding }: Choice): StoredResponse {
    if (!this.#jobs.has(content, coding)) {
      const job = { stored, content, coding, request: variedFields(stored, request) };
      if (!this.#jobs.add(job)) this.#options.events.skipped();
    }
    return this.#plain(stored);
  }

  #plain(stored: StoredResponse): StoredResponse {
    const made = this.#answers.get(stored);
    if (made !== undefined) return made.answer;
    const fields = withVaryOnEncoding(stored.fields);
    const answer = fields === stored.fields ? stored : { ...stored, fields };
    this.#answers.set(stored, { of: stored, answer });
    return answer;
  }

  async #make(job: EncodingJob): Promise<void> {
    const { content, coding } = job;
    try {
      const known = this.#known.get(content) ?? (await this.#learn(content));
      if (!(await this.#store(job, known.digest))) known.without.add(coding);
    } catch (error) {
      this.#known.get(content)?.without.add(coding);
      this.#options.events.failed(error);
    }
  }

  /** Not again where it is on disk from before; false where it is not worth it. */
  async #store({ stored, content, coding, request }: EncodingJob, digest: string): Promise<boolean> {
    const { store, events } = this.#options;
    const found = await store.find(cacheKeyOf(stored), request, sliceOf(coding));
    if (found !== undefined && isEncodingOf(found, digest)) return true;
    const encoded = await encodeContent(coding, content, "live");
    events.compressed(coding, { from: content.byteLength, to: encoded.byteLength });
    if (encoded.byteLength > content.byteLength * COMPRESSED_RATIO_MAX) return false;
    const encodedDigest = hash("sha256", encoded, "base64url");
    const storing = store.begin(encodedHead(stored, { coding, digest, encodedDigest }), () => true);
    storing.write(encoded);
    await storing.finish();
    return true;
  }

  /** On a thread of its own: a digest of some megabytes takes milliseconds. */
  async #learn(content: Uint8Array): Promise<Known> {
    const digest = await webcrypto.subtle.digest("SHA-256", new Uint8Array(content));
    const known = { digest: Buffer.from(digest).toString("base64url"), without: new Set<ContentCoding>() };
    this.#known.set(content, known);
    return known;
  }
}

/** A copy: those of a request are of another one later. */
function variedFields({ varyNames }: StoredResponse, request: Fields): Fields {
  return new Map(varyNames.flatMap((name) => (request.has(name) ? [[name, request.get(name) ?? []] as const] : [])));
}

/** RFC 9111 section 5.2.1.6. */
function isTransformRefused(request: Fields): boolean {
  const asked = request.has("cache-control") ? fieldValue(request, "cache-control") : undefined;
  return asked !== undefined && parseCacheControl(asked).has("no-transform");
}
