/** Requests for the fuzzing of the lanes: well-formed ones by the grammar, and what bytes become of them. Pure but for its Random. */
import type { Random } from "#platform/random.ts";

/** They say nothing of where a request ends. */
const HARMLESS = [
  "Accept",
  "Accept-Encoding",
  "User-Agent",
  "Cookie",
  "Referer",
  "X-Request-Id",
  "If-None-Match",
  "x_y",
];
const NAMES = [
  ...["Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "Cookie", "Referer", "X-Request-Id", "Via", "X"],
  ...["If-None-Match", "If-Modified-Since", "Range", "Cache-Control", "Pragma", "Authorization", "Connection", "TE"],
  ...["Content-Length", "Transfer-Encoding", "Upgrade", "Expect", "Keep-Alive", "Trailer", "Host", "host", "HOST"],
  ...["x_y", "!#$%&'*+-.^_`|~", "content-lengt", "transfer-encodings", "connectio", "hos", "CDN-Loop", "Max-Forwards"],
];
const VALUES = [
  ...[
    "",
    "a",
    "keep-alive",
    "Keep-Alive",
    "close",
    "upgrade",
    "0",
    "1",
    "5",
    "+5",
    "chunked",
    "identity",
    "*",
    "gzip, br",
  ],
  ...[
    '"a"',
    'W/"a", "b"',
    "bytes=0-1",
    "no-cache",
    "edge",
    "edge:80",
    "Mozilla/5.0 (X11; Linux x86_64)",
    "a\tb",
    "\xa0a\xa0",
  ],
  ...[
    "Mon, 23 Nov 2026 08:00:00 GMT",
    "max-age=1",
    "text/html;q=0.9,*/*",
    "100-continue",
    "a=b; c=d",
    "\xff\x80",
    "edge, edge",
  ],
];
const TARGETS = [
  "/",
  "/a",
  "/a?b=c",
  "/a%20b/c",
  "/.perigee/x",
  "//a",
  "/a;b=c",
  "/~u/!$&'()*+,",
  "*",
  "http://edge/a",
  "/a#b",
  "/ü",
];
/** What parsers trip over. */
const TOKENS = [
  ...["\r\n", "\n", "\r", "\r\n\r\n", "\n\n", " ", "\t", "\0", "\x0b", "\x7f", "\x80", "\xff", ":", "::", " :", ": "],
  ...["GET ", "HEAD ", "POST ", "get ", " HTTP/1.1", " HTTP/1.0", "HTTP/2.0", "Host: a\r\n", "Content-Length: 5\r\n"],
  ...["Transfer-Encoding: chunked\r\n", "\r\n ", "\r\n\t", "0\r\n\r\n", "Connection: close\r\n", "\x00\x00", '"', "\\"],
];

export function pick<T>(random: Random, from: readonly T[]): T {
  const found = from[random.integer(from.length)];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
}

/** A head of one byte a character. */
export function wellFormed(random: Random): string {
  const names = random.integer(2) === 0 ? HARMLESS : NAMES;
  const lines = Array.from({ length: random.integer(6) }, () => {
    const [before, after] = [pick(random, ["", " ", "\t", "  "]), pick(random, ["", "", " ", "\t "])];
    return `${pick(random, names)}:${before}${pick(random, VALUES)}${after}`;
  });
  if (random.integer(16) > 0) lines.splice(random.integer(lines.length + 1), 0, "Host: edge");
  const target = random.integer(4) > 0 ? pick(random, TARGETS.slice(0, 8)) : pick(random, TARGETS);
  return [`${pick(random, ["GET", "GET", "GET", "HEAD"])} ${target} HTTP/1.1`, ...lines, "", ""].join("\r\n");
}

/** Some bytes of it changed, taken out, doubled, or put in. */
export function mutated(random: Random, text: string): string {
  let bytes = text;
  for (let step = random.integer(4); step >= 0; step -= 1) {
    const at = random.integer(bytes.length + 1);
    const to = Math.min(bytes.length, at + random.integer(8));
    const [before, within, after] = [bytes.slice(0, at), bytes.slice(at, to), bytes.slice(to)];
    switch (random.integer(6)) {
      case 0:
        bytes = `${before}${String.fromCharCode(random.integer(256))}${bytes.slice(at + 1)}`;
        break;
      case 1:
        bytes = before + after;
        break;
      case 2:
        bytes = before + within + within + after;
        break;
      case 3:
        bytes = `${before}${String.fromCharCode(random.integer(256))}${within}${after}`;
        break;
      case 4:
        bytes = before + within.toUpperCase() + after;
        break;
      default:
        bytes = before + pick(random, TOKENS) + within + after;
    }
  }
  return bytes;
}
