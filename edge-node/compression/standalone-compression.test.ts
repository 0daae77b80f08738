import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import t, { type Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { createLogger } from "#platform/logging.ts";
import { seededRandom } from "#platform/random.ts";
import { askOnOneConnection } from "#test/front/one-connection.ts";
import { startStandalone } from "../standalone-proxy.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const TEXT = Buffer.from("Perigee serves content from near its users. ".repeat(200));
const DECODERS = { br: brotliDecompressSync, zstd: zstdDecompressSync, gzip: gunzipSync } as const;
const CODINGS = ["br", "zstd", "gzip"] as const;
const ENCODED_MS_MAX = 10_000;

async function start(t: Test, listener: RequestListener, { compress = true } = {}) {
  const seen: IncomingMessage[] = [];
  const upstream = createServer((incoming, response) => {
    seen.push(incoming);
    listener(incoming, response);
  });
  const { port } = await listen(upstream, LOCAL);
  t.teardown(() => closeServer(upstream));
  const edge = await startStandalone({
    listen: LOCAL,
    admin: LOCAL,
    upstream: new URL(`http://127.0.0.1:${port}`),
    memoryBytesMax: 1e7,
    random: seededRandom(1),
    clock: systemClock,
    logger: createLogger({ program: "edge", level: "silent" }),
    compress,
  });
  t.teardown(() => edge[Symbol.asyncDispose]());
  const ask = askOnOneConnection(t, edge.address);
  /** Encoded behind the answers: asks until one has the coding. */
  const askEncoded = async (path: string, coding: string, more: Record<string, string> = {}) => {
    const limit = systemClock.deadline(ENCODED_MS_MAX);
    while (!limit.aborted) {
      const answer = await ask(path, { "accept-encoding": coding, ...more });
      if (answer.headers["content-encoding"] === coding) return answer;
    }
    throw new Error(`${path} never came in ${coding}`);
  };
  const metrics = async () => await (await fetch(`http://127.0.0.1:${edge.admin?.port}/metrics`)).text();
  return { seen, ask, askEncoded, metrics };
}

const html = { "content-type": "text/html", "cache-control": "max-age=600", etag: '"a"' };

t.test("a page is compressed once in each coding, with one request to the upstream", async (t) => {
  const { seen, ask, askEncoded, metrics } = await start(t, (_, response) => response.writeHead(200, html).end(TEXT));
  const first = await ask("/", { "accept-encoding": "gzip, br" });
  t.match(first.headers, { vary: "Accept-Encoding", etag: '"a"', "cache-status": "Perigee; fwd=uri-miss; stored" });
  t.equal(first.headers["content-encoding"], undefined, "as it comes");
  t.ok(first.body.equals(TEXT));
  const tags = new Set<unknown>(['"a"']);
  for (const coding of CODINGS) {
    const { headers, body } = await askEncoded("/", coding);
    t.ok(DECODERS[coding](body).equals(TEXT), coding);
    t.match(headers, { vary: "Accept-Encoding", "content-length": String(body.length), "cache-status": /; hit/ });
    tags.add(headers.etag);
  }
  t.equal(tags.size, 4, "each has a validator of its own");
  const plain = await ask("/");
  t.match(plain.headers, { etag: '"a"', vary: "Accept-Encoding", "content-length": String(TEXT.length) });
  t.ok(plain.body.equals(TEXT));
  const wanted = await ask("/", { "accept-encoding": "br;q=0.5, gzip" });
  t.equal(wanted.headers["content-encoding"], "gzip", "as it is weighed");
  t.equal((await ask("/", { "accept-encoding": "br" }, "HEAD")).headers["content-encoding"], "br");
  t.equal(seen.length, 1);
  const counted = await metrics();
  for (const coding of CODINGS) t.match(counted, `compressed_total{coding="${coding}"} 1`);
});

t.test("conditions and ranges are of the variant that is chosen", async (t) => {
  const { askEncoded, ask } = await start(t, (_, response) => response.writeHead(200, html).end(TEXT));
  await ask("/", { "accept-encoding": "br" });
  const { headers, body } = await askEncoded("/", "br");
  const { etag = "" } = headers;
  const on = (accept: string, more: Record<string, string>) => ask("/", { "accept-encoding": accept, ...more });
  const known = await on("br", { "if-none-match": etag });
  t.match([known.status, known.headers.etag, known.headers.vary], [304, etag, "Accept-Encoding"]);
  t.equal((await on("br", { "if-none-match": '"a"' })).status, 200, "that is what it was before");
  t.equal((await on("identity", { "if-none-match": '"a"' })).status, 304);
  t.equal((await on("identity", { "if-none-match": etag })).status, 200);
  const part = await on("br", { range: "bytes=5-14", "if-range": etag });
  t.match([part.status, part.headers["content-range"]], [206, `bytes 5-14/${body.length}`]);
  t.equal(part.headers["content-encoding"], "br");
  t.ok(part.body.equals(body.subarray(5, 15)));
  t.equal((await on("br", { range: "bytes=5-14", "if-range": '"a"' })).status, 200);
  const raw = await on("identity", { range: "bytes=5-14", "if-range": '"a"' });
  t.match([raw.status, raw.body.toString()], [206, TEXT.toString("latin1", 5, 15)]);
});

t.test("other content never comes in an old coding, and a validated response keeps its own", async (t) => {
  let text = TEXT;
  let tag = '"1"';
  const { askEncoded, ask, seen, metrics } = await start(t, (incoming, response) => {
    const isSame = incoming.headers["if-none-match"] === tag;
    const fields = { ...html, etag: tag, "cache-control": "max-age=600" };
    response.writeHead(isSame ? 304 : 200, fields).end(isSame ? undefined : text);
  });
  await ask("/", { "accept-encoding": "gzip" });
  const first = await askEncoded("/", "gzip");
  const validated = await ask("/", { "accept-encoding": "gzip", "cache-control": "no-cache" });
  t.match([validated.headers["content-encoding"], validated.headers.etag], ["gzip", first.headers.etag]);
  t.match(validated.headers["cache-status"], "fwd-status=304");
  t.equal(seen[1]?.headers["if-none-match"], '"1"', "the upstream is asked about what it gave");
  text = Buffer.from(TEXT.toString().replaceAll("users", "USERS"));
  tag = '"2"';
  const changed = await ask("/", { "accept-encoding": "gzip", "cache-control": "no-cache" });
  t.match([changed.headers["content-encoding"], changed.headers.etag], [undefined, '"2"']);
  t.ok(changed.body.equals(text));
  const { body, headers } = await askEncoded("/", "gzip");
  t.ok(gunzipSync(body).equals(text));
  t.not(headers.etag, first.headers.etag);
  t.match(await metrics(), 'compressed_total{coding="gzip"} 2');
});

t.test("what the owner or the user agent forbids, and what is not worth it, goes as it is", async (t) => {
  const fieldsByPath: Readonly<Record<string, Record<string, string>>> = {
    "/no-transform": { ...html, "cache-control": "max-age=600, no-transform" },
    "/encoded": { ...html, "content-encoding": "x-own" },
    "/image": { ...html, "content-type": "image/png" },
    "/stream": { ...html, "content-type": "text/event-stream" },
  };
  const { ask, metrics } = await start(t, ({ url = "" }, response) => {
    const fields = fieldsByPath[url] ?? html;
    response.writeHead(200, fields).end(url === "/small" ? "small" : TEXT);
  });
  for (const path of ["/small", ...Object.keys(fieldsByPath)]) {
    for (const turn of [1, 2, 3]) {
      const { headers } = await ask(path, { "accept-encoding": "br, gzip" });
      t.equal(headers["content-encoding"], fieldsByPath[path]?.["content-encoding"], `${path}, ${turn}`);
      t.equal(headers.etag, '"a"', path);
    }
  }
  t.notMatch(await metrics(), "compressed_total{");
  const off = await start(t, (_, response) => response.writeHead(200, html).end(TEXT), { compress: false });
  await off.ask("/", { "accept-encoding": "br" });
  t.equal((await off.ask("/", { "accept-encoding": "br" })).headers.vary, undefined, "only where it is asked for");
});
