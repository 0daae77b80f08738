/** Writes answers: a representation or the part asked for, a problem, or what the upstream sent as it comes. */
import type { ServerResponse } from "node:http";
import { Failure } from "#domain/failure.ts";
import { type Fields, fieldValue } from "#domain/http/fields.ts";
import type { ResolvedRange } from "#domain/http/range.ts";
import { HTTP_STATUS_BY_CODE, problemOf } from "#platform/http/problem.ts";
import { OF_THE_CONTENT } from "../front/hit-head.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import { byteRanges } from "./byte-ranges.ts";
import { type EdgeRequest, returnedFields } from "./edge-request.ts";
import { decideSelection } from "./selection.ts";

export interface Answer {
  readonly status: number;
  readonly fields: Fields;
  readonly cacheStatus: string;
  /** `undefined` for what this edge has not stored: its Age is the upstream's. */
  readonly ageSeconds?: number;
  /** Read only where the answer has content; the range alone where one is given. */
  readonly body: (range?: ResolvedRange) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** The body can be read from its beginning only: several ranges are answered with the whole. */
  readonly isArriving?: boolean;
}

export async function sendAnswer(
  request: EdgeRequest,
  answer: Answer,
  response: ServerResponse,
  nowMs: number,
): Promise<void> {
  const fields = returnedFields(answer.fields);
  fields.set("cache-status", [...(answer.fields.get("cache-status") ?? []), `Perigee; ${answer.cacheStatus}`]);
  if (answer.ageSeconds !== undefined) fields.set("age", [String(Math.floor(answer.ageSeconds))]);
  const length = fieldValue(fields, "content-length");
  const sizeBytes = length === undefined ? undefined : Number(length);
  if (answer.status === 204) fields.delete("content-length");
  const decided = decideSelection(request, { ...answer, sizeBytes }, nowMs);
  const selection = decided.kind === "parts" && answer.isArriving === true ? WHOLE : decided;
  switch (selection.kind) {
    case "not-modified":
      for (const name of OF_THE_CONTENT) fields.delete(name);
      return end(response, 304, fields);
    case "unsatisfiable":
      fields.set("content-range", [`bytes */${sizeBytes}`]);
      fields.set("content-length", ["0"]);
      return end(response, 416, fields);
    case "part": {
      const { start, end: last } = selection.range;
      fields.set("content-range", [`bytes ${start}-${last}/${sizeBytes}`]);
      fields.set("content-length", [String(last - start + 1)]);
      writeHead(response, 206, fields);
      return await sendBody(response, answer.body(selection.range), last - start + 1);
    }
    case "parts": {
      const { ranges } = selection;
      const mediaType = fieldValue(fields, "content-type");
      const salt = `${request.target} ${nowMs} ${JSON.stringify(ranges)}`;
      const parts = byteRanges({ ranges, sizeBytes: sizeBytes ?? 0, mediaType, salt, read: answer.body });
      fields.set("content-type", [parts.contentType]);
      fields.set("content-length", [String(parts.byteLength)]);
      writeHead(response, 206, fields);
      return await sendBody(response, parts.body(), parts.byteLength);
    }
    case "whole":
      if (request.method === "HEAD") return end(response, answer.status, fields);
      writeHead(response, answer.status, fields);
      return await sendBody(response, answer.body(), sizeBytes);
  }
}

const WHOLE = { kind: "whole" } as const;

/** Proxy-Status names (RFC 9209 section 2.3) of what this edge answers itself. */
const PROXY_ERRORS: Partial<Record<Failure["code"], string>> = {
  "argument-invalid": "http_request_error",
  unavailable: "destination_unavailable",
  "upstream-malformed": "http_protocol_error",
  "upstream-timeout": "http_response_timeout",
  "upstream-truncated": "http_response_incomplete",
};

/** Interim responses of the upstream go to the user agent that the upstream is asked for, as far as node:http knows them. */
export function interimTo(response: ServerResponse, httpVersionMinor: number) {
  return (status: number, fields: Fields): void => {
    // RFC 9110 section 15.2: none to HTTP/1.0.
    if (httpVersionMinor < 1 || response.headersSent) return;
    if (status === 102 && "writeProcessing" in response) response.writeProcessing();
    const link = fields.get("link");
    if (status !== 103 || link === undefined) return;
    const others = [...fields].filter(([name]) => name !== "link").map(([name, values]) => [name, [...values]]);
    try {
      response.writeEarlyHints({ ...Object.fromEntries(others), link: [...link] });
    } catch (error) {
      // A Link that node:http takes for malformed: hints are for those who can use them.
      if (!(error instanceof TypeError)) throw error;
    }
  };
}

/** The bytes of a stored body. Throws where they are gone or not those that were stored. */
export async function* bytesOfStored(
  { body, key }: StoredResponse,
  { start, end }: ResolvedRange,
): AsyncGenerator<Uint8Array> {
  if (body instanceof Uint8Array) {
    yield body.subarray(start, end + 1);
    return;
  }
  await using open = await body.open();
  if (open === undefined) throw new Failure("storage-failed", `${key}: its body is gone`);
  yield* open.read(start, end);
}

/** What a user agent is told: the log has the rest, addresses among it. */
const WORDS: Partial<Record<Failure["code"], string>> = {
  unavailable: "the origin server of this site cannot be reached, and nothing stored may be served",
  "upstream-malformed": "the origin server of this site answered something that is not HTTP",
  "upstream-timeout": "the origin server of this site did not answer in time",
  "upstream-truncated": "the origin server of this site broke its answer off",
};

export function sendFailure(
  response: ServerResponse,
  failure: Failure,
  cacheStatus: string,
  status = statusOf(failure),
): number {
  const { code, message, detail } = failure;
  const error = typeof detail["proxyError"] === "string" ? detail["proxyError"] : PROXY_ERRORS[code];
  const problem = { ...problemOf(new Failure(code, WORDS[code] ?? message)), status };
  const body = JSON.stringify(problem);
  const fields = new Map([
    ["content-type", ["application/problem+json"]],
    ["cache-control", ["no-store"]],
    ["cache-status", [`Perigee; ${cacheStatus}`]],
    ["content-length", [String(Buffer.byteLength(body))]],
  ]);
  if (error !== undefined) fields.set("proxy-status", [`Perigee; error=${error}`]);
  writeHead(response, status, fields);
  response.end(body);
  return status;
}

function statusOf({ code }: Failure): number {
  if (code === "upstream-timeout" || code === "deadline-exceeded") return 504;
  return code === "unavailable" || code.startsWith("upstream-") ? 502 : HTTP_STATUS_BY_CODE[code];
}

function writeHead(response: ServerResponse, status: number, fields: Fields): void {
  response.writeHead(status, flat(fields));
}

function flat(fields: Fields): string[] {
  return [...fields].flatMap(([name, values]) => values.flatMap((value) => [name, value]));
}

function end(response: ServerResponse, status: number, fields: Fields): void {
  writeHead(response, status, fields);
  response.end();
}

/**
 * A body that fails, or is not of the length that the head says, cuts the connection: the user agent must not take a part
 * for the whole, nor the next answer for a part of this one.
 */
async function sendBody(
  response: ServerResponse,
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  expectedBytes: number | undefined,
): Promise<void> {
  let bytes = 0;
  try {
    for await (const chunk of body) {
      if (response.destroyed) return;
      bytes += chunk.byteLength;
      if (bytes > (expectedBytes ?? bytes)) break;
      if (!response.write(chunk)) await room(response);
    }
    if (bytes !== (expectedBytes ?? bytes))
      throw new Failure("upstream-truncated", `a body of ${bytes} bytes where ${expectedBytes} were announced`);
    response.end();
  } catch (error) {
    response.destroy();
    throw error;
  }
}

function room(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      response.off("drain", go).off("close", go);
      resolve();
    };
    response.once("drain", go).once("close", go);
    if (response.destroyed) go();
  });
}

/** Of a body that can only be read from its beginning. */
export async function* partOf(body: AsyncIterable<Uint8Array>, range: ResolvedRange | undefined) {
  if (range === undefined) return yield* body;
  const { start, end: last } = range;
  let at = 0;
  for await (const chunk of body) {
    const piece = chunk.subarray(Math.max(0, start - at), Math.max(0, last + 1 - at));
    at += chunk.byteLength;
    if (piece.byteLength > 0) yield piece;
    if (at > last) return;
  }
}
