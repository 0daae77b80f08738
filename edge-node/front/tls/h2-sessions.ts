/** HTTP/2 connections: their requests go to the handler, and a connection that floods or stalls is ended. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, performServerHandshake, type ServerHttp2Stream } from "node:http2";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { sendProblem } from "../../published/problems.ts";
import type { ClientSocket } from "../client-socket.ts";
import { readH2Head } from "./h2-head.ts";
import { H2Request } from "./h2-request.ts";
import { H2Response } from "./h2-response.ts";
import { H2Session } from "./h2-session.ts";

/** What a page has under way; each holds a window of content. */
const STREAMS_MAX = 128;
/** As in HTTP/1.1: names, values and 32 bytes a field (RFC 9113 section 6.5.2). */
const HEADER_LIST_BYTES_MAX = 16 * 1024;
/** With the four pseudo-fields. */
const HEADER_PAIRS_MAX = 100;
/** Content of a request that nobody has taken yet. */
const STREAM_WINDOW_BYTES = 64 * 1024;
const SESSION_WINDOW_BYTES = 256 * 1024;
/** A page that is left resets what it had under way; a browser does not do it every second. */
const RESET_BURST_MAX = 256;
const RESETS_PER_SECOND_MAX = 32;
/** Streams that were refused, frames that break the protocol: a client in order has none. */
const REJECTED_STREAMS_MAX = 128;
const INVALID_FRAMES_MAX = 32;
/** RFC 9113 section 6.5.2 knows six. */
const SETTINGS_ENTRIES_MAX = 32;
/** Twice what the windows and pieces of all streams take. */
const SESSION_MEMORY_MEBIBYTES_MAX = 16;
/** How often connections are looked at. */
const LOOK_MS = 1_000;

const SESSION_OPTIONS = {
  settings: {
    maxConcurrentStreams: STREAMS_MAX,
    maxHeaderListSize: HEADER_LIST_BYTES_MAX,
    initialWindowSize: STREAM_WINDOW_BYTES,
    enableConnectProtocol: false,
  },
  maxHeaderListPairs: HEADER_PAIRS_MAX,
  maxSessionMemory: SESSION_MEMORY_MEBIBYTES_MAX,
  maxSettings: SETTINGS_ENTRIES_MAX,
  maxSessionRejectedStreams: REJECTED_STREAMS_MAX,
  maxSessionInvalidFrames: INVALID_FRAMES_MAX,
  streamResetBurst: RESET_BURST_MAX,
  streamResetRate: RESETS_PER_SECOND_MAX,
  strictSingleValueFields: false,
} as const;

/** Throws nothing and rejects nothing: what breaks is its own to tell. */
export type RequestHandler = (incoming: IncomingMessage, response: ServerResponse) => void;

export interface H2Events {
  /** What is no request, and the status that it was answered with. */
  malformed(status: number): void;
  /** A connection that was ended, or a stream of it that was reset, for what its client did. */
  h2Refused(because: H2Refusal, remoteAddress: string | undefined): void;
}

export type H2Refusal = "control-flood" | "overhead-flood" | "protocol" | "slow-reader" | "slow-request";

export interface H2SessionsOptions {
  readonly clock: Clock;
  readonly handle: RequestHandler;
  readonly events: H2Events;
}

export class H2Sessions implements AsyncDisposable {
  readonly #options: H2SessionsOptions;
  readonly #sessions = new Set<H2Session>();
  readonly #looking: Disposable;

  constructor(options: H2SessionsOptions) {
    this.#options = options;
    this.#looking = options.clock.every(LOOK_MS, () => {
      for (const session of this.#sessions) session.look();
    });
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Takes over a connection whose client has chosen `h2`. */
  serve(socket: ClientSocket): void {
    const node = performServerHandshake(socket, SESSION_OPTIONS);
    node.setLocalWindowSize(SESSION_WINDOW_BYTES);
    const session = new H2Session({ ...this.#options, node, socket });
    this.#sessions.add(session);
    node.once("close", () => this.#sessions.delete(session));
    node.on("stream", (stream, _headers, flags, raw) => this.#onStream(session, stream, { flags, raw }));
  }

  /** Tells every client to go elsewhere, and ends what is still open then. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#looking[Symbol.dispose]();
    await Promise.all([...this.#sessions].map((session) => session.stop()));
  }

  #onStream(session: H2Session, stream: ServerHttp2Stream, { flags, raw }: { flags: number; raw: string[] }): void {
    const hasContent = (flags & constants.NGHTTP2_FLAG_END_STREAM) === 0;
    const head = readH2Head(raw, { hasContent, headerListBytesMax: HEADER_LIST_BYTES_MAX });
    const named = head.kind === "request" ? head : REFUSED;
    // Of a Socket, which node:http's types ask for, it needs what a ClientSocket has.
    const incoming: H2Request = Reflect.construct(H2Request, [stream, session.socket, named]);
    const response = new H2Response(incoming, stream, () => session.pieceBytes);
    session.began({ stream, incoming, response, raw });
    const { events, handle } = this.#options;
    if (head.kind === "refused") {
      events.malformed(head.status);
      sendProblem(response, new Failure("argument-invalid", head.why), { status: head.status });
      return;
    }
    // RFC 9110 section 10.1.1; as node:http does before it asks the handler.
    if (incoming.headers.expect?.toLowerCase() === "100-continue") response.writeContinue();
    handle(incoming, response);
  }
}

const REFUSED = { kind: "request", method: "GET", target: "/", rawHeaders: [] } as const;
