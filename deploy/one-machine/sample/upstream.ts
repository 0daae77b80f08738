/** A small HTTP server as the upstream of the sample `pull` site: pages that may be kept for a while, and one that may not. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Address } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";

const ARTICLES = 12;
const FRESHNESS_SECONDS = 60;

export interface SampleUpstream extends AsyncDisposable {
  readonly address: Address;
}

export async function startSampleUpstream(address: Address, clock: Clock): Promise<SampleUpstream> {
  const server = createServer((request, response) => answer(request, response, clock));
  const bound = await listen(server, address);
  return { address: bound, [Symbol.asyncDispose]: () => closeServer(server) };
}

function answer(request: IncomingMessage, response: ServerResponse, clock: Clock): void {
  if (request.method !== "GET" && request.method !== "HEAD") return void response.writeHead(405).end();
  const path = (request.url ?? "/").split("?")[0] ?? "/";
  if (path === "/now") {
    const text = `${new Date(clock.nowMs()).toISOString()}\n`;
    send(request, response, { text, mediaType: "text/plain", cacheControl: "no-store" });
    return;
  }
  const body = bodyOf(path);
  if (body === undefined) {
    const text = page("Not here", "<p>The upstream has no such page.</p>");
    send(request, response, { status: 404, text, mediaType: "text/html", cacheControl: "max-age=5" });
    return;
  }
  send(request, response, { text: body, mediaType: "text/html", cacheControl: `max-age=${FRESHNESS_SECONDS}` });
}

interface Content {
  readonly status?: number;
  readonly text: string;
  readonly mediaType: string;
  readonly cacheControl: string;
}

function send(request: IncomingMessage, response: ServerResponse, content: Content): void {
  const entityTag = `"${createHash("sha256").update(content.text).digest("hex").slice(0, 16)}"`;
  const fields = { etag: entityTag, "cache-control": content.cacheControl };
  if (content.status === undefined && request.headers["if-none-match"] === entityTag) {
    response.writeHead(304, fields).end();
    return;
  }
  response.writeHead(content.status ?? 200, {
    ...fields,
    "content-type": `${content.mediaType}; charset=utf-8`,
    "content-length": Buffer.byteLength(content.text),
  });
  response.end(request.method === "HEAD" ? undefined : content.text);
}

function bodyOf(path: string): string | undefined {
  if (path === "/") {
    const links = Array.from(
      { length: ARTICLES },
      (_, index) => `<li><a href="/articles/${index + 1}">Article ${index + 1}</a>`,
    );
    return page("News", `<ul>${links.join("")}</ul><p><a href="/now">The time at the upstream</a>, never stored.</p>`);
  }
  const number = Number(/^\/articles\/(\d{1,3})$/.exec(path)?.[1]);
  if (!(number >= 1 && number <= ARTICLES)) return undefined;
  return page(`Article ${number}`, `<p>${`Pulled from the upstream once, then served from the edge. `.repeat(40)}</p>`);
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>${title}</title>
<h1>${title}</h1><p><a href="/">Start</a></p>${body}</html>
`;
}
