/** The fast lane: answers a simple request at once where a fresh whole response is in memory, or leaves it. */
import type { Fields } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import { accessLine, clientText, type LoggedRequest, plainBefore } from "../access-log/access-line.ts";
import type { AccessLog } from "../access-log/access-log.ts";
import type { EdgeEvents } from "../events.ts";
import { parseWebOrigin, type Scheme } from "../request/edge-request.ts";
import type { SiteTallies, SiteTally } from "../usage/site-tallies.ts";
import type { ClientSocket } from "./client-socket.ts";
import { HeadFields } from "./head-fields.ts";
import { type Hit, type PreparedAnswer, PreparedHits } from "./prepared-hits.ts";
import type { SimpleHead, Span } from "./request-head.ts";

const TLS_PART_BYTES = 256 * 1024;

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
  readonly events: Pick<EdgeEvents, "hit" | "sent"> & {
    /** A file of a published site was sent, or was not modified. */
    published?(status: number, count?: number): void;
  };
  readonly log?: AccessLog | undefined;
  /** Without it nothing is counted by site. */
  readonly usage?: SiteTallies | undefined;
}

export class FastLane {
  readonly #options: FastLaneOptions;
  readonly #prepared: PreparedHits;

  constructor(options: FastLaneOptions) {
    this.#options = options;
    this.#prepared = new PreparedHits(options.usage);
  }

  /** False where nothing was written. */
  answer(client: LaneClient, bytes: Buffer, head: SimpleHead): boolean {
    const { finder, clock, log } = this.#options;
    if (!client.take(bytes, head)) return false;
    const startedMs = log === undefined ? 0 : clock.monotonicMs();
    const nowMs = clock.nowMs();
    const hit = finder.find(client, nowMs);
    if (hit === undefined) return false;
    const answer = this.#prepared.answer(hit, nowMs);
    if (answer === undefined) return false;
    if (answer.body === undefined) {
      client.socket.write(answer.bytes);
      this.#count(answer, answer.tally);
      if (log !== undefined) this.#log(log, client, answer, { nowMs, startedMs }, bytes, head.target);
    } else this.#writeBoth(client, answer, answer.body, { nowMs, startedMs });
    return true;
  }

  /** Whether a client has taken so much shows only later. */
  #writeBoth(client: LaneClient, answer: PreparedAnswer, body: Uint8Array, times: Times): void {
    const { log, usage } = this.#options;
    const asked = client.asked();
    const { socket } = client;
    const done = (error?: Error | null) => {
      const isAborted = error !== null && error !== undefined;
      this.#count(answer, answer.tally && usage?.of(answer.tally.site));
      log?.write(this.#laterLineOf(asked, answer, times, isAborted));
    };
    if ("encrypted" in socket) sendParts(client, answer.bytes, body, done);
    else {
      socket.cork();
      socket.write(answer.bytes);
      socket.write(body, done);
      socket.uncork();
    }
  }

  #count(answer: PreparedAnswer, tally: SiteTally | undefined): void {
    const { events } = this.#options;
    if (answer.isPublished) events.published?.(answer.status);
    else events.hit(answer.status);
    events.sent(answer.contentBytes);
    tally?.countHit(answer.statusSlot, answer.contentBytes);
  }

  #log(
    log: AccessLog,
    client: LaneClient,
    answer: PreparedAnswer,
    times: Times,
    bytes: Uint8Array,
    target: Span,
  ): void {
    const { nowMs, startedMs } = times;
    const durationUs = Math.round((this.#options.clock.monotonicMs() - startedMs) * 1000);
    if (client.requestId === undefined) {
      const before = client.isHead ? client.headBefore : client.getBefore;
      log.writePlain({ before, after: answer.logBytes }, bytes, target.from, target.to, nowMs, durationUs);
    } else log.write(accessLine({ ...client.asked(), time: log.timeOf(nowMs), answer: answer.logText, durationUs }));
  }

  #laterLineOf(asked: Asked, answer: PreparedAnswer, { nowMs, startedMs }: Times, isAborted: boolean): string {
    const { log, clock } = this.#options;
    const time = log?.timeOf(nowMs) ?? "";
    const durationUs = Math.round((clock.monotonicMs() - startedMs) * 1000);
    return accessLine({ ...asked, time, answer: answer.logText, durationUs, isAborted });
  }
}

type Written = (error?: Error | null) => void;

/**
 * What is given to TLS is there once more, encrypted, until the client takes it, and all at once it is more than a processor's
 * cache holds: part by part it costs a tenth less.
 */
function sendParts(client: LaneClient, head: Uint8Array, body: Uint8Array, done: Written): void {
  const { socket } = client;
  let at = 0;
  const next: Written = (error) => {
    const from = at;
    at += TLS_PART_BYTES;
    if (from < body.byteLength && (error === null || error === undefined)) socket.write(body.subarray(from, at), next);
    else {
      done(error);
      client.sent();
    }
  };
  client.isSending = true;
  socket.write(head);
  next();
}

type Asked = Pick<LoggedRequest, "client" | "method" | "target" | "requestId">;

interface Times {
  readonly nowMs: number;
  readonly startedMs: number;
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

/**
 * The end of a connection that asks, with what it repeats; its members are of the request that it was last given. One
 * object a connection in place of one a request.
 */
export class LaneClient implements LaneRequest {
  readonly socket: ClientSocket;
  readonly remoteAddress: string;
  webOrigin = "";
  target = "";
  isHead = false;
  ifNoneMatch: string | undefined;
  ifModifiedSince: string | undefined;
  requestId: string | undefined;
  readonly fields = new HeadFields();
  /** Whether an answer goes on that is not all with the socket yet: nothing else may be written. */
  isSending = false;
  readonly #scheme: Scheme;
  readonly #onSent: () => void;
  readonly #host = new Repeated();
  readonly #userAgent = new Repeated();
  #hasUserAgent = false;
  #text: string | undefined;
  #getBefore: Uint8Array | undefined;
  #headBefore: Uint8Array | undefined;

  constructor(socket: ClientSocket, scheme: Scheme, onSent: () => void) {
    this.#onSent = onSent;
    this.socket = socket;
    this.remoteAddress = socket.remoteAddress ?? "";
    this.#scheme = scheme;
  }

  /** `onSent` is called when what was being sent is with the socket. */
  sent(): void {
    this.isSending = false;
    this.#onSent();
  }

  get host(): string {
    return this.#host.text;
  }

  get method(): "GET" | "HEAD" {
    return this.isHead ? "HEAD" : "GET";
  }

  /** False where the full lane has to look at its Host. */
  take(bytes: Buffer, head: SimpleHead): boolean {
    if (this.#host.take(bytes, head.host)) {
      this.webOrigin = webOriginOf(this.#scheme, this.#host.text) ?? "";
      this.#forgetText();
    }
    if (this.#userAgent.take(bytes, head.userAgent)) {
      this.#hasUserAgent = head.userAgent.from >= 0;
      this.#forgetText();
    }
    if (this.webOrigin === "") return false;
    this.fields.set(bytes, head);
    this.target = bytes.toString("latin1", head.target.from, head.target.to);
    this.isHead = head.isHead;
    this.ifNoneMatch = textOf(bytes, head.ifNoneMatch);
    this.ifModifiedSince = textOf(bytes, head.ifModifiedSince);
    this.requestId = textOf(bytes, head.requestId);
    return true;
  }

  #forgetText(): void {
    this.#text = undefined;
    this.#getBefore = undefined;
    this.#headBefore = undefined;
  }

  /** For the access log: of a plain line, up to the target. */
  get getBefore(): Uint8Array {
    this.#getBefore ??= plainBefore(this.text, "GET");
    return this.#getBefore;
  }

  get headBefore(): Uint8Array {
    this.#headBefore ??= plainBefore(this.text, "HEAD");
    return this.#headBefore;
  }

  /** For the access log. */
  get text(): string {
    const { remoteAddress, host } = this;
    const userAgent = this.#hasUserAgent ? this.#userAgent.text : undefined;
    this.#text ??= clientText({ remoteAddress, host, protocol: "HTTP/1.1", userAgent });
    return this.#text;
  }

  /** What outlives the next request. */
  asked(): Asked {
    const { text, method, target, requestId } = this;
    return { client: text, method, target, requestId };
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
