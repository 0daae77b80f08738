/** Refuses a request that was at this node before (RFC 8586), before it is asked of anybody. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Failure } from "#domain/failure.ts";
import { CDN_HOPS_MAX, CDN_LOOP, decideLoop } from "#domain/http/cdn-loop.ts";
import { fieldsOf } from "#domain/http/fields.ts";
import { sendFailure } from "../request/sending.ts";

/** True: it is answered, with 508 (RFC 5842) and the Proxy-Status of RFC 9209 section 2.3.31. */
export function refuseLoop(incoming: IncomingMessage, response: ServerResponse, ownId: string): boolean {
  if (incoming.headers[CDN_LOOP] === undefined) return false;
  const decision = decideLoop(fieldsOf(incoming.rawHeaders), ownId);
  if (decision.kind === "pass") return false;
  const words = {
    "own-id": `the request has been at ${ownId} before: an upstream leads back to it`,
    "too-many-hops": `the request has come over ${CDN_HOPS_MAX} caches, which is the limit: upstreams lead in a circle`,
  };
  const detail = { proxyError: "proxy_loop_detected" };
  sendFailure(response, new Failure("loop-detected", words[decision.because], { detail }), "detail=loop");
  return true;
}
