/** What stands before a site: its clients' rate first, then signatures; what passes goes on without them. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { splitTarget } from "#domain/access/signed-url.ts";
import type { SiteSpec } from "#domain/content/site.ts";
import { type Fields, fieldsOf } from "#domain/http/fields.ts";
import { plainPath } from "#domain/http/plain-path.ts";
import type { Clock } from "#platform/clock.ts";
import { type AccessDecision, decideAccess, type SignedAccess } from "./access-decision.ts";
import { clientOf, type TrustedProxies } from "./client-address.ts";
import type { AccessEvents } from "./events.ts";
import type { RateLimit } from "./rate-limit.ts";
import { RateLimiter } from "./rate-limiter.ts";
import { sendOverRate, sendUnsigned } from "./refusals.ts";
import { proofsOf, publicKeyOf, type VerifyingKey } from "./signing-keys.ts";

export interface AccessRules {
  /** What signatures are made for. */
  readonly site: string;
  readonly signed?: { readonly keys: readonly VerifyingKey[]; readonly paths: readonly string[] };
  readonly rateLimit?: RateLimit;
  readonly proxies?: TrustedProxies;
}

const NO_FIELDS: Fields = new Map();

export interface AccessGateOptions extends AccessRules {
  readonly clock: Pick<Clock, "nowMs" | "monotonicMs">;
  readonly events: AccessEvents;
}

export class AccessGate {
  readonly #options: AccessGateOptions;
  readonly #signed: SignedAccess | undefined;
  /** A fast lane takes a token for what it answers itself; what it passes on is counted by `admit`. */
  readonly limiter: RateLimiter | undefined;

  constructor(options: AccessGateOptions) {
    const { site, signed, rateLimit } = options;
    this.#options = options;
    this.limiter = rateLimit && new RateLimiter(rateLimit);
    this.#signed = signed && { site, paths: patternsOf(signed.paths), isProof: proofsOf(signed.keys) };
  }

  /** Whether a request must be looked at by `admit`, since a signature may be in it. */
  get isSigned(): boolean {
    return this.#signed !== undefined;
  }

  /** Who a request is of, as limits and signatures have it. `peer` is the address at the other end of the connection. */
  clientOf(peer: string | undefined, fieldValues: (name: string) => readonly string[] | undefined): string {
    const { proxies } = this.#options;
    return clientOf(peer ?? "", proxies && fieldValues(proxies.field), proxies);
  }

  /** Takes a token for a request that nothing else stands before; false, and none is taken, where it has to wait. */
  take(peer: string, fields: Fields): boolean {
    if (this.limiter === undefined) return true;
    const client = this.clientOf(peer, (name) => fields.get(name));
    return this.limiter.take(client, this.#options.clock.monotonicMs()) === 0;
  }

  /** False where it has refused. What passes has neither parameter nor cookie of a signature any more. */
  admit(incoming: IncomingMessage, response: ServerResponse): boolean {
    if (this.limiter === undefined && this.#signed === undefined) return true;
    const { clock, events } = this.#options;
    const isRead = this.#signed !== undefined || this.#options.proxies !== undefined;
    const fields = isRead ? fieldsOf(incoming.rawHeaders) : NO_FIELDS;
    const client = this.clientOf(incoming.socket.remoteAddress, (name) => fields.get(name));
    const waitMs = this.limiter?.take(client, clock.monotonicMs()) ?? 0;
    if (this.limiter !== undefined && waitMs > 0) {
      events.refused("rate-limited");
      this.#hideSignature(incoming);
      sendOverRate(response, this.limiter.limit, waitMs);
      return false;
    }
    const decision = decideAccess({ target: incoming.url ?? "", fields, client }, this.#signed, clock.nowMs());
    if (decision.kind === "allowed") {
      if (decision.fields !== fields || decision.target !== incoming.url) strip(incoming, decision);
      return true;
    }
    events.refused(decision.why);
    this.#hideSignature(incoming);
    sendUnsigned(response, decision.why);
    return false;
  }

  /** Of what is refused: it may be good again, or for somebody else, and is not for a log. */
  #hideSignature(incoming: IncomingMessage): void {
    const split = this.#signed && splitTarget(incoming.url ?? "");
    if (split !== undefined) incoming.url = split.target;
  }
}

/** Of a site of the set: its keys are public ones. */
export function rulesOf(site: string, { signedUrls, rateLimit }: SiteSpec): AccessRules {
  const keys = signedUrls?.keys.map(({ keyId, publicKey }) => ({
    algorithm: "ed25519" as const,
    keyId,
    publicKey: publicKeyOf(publicKey),
  }));
  return {
    site,
    ...(signedUrls === undefined || keys === undefined ? {} : { signed: { keys, paths: signedUrls.paths } }),
    ...(rateLimit === undefined ? {} : { rateLimit }),
  };
}

/** As requests are compared with them; a pattern that has no such form holds for everything. */
function patternsOf(patterns: readonly string[]): readonly string[] {
  return patterns.map((pattern) => {
    const isPrefix = pattern.endsWith("*");
    const plain = plainPath(isPrefix ? pattern.slice(0, -1) : pattern);
    return plain === undefined ? "/*" : `${plain}${isPrefix ? "*" : ""}`;
  });
}

/** In the request itself: whoever reads it later, the access log too, never sees a signature. */
function strip(incoming: IncomingMessage, { target, fields }: Extract<AccessDecision, { kind: "allowed" }>): void {
  incoming.url = target;
  const cookies = fields.get("cookie") ?? [];
  const others: string[] = [];
  for (let index = 0; index + 1 < incoming.rawHeaders.length; index += 2) {
    const [name = "", value = ""] = incoming.rawHeaders.slice(index, index + 2);
    if (name.toLowerCase() !== "cookie") others.push(name, value);
  }
  incoming.rawHeaders = [...others, ...cookies.flatMap((line) => ["Cookie", line])];
  delete incoming.headers.cookie;
  if (cookies.length > 0) incoming.headers.cookie = cookies.join("; ");
}
