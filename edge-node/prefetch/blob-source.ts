/** Blobs from an origin's delivery listener over mutual TLS (HTTPS), from an offset on; one that fails gives way to the next. */
import type { IncomingMessage } from "node:http";
import { Agent, type RequestOptions, request } from "node:https";
import { assert } from "#domain/assert.ts";
import type { Digest } from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import type { ClientTls } from "#platform/grpc/client.ts";
import type { BlobBytes } from "../published/blob-folder.ts";

/** Fills a path of 60 ms with objects of some kilobytes; more waits in the fetcher. */
export const DELIVERY_CONNECTIONS_MAX = 16;
/** To the head of the answer, and between two parts of a body. */
const HEAD_MS_MAX = 10_000;
const IDLE_MS_MAX = 10_000;

export interface BlobSourceOptions {
  /** Of the origins that are known, the one to ask first first: one at least. */
  readonly addresses: () => readonly Address[];
  /** Asked at each request: the certificate changes while the process runs. */
  readonly tls: () => ClientTls;
  readonly clock: Clock;
}

interface Wanted {
  readonly digest: Digest;
  readonly offset: number;
  /** Not included; to the end of the blob unless said. */
  readonly end: number | undefined;
  readonly signal: AbortSignal;
}

export class BlobSource implements Disposable {
  readonly #options: BlobSourceOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: DELIVERY_CONNECTIONS_MAX });

  /** As texts. Those that failed since one did not; no more than are known. */
  readonly #failed = new Set<string>();

  constructor(options: BlobSourceOptions) {
    this.#options = options;
  }

  /** Throws `not-found`, or `unavailable`, retryable. */
  async open(digest: Digest, offset: number, signal: AbortSignal, end?: number): Promise<BlobBytes> {
    const address = this.#choose();
    const tellFailed = (): void => {
      if (!signal.aborted) this.#failed.add(formatAddress(address));
    };
    const response = await this.#request(address, { digest, offset, end, signal }).catch((error: unknown) => {
      tellFailed();
      throw error;
    });
    const { statusCode = 0 } = response;
    if (statusCode === 200) return { offset: 0, bytes: bodyOf(response, digest, tellFailed) };
    if (statusCode === 206 && startsAt(response, offset))
      return { offset, bytes: bodyOf(response, digest, tellFailed) };
    response.destroy();
    tellFailed();
    if (statusCode === 404) throw new Failure("not-found", `blob ${digest} is not at the origin`, { retryable: true });
    throw new Failure("unavailable", `blob ${digest}: the origin answered ${statusCode}`, { retryable: true });
  }

  /** Once all have failed, all are worth a try. */
  #choose(): Address {
    const known = new Map(this.#options.addresses().map((address) => [formatAddress(address), address]));
    for (const text of [...this.#failed]) if (!known.has(text)) this.#failed.delete(text);
    if (this.#failed.size === known.size) this.#failed.clear();
    const address = [...known].find(([text]) => !this.#failed.has(text))?.[1];
    assert(address !== undefined, "an edge knows an origin");
    return address;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  #request(address: Address, { digest, offset, end, signal }: Wanted): Promise<IncomingMessage> {
    const { tls, clock } = this.#options;
    const { authoritiesPem, own, serverName } = tls();
    const giveUp = new AbortController();
    const options: RequestOptions = {
      ...address,
      path: `/v1/blobs/${digest}`,
      headers:
        offset === 0 && end === undefined ? {} : { range: `bytes=${offset}-${end === undefined ? "" : end - 1}` },
      agent: this.#agent,
      timeout: IDLE_MS_MAX,
      ca: authoritiesPem,
      servername: serverName,
      signal: AbortSignal.any([signal, giveUp.signal]),
      ...(own === undefined ? {} : { key: own.keyPem, cert: own.chainPem }),
    };
    return new Promise((resolve, reject) => {
      const late = clock.timer(HEAD_MS_MAX, () => giveUp.abort());
      request(options, (response) => {
        late[Symbol.dispose]();
        resolve(response);
      })
        .once("timeout", () => giveUp.abort())
        .once("error", (cause) => {
          late[Symbol.dispose]();
          const message = `blob ${digest}: the origin at ${formatAddress(address)} cannot be reached`;
          reject(new Failure("unavailable", message, { cause, retryable: true }));
        })
        .end();
    });
  }
}

function startsAt({ headers }: IncomingMessage, offset: number): boolean {
  return headers["content-range"]?.startsWith(`bytes ${offset}-`) ?? false;
}

async function* bodyOf(response: IncomingMessage, digest: Digest, onBroken: () => void): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response) yield chunk;
  } catch (cause) {
    onBroken();
    throw new Failure("unavailable", `blob ${digest}: the transfer broke off`, { cause, retryable: true });
  }
}
