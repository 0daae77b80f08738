/** The fast lane: answers a simple request at once where a fresh whole response is in memory, or leaves it. */
import type { Socket } from "node:net";
import type { Fields } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import { parseWebOrigin, type Scheme } from "../request/edge-request.ts";
import { HeadFields } from "./head-fields.ts";
import { type Hit, PreparedHits } from "./prepared-hits.ts";
import type { SimpleHead, Span } from "./request-head.ts";

/** What a simple request asks for. */
export interface LaneRequest {
  /** At the other end of the connection. */
  readonly remoteAddress: string;
  readonly webOrigin: string;
  readonly host: string;
  readonly target: string;
  readonly isHead: boolean;
  readonly ifNoneMatch: string | undefined;
  readonly ifModifiedSince: string | undefined;
  /** Of this request while it is being answered, of another after. */
  readonly fields: Fields;
}

/** Decides; whatever the flow of the site would not answer at once in just this way is `undefined`. */
export interface HitFinder {
  find(request: LaneRequest, nowMs: number): Hit | undefined;
}

export interface FastLaneOptions {
  readonly finder: HitFinder;
  readonly clock: Clock;
  readonly onServed: (status: number, contentBytes: number) => void;
}

export class FastLane {
  readonly #options: FastLaneOptions;
  readonly #prepared = new PreparedHits();

  constructor(options: FastLaneOptions) {
    this.#options = options;
  }

  /** False where nothing was written. */
  answer(client: LaneClient, bytes: Buffer, head: SimpleHead): boolean {
    const { finder, clock, onServed } = this.#options;
    const request = client.requestOf(bytes, head);
    if (request === undefined) return false;
    const nowMs = clock.nowMs();
    const hit = finder.find(request, nowMs);
    const answer = hit && this.#prepared.answer(hit, nowMs);
    if (hit === undefined || answer === undefined) return false;
    const { socket } = client;
    if (answer.body === undefined) socket.write(answer.bytes);
    else {
      socket.cork();
      socket.write(answer.bytes);
      socket.write(answer.body);
      socket.uncork();
    }
    onServed(answer.status, answer.contentBytes);
    return true;
  }
}

/** Text that a connection repeats from request to request, with the bytes that it was made of. */
class Repeated {
  #bytes: Uint8Array = Buffer.alloc(0);
  text = "";

  /** Whether it is another than before. */
  take(bytes: Buffer, { from, to }: Span): boolean {
    if (isSame(bytes, from, to, this.#bytes)) return false;
    this.#bytes = Buffer.from(bytes.subarray(from, to));
    this.text = bytes.toString("latin1", from, to);
    return true;
  }
}

function isSame(bytes: Uint8Array, from: number, to: number, other: Uint8Array): boolean {
  if (to - from !== other.byteLength) return false;
  for (let index = 0; index < other.byteLength; index += 1) if (bytes[from + index] !== other[index]) return false;
  return true;
}

/** The end of a connection that asks, with what it repeats. */
export class LaneClient {
  readonly socket: Socket;
  readonly #remoteAddress: string;
  readonly #scheme: Scheme;
  readonly #host = new Repeated();
  readonly #fields = new HeadFields();
  #webOrigin: string | undefined;

  constructor(socket: Socket, scheme: Scheme) {
    this.socket = socket;
    this.#remoteAddress = socket.remoteAddress ?? "";
    this.#scheme = scheme;
  }

  requestOf(bytes: Buffer, head: SimpleHead): LaneRequest | undefined {
    if (this.#host.take(bytes, head.host)) this.#webOrigin = webOriginOf(this.#scheme, this.#host.text);
    if (this.#webOrigin === undefined) return undefined;
    this.#fields.set(bytes, head);
    return {
      remoteAddress: this.#remoteAddress,
      webOrigin: this.#webOrigin,
      host: this.#host.text,
      target: bytes.toString("latin1", head.target.from, head.target.to),
      isHead: head.isHead,
      ifNoneMatch: textOf(bytes, head.ifNoneMatch),
      ifModifiedSince: textOf(bytes, head.ifModifiedSince),
      fields: this.#fields,
    };
  }
}

/** Hosts that need no quoting in JSON, and no change to be compared. */
const PLAIN_HOST = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]+)?$/;

function webOriginOf(scheme: Scheme, host: string): string | undefined {
  return PLAIN_HOST.test(host) ? parseWebOrigin(scheme, host) : undefined;
}

function textOf(bytes: Buffer, { from, to }: Span): string | undefined {
  return from < 0 ? undefined : bytes.toString("latin1", from, to);
}
