/** Requests that come back (RFC 8586): refused before anybody is asked, and what goes on says that it was here. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Failure } from "#domain/failure.ts";
import { CDN_HOPS_MAX, CDN_LOOP, decideLoop, withOwnId } from "#domain/http/cdn-loop.ts";
import { fieldsOf } from "#domain/http/fields.ts";
import type { Upstream } from "../request/fetching.ts";
import { sendFailure } from "../request/sending.ts";
import type { UpstreamRequest, UpstreamResponse } from "../upstream/upstream-client.ts";

export class LoopGuard {
  readonly #ownId: string;

  /** `ownId` is this node's in CDN-Loop, in lower case. */
  constructor(ownId: string) {
    this.#ownId = ownId;
  }

  /** True: it is answered, with 508 (RFC 5842) and the Proxy-Status of RFC 9209 section 2.3.31. */
  refuse(incoming: IncomingMessage, response: ServerResponse): boolean {
    if (incoming.headers[CDN_LOOP] === undefined) return false;
    const decision = decideLoop(fieldsOf(incoming.rawHeaders), this.#ownId);
    if (decision.kind === "pass") return false;
    const words = {
      "own-id": `the request has been at ${this.#ownId} before: an upstream leads back to it`,
      "too-many-hops": `the request has come over ${CDN_HOPS_MAX} caches, which is the limit: upstreams lead in a circle`,
    };
    const detail = { proxyError: "proxy_loop_detected" };
    sendFailure(response, new Failure("loop-detected", words[decision.because], { detail }), "detail=loop");
    return true;
  }

  marking(upstream: Upstream): Upstream {
    return new MarkingUpstream(upstream, this.#ownId);
  }
}

class MarkingUpstream implements Upstream {
  readonly #upstream: Upstream;
  readonly #ownId: string;

  constructor(upstream: Upstream, ownId: string) {
    this.#upstream = upstream;
    this.#ownId = ownId;
  }

  isSuspect(target: string): boolean {
    return this.#upstream.isSuspect(target);
  }

  takeProbe(): boolean {
    return this.#upstream.takeProbe();
  }

  suspect(target: string): void {
    this.#upstream.suspect(target);
  }

  fetch(request: UpstreamRequest): Promise<UpstreamResponse> {
    const fields = new Map([...request.fields, [CDN_LOOP, withOwnId(request.fields, this.#ownId)]]);
    return this.#upstream.fetch({ ...request, fields });
  }
}
