/** Answers an authority that wants to see who controls a name (RFC 8555 section 8.3). */
import type { IncomingMessage } from "node:http";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";

const PREFIX = "/.well-known/acme-challenge/";
/** Orders go one after the other, a name at a time. */
const CHALLENGES_MAX = 1_000;

/** As much of a response as an answer needs. */
interface Answerable {
  writeHead(status: number, fields: Record<string, string>): unknown;
  end(content?: string): unknown;
}

export class HttpChallenges {
  readonly #byToken = new BoundedMap<string, string>({ entriesMax: CHALLENGES_MAX });

  set(token: string, keyAuthorization: string): void {
    this.#byToken.set(token, keyAuthorization);
  }

  delete(token: string): void {
    this.#byToken.delete(token);
  }

  /** All that there are from now on. */
  replace(challenges: Iterable<{ readonly token: string; readonly keyAuthorization: string }>): void {
    this.#byToken.clear();
    for (const { token, keyAuthorization } of challenges) this.#byToken.set(token, keyAuthorization);
  }

  /** False where it is no token of ours: a site may have authorities of its own. */
  answer(incoming: Pick<IncomingMessage, "method" | "url">, response: Answerable): boolean {
    const { method, url = "" } = incoming;
    if (!url.startsWith(PREFIX) || (method !== "GET" && method !== "HEAD")) return false;
    const keyAuthorization = this.#byToken.peek(url.slice(PREFIX.length));
    if (keyAuthorization === undefined) return false;
    response.writeHead(200, {
      "content-type": "application/octet-stream",
      "content-length": String(Buffer.byteLength(keyAuthorization)),
      "cache-control": "no-store",
    });
    response.end(method === "HEAD" ? undefined : keyAuthorization);
    return true;
  }
}
