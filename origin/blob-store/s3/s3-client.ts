/** The five requests to S3 that the blob store makes, signed, each tried again where the store says that it may pass. */
import { createHash } from "node:crypto";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { type RetryPolicy, retry } from "#platform/concurrency/retry.ts";
import type { Random } from "#platform/random.ts";
import { encodePath, encodeQuery, type S3Credentials, signRequest } from "./signature.ts";

/** Without a byte either way; a store in trouble says so sooner. */
const S3_IDLE_MS_MAX = 30_000;
const S3_SOCKETS_MAX = 64;
/** Of an answer that is text: a list of a thousand keys has 400 KB. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const AGAIN: RetryPolicy = { attemptsMax: 4, baseMs: 100, capMs: 2_000 };
const EMPTY_DIGEST = createHash("sha256").digest("hex");

export interface S3ClientOptions extends S3Credentials {
  /** `https://host[:port]`; the bucket comes in the path. */
  readonly endpoint: string;
  readonly bucket: string;
  /** PEM of who signed the store's certificate, where that is no public authority. */
  readonly authoritiesPem?: string;
  readonly clock: Clock;
  readonly random: Random;
}

export interface S3Object {
  readonly key: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

export interface S3Content {
  readonly sizeBytes: number;
  readonly sha256: string;
  /** Anew for each try. */
  readonly open: () => Readable;
}

interface Request {
  readonly method: "GET" | "HEAD" | "PUT" | "DELETE";
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly range?: string;
  readonly content?: S3Content;
}

export class S3Client implements Disposable {
  readonly #options: S3ClientOptions;
  readonly #url: URL;
  readonly #agent: http.Agent;

  constructor(options: S3ClientOptions) {
    const url = URL.canParse(options.endpoint) ? new URL(options.endpoint) : undefined;
    if (url === undefined || !["http:", "https:"].includes(url.protocol) || url.pathname !== "/") {
      throw new Failure(
        "config-invalid",
        `blobs.s3.endpoint: expected http(s)://host[:port], got "${options.endpoint}"`,
      );
    }
    const pool = { keepAlive: true, maxSockets: S3_SOCKETS_MAX, timeout: S3_IDLE_MS_MAX };
    const ca = options.authoritiesPem === undefined ? {} : { ca: options.authoritiesPem };
    this.#options = options;
    this.#url = url;
    this.#agent = url.protocol === "https:" ? new https.Agent({ ...pool, ...ca }) : new http.Agent(pool);
  }

  /** `undefined` where there is none. */
  async findSize(key: string): Promise<number | undefined> {
    const response = await this.#ask({ method: "HEAD", key }, [200, 404]);
    response.resume();
    return response.statusCode === 404 ? undefined : Number(response.headers["content-length"]);
  }

  async put(key: string, content: S3Content): Promise<void> {
    (await this.#ask({ method: "PUT", key, content }, [200])).resume();
  }

  /** The answer's content, as it comes; what breaks off ends with an error. Throws `not-found`. */
  async get(key: string, range?: string): Promise<Readable> {
    const expected = range === undefined ? 200 : 206;
    return await this.#ask({ method: "GET", key, ...(range === undefined ? {} : { range }) }, [expected]);
  }

  /** Nothing where it is gone already. */
  async delete(key: string): Promise<void> {
    (await this.#ask({ method: "DELETE", key }, [200, 204, 404])).resume();
  }

  /** All keys that begin so, in order, page by page. */
  async *list(prefix: string): AsyncGenerator<S3Object> {
    for (let token: string | undefined; ; ) {
      const page = await this.listPage(prefix, token);
      yield* page.objects;
      if (page.next === undefined) return;
      token = page.next;
    }
  }

  async listPage(prefix: string, token?: string): Promise<{ objects: readonly S3Object[]; next: string | undefined }> {
    const query = { "list-type": "2", prefix, ...(token === undefined ? {} : { "continuation-token": token }) };
    return parseList(await textOf(await this.#ask({ method: "GET", key: "", query }, [200])));
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  #ask(request: Request, expected: readonly number[]): Promise<IncomingMessage> {
    const { clock, random } = this.#options;
    const signal = new AbortController().signal;
    return retry(AGAIN, { clock, random, signal }, async () => {
      const response = await this.#send(request);
      if (expected.includes(response.statusCode ?? 0)) return response;
      throw refusal(request.key, response.statusCode ?? 0, request.method === "HEAD" ? "" : await textOf(response));
    });
  }

  async #send({ method, key, query = {}, range, content }: Request): Promise<IncomingMessage> {
    const path = `/${this.#options.bucket}/${key}`;
    const unsigned = {
      ...{ method, path, query, contentDigest: content?.sha256 ?? EMPTY_DIGEST },
      fields: { host: this.#url.host, ...(range === undefined ? {} : { range }) },
    };
    const signed = signRequest(unsigned, this.#options, this.#options.clock.nowMs());
    const search = encodeQuery(query);
    const { protocol, hostname, port } = this.#url;
    const request = (protocol === "https:" ? https : http).request({
      ...{ method, hostname: hostname.replace(/^\[|\]$/g, ""), port, agent: this.#agent, timeout: S3_IDLE_MS_MAX },
      path: search === "" ? encodePath(path) : `${encodePath(path)}?${search}`,
      headers: { ...signed, ...(method === "PUT" ? { "content-length": content?.sizeBytes ?? 0 } : {}) },
    });
    request.once("timeout", () => request.destroy(new Error(`silent for ${S3_IDLE_MS_MAX / 1000} s`)));
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", resolve).once("error", reject);
    });
    try {
      // A store that refuses answers before it has read everything: its words say more than the broken pipe.
      if (content === undefined) request.end();
      else pipeline(content.open(), request).catch((error: unknown) => request.destroy(asError(error)));
      return await answered;
    } catch (error) {
      throw new Failure("unavailable", `S3 at ${this.#options.endpoint}: ${asError(error).message}`, {
        cause: error,
        retryable: true,
      });
    }
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** With a bound: an answer is not trusted to be short. */
async function textOf(response: IncomingMessage): Promise<string> {
  let bytes = 0;
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.byteLength;
    if (bytes > ANSWER_BYTES_MAX) response.destroy(new Error(`its answer has more than ${ANSWER_BYTES_MAX} bytes`));
  });
  try {
    return await text(response);
  } catch (error) {
    throw new Failure("unavailable", `S3: ${asError(error).message}`, { cause: error, retryable: true });
  }
}

const CODE_BY_S3_ERROR: Readonly<Record<string, Failure["code"]>> = {
  AccessDenied: "permission-denied",
  InvalidAccessKeyId: "permission-denied",
  NoSuchBucket: "config-invalid",
  NoSuchKey: "not-found",
  RequestTimeTooSkewed: "permission-denied",
  SignatureDoesNotMatch: "permission-denied",
  // Versity's gateway says so for InvalidAccessKeyId.
  XAdminUserNotFound: "permission-denied",
  XAmzContentSHA256Mismatch: "digest-mismatch",
};

const REMEDY_BY_S3_ERROR: Readonly<Record<string, string>> = {
  AccessDenied: "allow the key to list the bucket, and to read, write and delete in it",
  InvalidAccessKeyId: "check blobs.s3.accessKeyId",
  NoSuchBucket: "make it, or check blobs.s3.bucket",
  RequestTimeTooSkewed: "set this machine's clock right",
  XAdminUserNotFound: "check blobs.s3.accessKeyId",
  SignatureDoesNotMatch: "check blobs.s3.secretKeyFile and blobs.s3.region",
};

function refusal(key: string, status: number, body: string): Failure {
  const error = elementOf(body, "Code") ?? "";
  const remedy = REMEDY_BY_S3_ERROR[error];
  const words = [`S3 answered ${status}`, error, elementOf(body, "Message")].filter(Boolean).join(" ");
  const message = `${key === "" ? "the bucket" : key}: ${words}${remedy === undefined ? "" : `: ${remedy}`}`;
  const isTransient = status >= 500 || status === 429;
  const byStatus = status === 403 ? "permission-denied" : status === 404 ? "not-found" : "storage-failed";
  const code = CODE_BY_S3_ERROR[error] ?? (isTransient ? "unavailable" : byStatus);
  return new Failure(code, message, { retryable: isTransient });
}

function parseList(body: string): { objects: readonly S3Object[]; next: string | undefined } {
  if (!body.includes("<ListBucketResult"))
    throw new Failure("storage-failed", "S3 answered a list with something else");
  const objects = [...body.matchAll(/<Contents>(.*?)<\/Contents>/gs)].map(([, item = ""]) => ({
    key: elementOf(item, "Key") ?? "",
    sizeBytes: Number(elementOf(item, "Size")),
    modifiedMs: Date.parse(elementOf(item, "LastModified") ?? ""),
  }));
  const isLast = elementOf(body, "IsTruncated") !== "true";
  return { objects, next: isLast ? undefined : elementOf(body, "NextContinuationToken") };
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** The text of the first element of that name: the answers have no attributes and no nesting of one name. */
function elementOf(xml: string, name: string): string | undefined {
  const content = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return content?.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, entity) => {
    if (entity !== undefined) return ENTITIES[entity] ?? whole;
    return String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16));
  });
}

/** Whether the bucket is there and the key may list it. Throws `config-invalid`, `permission-denied`, `unavailable`. */
export async function checkBucket(client: S3Client, prefix: string): Promise<void> {
  try {
    await client.listPage(`${prefix}held/`);
  } catch (error) {
    if (isFailure(error, "not-found")) throw new Failure("config-invalid", error.message, { cause: error });
    throw error;
  }
}
