/** Calls the origin's and the scheduler's HTTP APIs with the operator's token; problems become Failures. */
import { createReadStream } from "node:fs";
import { FAILURE_CODES, Failure, type FailureCode } from "#domain/failure.ts";

/** An operator waits no longer for one answer; uploads have their own limit. */
export const REQUEST_DEADLINE_MS = 30_000;
export const UPLOAD_DEADLINE_MS = 600_000;

export interface ApiRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Scheme, host and port. */
  readonly base: string;
  readonly path: string;
  readonly token: string;
  readonly body?: unknown;
  /** A file's bytes instead of a JSON body; it is read as it is sent. */
  readonly file?: string;
  /** The same of bytes in memory. */
  readonly bytes?: Uint8Array;
}

/** The answer's JSON, or `undefined` when it has none. Throws the problem's code, or `unavailable`. */
export async function callApi(request: ApiRequest): Promise<unknown> {
  const url = `${request.base}${request.path}`;
  const isUpload = request.file !== undefined || request.bytes !== undefined;
  const deadlineMs = isUpload ? UPLOAD_DEADLINE_MS : REQUEST_DEADLINE_MS;
  const response = await fetch(url, { ...initOf(request), signal: AbortSignal.timeout(deadlineMs) }).catch(
    (cause: unknown) => {
      throw new Failure("unavailable", `${url} cannot be reached: ${reasonOf(cause)}`, { cause, retryable: true });
    },
  );
  const text = await response.text();
  if (!response.ok) throw failureOf(url, response.status, text);
  return text === "" ? undefined : parseJson(url, text);
}

function initOf(request: ApiRequest): {
  method: string;
  headers: Record<string, string>;
  body?: string | Uint8Array<ArrayBuffer> | AsyncIterable<Uint8Array>;
  duplex?: "half";
} {
  const headers: Record<string, string> = { authorization: `Bearer ${request.token}`, accept: "application/json" };
  if (request.file !== undefined) {
    headers["content-type"] = "application/octet-stream";
    return { method: request.method, headers, body: createReadStream(request.file), duplex: "half" };
  }
  if (request.bytes !== undefined) {
    headers["content-type"] = "application/octet-stream";
    return { method: request.method, headers, body: new Uint8Array(request.bytes) };
  }
  if (request.body === undefined) return { method: request.method, headers };
  headers["content-type"] = "application/json";
  return { method: request.method, headers, body: JSON.stringify(request.body) };
}

function failureOf(url: string, status: number, text: string): Failure {
  const problem = readProblem(text);
  const code = FAILURE_CODES.find((known) => known === problem["code"]) ?? codeOfStatus(status);
  const detail = typeof problem["detail"] === "string" ? problem["detail"] : `${url} answered ${status}`;
  return new Failure(code, detail, { detail: problem });
}

/** For answers that are no problem of ours: a proxy's page, an old version. */
function codeOfStatus(status: number): FailureCode {
  if (status === 401) return "token-invalid";
  if (status === 403) return "permission-denied";
  if (status === 404) return "not-found";
  return status >= 500 ? "unavailable" : "argument-invalid";
}

function readProblem(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};
  } catch {
    return {};
  }
}

function parseJson(url: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Failure("upstream-malformed", `${url} answered something that is not JSON: is it a Perigee API?`, {
      cause,
    });
  }
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? cause.cause.message : cause.message;
}
