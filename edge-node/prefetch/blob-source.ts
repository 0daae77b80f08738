/** Blobs from the origin's delivery listener over mutual TLS (HTTPS), from an offset on. */
import type { IncomingMessage } from "node:http";
import { Agent, type RequestOptions, request } from "node:https";
import type { Digest } from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import type { Address } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import type { ClientTls } from "#platform/grpc/client.ts";
import type { BlobBytes } from "../published/blob-folder.ts";

/** Fills a path of 60 ms with objects of some kilobytes; more waits in the fetcher. */
export const DELIVERY_CONNECTIONS_MAX = 16;
/** To the head of the answer, and between two parts of a body. */
const HEAD_MS_MAX = 10_000;
const IDLE_MS_MAX = 10_000;

export interface BlobSourceOptions {
  readonly address: Address;
  /** Asked at each request: the certificate changes while the process runs. */
  readonly tls: () => ClientTls;
  readonly clock: Clock;
}

export class BlobSource implements Disposable {
  readonly #options: BlobSourceOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: DELIVERY_CONNECTIONS_MAX });

  constructor(options: BlobSourceOptions) {
    this.#options = options;
  }

  /** Throws `not-found`, or `unavailable`, retryable. */
  async open(digest: Digest, offset: number, signal: AbortSignal): Promise<BlobBytes> {
    const response = await this.#request(digest, offset, signal);
    const { statusCode = 0 } = response;
    if (statusCode === 200) return { offset: 0, bytes: bodyOf(response, digest) };
    if (statusCode === 206 && startsAt(response, offset)) return { offset, bytes: bodyOf(response, digest) };
    response.destroy();
    if (statusCode === 404) throw new Failure("not-found", `blob ${digest} is not at the origin`, { retryable: true });
    throw new Failure("unavailable", `blob ${digest}: the origin answered ${statusCode}`, { retryable: true });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  #request(digest: Digest, offset: number, parent: AbortSignal): Promise<IncomingMessage> {
    const { address, tls, clock } = this.#options;
    const { authoritiesPem, own, serverName } = tls();
    const giveUp = new AbortController();
    const options: RequestOptions = {
      ...address,
      path: `/v1/blobs/${digest}`,
      headers: offset === 0 ? {} : { range: `bytes=${offset}-` },
      agent: this.#agent,
      timeout: IDLE_MS_MAX,
      ca: authoritiesPem,
      servername: serverName,
      signal: AbortSignal.any([parent, giveUp.signal]),
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
          reject(
            new Failure("unavailable", `blob ${digest}: the origin cannot be reached`, { cause, retryable: true }),
          );
        })
        .end();
    });
  }
}

function startsAt({ headers }: IncomingMessage, offset: number): boolean {
  return headers["content-range"]?.startsWith(`bytes ${offset}-`) ?? false;
}

async function* bodyOf(response: IncomingMessage, digest: Digest): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response) yield chunk;
  } catch (cause) {
    throw new Failure("unavailable", `blob ${digest}: the transfer broke off`, { cause, retryable: true });
  }
}
