/** The fast lane: answers a simple request at once where a fresh whole response is in memory, or leaves it. */
import type { Socket } from "node:net";
import type { Fields } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import { clientText, type LoggedRequest, plainAccessLine } from "../access-log/access-line.ts";
import type { AccessLog } from "../access-log/access-log.ts";
import type { EdgeEvents } from "../events.ts";
import { parseWebOrigin, type Scheme } from "../request/edge-request.ts";
import { HeadFields } from "./head-fields.ts";
import { type Hit, type PreparedAnswer, PreparedHits } from "./prepared-hits.ts";
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
  readonly events: Pick<EdgeEvents, "hit" | "sent">;
  readonly log?: AccessLog | undefined;
}

export class FastLane {
  readonly #options: FastLaneOptions;
  readonly #prepared = new PreparedHits();

  constructor(options: FastLaneOptions) {
    this.#options = options;
  }

  /** False where nothing was written. */
  answer(client: LaneClient, bytes: Buffer, head: SimpleHead): boolean {
    const { finder, clock, log } = this.#options;
    const request = client.requestOf(bytes, head);
    if (request === undefined) return false;
    const startedMs = log === undefined ? 0 : clock.monotonicMs();
    const nowMs = clock.nowMs();
    const hit = finder.find(request, nowMs);
    const answer = hit && this.#prepared.answer(hit, nowMs);
    if (answer === undefined) return false;
    const { target } = request;
    const line = log && { time: log.timeOf(nowMs), client: client.textOf(bytes, head), method: methodOf(head), target };
    const requestId = log && textOf(bytes, head.requestId);
    const note = (isAborted: boolean): void => this.#note(answer, startedMs, line && { ...line, requestId, isAborted });
    if (answer.body === undefined) {
      client.socket.write(answer.bytes);
      note(false);
    } else writeBoth(client.socket, answer.bytes, answer.body, note);
    return true;
  }

  #note(
    answer: PreparedAnswer,
    startedMs: number,
    line: Omit<LoggedRequest, "answer" | "durationUs"> | undefined,
  ): void {
    const { clock, events, log } = this.#options;
    events.hit(answer.status);
    events.sent(answer.contentBytes);
    if (line === undefined) return;
    const durationUs = Math.round((clock.monotonicMs() - startedMs) * 1000);
    log?.write(plainAccessLine({ ...line, answer: answer.logText, durationUs }));
  }
}

function methodOf({ isHead }: SimpleHead): "GET" | "HEAD" {
  return isHead ? "HEAD" : "GET";
}

function writeBoth(socket: Socket, head: Uint8Array, body: Uint8Array, note: (isAborted: boolean) => void): void {
  socket.cork();
  socket.write(head);
  socket.write(body, (error) => note(error !== null && error !== undefined));
  socket.uncork();
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
  readonly #userAgent = new Repeated();
  readonly #fields = new HeadFields();
  #text: string | undefined;
  #webOrigin: string | undefined;

  constructor(socket: Socket, scheme: Scheme) {
    this.socket = socket;
    this.#remoteAddress = socket.remoteAddress ?? "";
    this.#scheme = scheme;
  }

  requestOf(bytes: Buffer, head: SimpleHead): LaneRequest | undefined {
    if (this.#host.take(bytes, head.host)) {
      this.#webOrigin = webOriginOf(this.#scheme, this.#host.text);
      this.#text = undefined;
    }
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

  /** For the access log: of the request that was last asked for. */
  textOf(bytes: Buffer, { userAgent }: SimpleHead): string {
    if (this.#userAgent.take(bytes, userAgent)) this.#text = undefined;
    this.#text ??= clientText({
      remoteAddress: this.#remoteAddress,
      host: this.#host.text,
      protocol: "HTTP/1.1",
      userAgent: userAgent.from < 0 ? undefined : this.#userAgent.text,
    });
    return this.#text;
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
