/** Answers with a problem (RFC 9457), never stored on the way. */
import type { ServerResponse } from "node:http";
import type { Failure } from "#domain/failure.ts";
import { problemOf } from "#platform/http/problem.ts";

/** A node that lacks something asks to be tried again after this. */
const RETRY_AFTER_SECONDS = 5;

/** `status` where HTTP has a closer one than the code's own. */
export function sendProblem(
  response: ServerResponse,
  failure: Failure,
  { status = problemOf(failure).status }: { readonly status?: number | undefined } = {},
): void {
  const body = JSON.stringify({ ...problemOf(failure), status });
  response.writeHead(status, {
    "content-type": "application/problem+json",
    "content-length": String(Buffer.byteLength(body)),
    "cache-control": "no-store",
    ...(status === 503 ? { "retry-after": String(RETRY_AFTER_SECONDS) } : {}),
  });
  response.end(body);
}
