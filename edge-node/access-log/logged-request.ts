/** Writes down a request of the full lane, or of HTTP/2, once its answer has been sent or cut. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "#platform/clock.ts";
import type { CacheOutcome, EdgeEvents } from "../events.ts";
import { accessLine, answerText, clientText } from "./access-line.ts";
import type { AccessLog } from "./access-log.ts";

export interface RequestLogging {
  /** Without it content is counted, and nothing is written. */
  readonly log: AccessLog | undefined;
  readonly events: Pick<EdgeEvents, "sent">;
  readonly clock: Clock;
}

/** Resolves to how the request was answered, where a cache was asked. */
export type Answering = (incoming: IncomingMessage, response: ServerResponse) => Promise<CacheOutcome | undefined>;

/** Throws what `answer` does. */
export async function answerLogged(
  { log, events, clock }: RequestLogging,
  answer: Answering,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [atMs, startedMs] = [clock.nowMs(), clock.monotonicMs()];
  const remoteAddress = incoming.socket.remoteAddress ?? "";
  const closed = Promise.withResolvers<void>();
  response.once("close", closed.resolve);
  let cache: CacheOutcome | undefined;
  try {
    cache = await answer(incoming, response);
  } catch (error) {
    response.destroy();
    throw error;
  } finally {
    void closed.promise.then(() => {
      const bytes = sentBytesOf(response);
      events.sent(bytes);
      const durationUs = Math.round((clock.monotonicMs() - startedMs) * 1000);
      log?.write(lineOf(incoming, response, { time: log.timeOf(atMs), remoteAddress, cache, bytes, durationUs }));
    });
  }
}

interface Noted {
  readonly time: string;
  readonly remoteAddress: string;
  readonly cache: CacheOutcome | undefined;
  readonly bytes: number;
  readonly durationUs: number;
}

/** The target as it is at the end: what a gate has taken out of it is not for a log. */
function lineOf(incoming: IncomingMessage, response: ServerResponse, noted: Noted): string {
  const { headers, httpVersion, method = "", url: target = "" } = incoming;
  const { time, remoteAddress, cache, bytes, durationUs } = noted;
  const [requestId] = [headers["x-request-id"]].flat();
  const { host, "user-agent": userAgent } = headers;
  const status = response.headersSent ? response.statusCode : 0;
  return accessLine({
    time,
    client: clientText({ remoteAddress, host, protocol: `HTTP/${httpVersion}`, userAgent }),
    method,
    target,
    requestId,
    answer: answerText({ status, bytes, cache }),
    durationUs,
    isAborted: !response.writableFinished,
  });
}

/** Of content; 0 where it was not counted. */
export function sentBytesOf(response: ServerResponse): number {
  return "sentBytes" in response && typeof response.sentBytes === "number" ? response.sentBytes : 0;
}
