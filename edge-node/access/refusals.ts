/** Answers what a site's gate refuses: a problem (RFC 9457) with the class of the reason, and nothing else of it. */
import type { ServerResponse } from "node:http";
import { Failure } from "#domain/failure.ts";
import { problemOf } from "#platform/http/problem.ts";
import type { AccessRefusal } from "./access-decision.ts";
import { type RateLimit, refusalFields } from "./rate-limit.ts";

const WORDS: Readonly<Record<AccessRefusal, string>> = {
  "signature-missing": "this content is for who has a signed URL or cookie",
  "signature-invalid": "the signature is not one for this content",
  "signature-expired": "the signature has expired: get another",
};

export function sendUnsigned(response: ServerResponse, reason: AccessRefusal): void {
  send(response, new Failure("permission-denied", WORDS[reason], { detail: { reason } }), { status: 403 });
}

export function sendOverRate(response: ServerResponse, limit: RateLimit, waitMs: number): void {
  const failure = new Failure("overloaded", "this client asks more often than the site lets it", { retryable: true });
  send(response, failure, { status: 429, more: refusalFields(limit, waitMs) });
}

function send(
  response: ServerResponse,
  failure: Failure,
  { status, more = {} }: { readonly status: number; readonly more?: object },
): void {
  const body = JSON.stringify({ ...problemOf(failure), status });
  response.writeHead(status, {
    "content-type": "application/problem+json",
    "content-length": String(Buffer.byteLength(body)),
    "cache-control": "no-store",
    "cache-status": "Perigee; detail=refused",
    // RFC 9209 section 2.3.
    "proxy-status": "Perigee; error=http_request_denied",
    ...more,
  });
  response.end(body);
}
