import { createServer, type RequestListener } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import t, { type Test } from "tap";
import { closeServer, listen } from "#platform/http/listening.ts";
import { createLogger } from "#platform/logging.ts";
import { seededRandom } from "#platform/random.ts";
import { until } from "#test/simulation/until.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { type StandaloneOptions, startStandalone } from "./standalone-proxy.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };

async function startEdge(t: Test, upstreamPort: number, clock: VirtualClock, more: Partial<StandaloneOptions> = {}) {
  const edge = await startStandalone({
    listen: { host: "127.0.0.1", port: 0 },
    upstream: new URL(`http://127.0.0.1:${upstreamPort}`),
    memoryBytesMax: 1e6,
    random: seededRandom(1),
    clock,
    logger: createLogger({ program: "edge", level: "silent" }),
    ...more,
  });
  t.teardown(() => edge[Symbol.asyncDispose]());
  return async (path: string, headers: Record<string, string> = {}, method = "GET") => {
    const answer = await fetch(`http://127.0.0.1:${edge.address.port}${path}`, {
      headers: { "cache-control": "max-age=3600", ...headers },
      method,
    });
    return { status: answer.status, headers: answer.headers, text: await answer.text() };
  };
}

async function startHere(t: Test, listener: RequestListener) {
  const server = createServer(listener);
  const upstream = await listen(server, LOCAL);
  t.teardown(() => closeServer(server));
  const edge = await startStandalone({
    listen: LOCAL,
    admin: LOCAL,
    upstream: new URL(`http://127.0.0.1:${upstream.port}`),
    memoryBytesMax: 1e6,
    random: seededRandom(1),
    clock: new VirtualClock(),
    logger: createLogger({ program: "edge", level: "silent" }),
  });
  t.teardown(() => edge[Symbol.asyncDispose]());
  return { server, edge };
}

/** Whatever bytes; gives all that is answered. */
async function sendRaw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, "127.0.0.1").setEncoding("utf8");
  socket.write(bytes);
  let answer = "";
  for await (const chunk of socket) answer += chunk;
  return answer;
}

async function start(t: Test, listener: RequestListener, more: Partial<StandaloneOptions> = {}) {
  const server = createServer(listener);
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(server));
  const clock = new VirtualClock(Date.UTC(2026, 10, 24));
  return { server, clock, ask: await startEdge(t, port, clock, more) };
}

t.test("a stored response is a hit with its Age, by part, by condition and for HEAD", async (t) => {
  let asked = 0;
  const { clock, ask } = await start(t, (_request, response) => {
    asked += 1;
    response.sendDate = false;
    response.writeHead(200, { "cache-control": "max-age=60", etag: '"a"', "content-length": 10 }).end("0123456789");
  });
  t.match((await ask("/x")).headers.get("cache-status"), "fwd=uri-miss; stored");
  await clock.advance(5000);
  const hit = await ask("/x");
  t.match(
    [hit.text, hit.headers.get("age"), hit.headers.get("cache-status")],
    ["0123456789", "5", "Perigee; hit; ttl=55"],
  );
  const part = await ask("/x", { range: "bytes=2-4" });
  t.match([part.status, part.text, part.headers.get("content-range")], [206, "234", "bytes 2-4/10"]);
  t.equal((await ask("/x", { range: "bytes=2-4", "if-range": 'W/"a"' })).status, 200);
  t.equal((await ask("/x", { range: "bytes=20-" })).status, 416);
  t.equal((await ask("/x", { "if-none-match": '"a"' })).status, 304);
  t.equal((await ask("/x", {}, "HEAD")).headers.get("content-length"), "10");
  t.equal(asked, 1);
  await ask("/x", {}, "POST");
  await ask("/x");
  t.equal(asked, 3, "an unsafe method made it invalid");
});

t.test("stale is validated with a 304, and served when the upstream is dead only as it allows", async (t) => {
  const { server, clock, ask } = await start(t, (request, response) => {
    response.sendDate = false;
    const fields = { "cache-control": "max-age=10, stale-if-error=100", etag: '"a"' };
    response.writeHead(request.headers["if-none-match"] === '"a"' ? 304 : 200, fields).end("hello");
  });
  await ask("/x");
  await clock.advance(20_000);
  t.match((await ask("/x")).headers.get("cache-status"), "fwd=stale; fwd-status=304");
  t.match((await ask("/x")).headers.get("cache-status"), "hit");
  await closeServer(server);
  await clock.advance(20_000);
  const stale = await ask("/x");
  t.match([stale.text, stale.headers.get("cache-status")], ["hello", /stale-if-error/]);
  await clock.advance(200_000);
  const dead = await ask("/x");
  t.equal(dead.status, 502);
  t.match(dead.headers.get("proxy-status"), "Perigee; error=");
});

t.test("requests for one target at once are one at the upstream", async (t) => {
  let asked = 0;
  let open = () => {};
  const { ask } = await start(t, (_request, response) => {
    asked += 1;
    response.writeHead(200, { "cache-control": "max-age=60" }).write("a");
    open = () => response.end("b");
  });
  const first = ask("/x");
  await until(() => asked === 1, "the upstream is asked");
  const others = Array.from({ length: 20 }, () => ask("/x"));
  open();
  for (const answer of await Promise.all([first, ...others])) t.equal(answer.text, "ab");
  t.equal(asked, 1);
});

t.test("what a gateway must refuse is refused before the upstream is asked", async (t) => {
  let asked = 0;
  const { server, edge } = await startHere(t, (_request, response) => {
    asked += 1;
    response.end();
  });
  const send = (...lines: string[]) => sendRaw(edge.address.port, `${lines.join("\r\n")}\r\nConnection: close\r\n\r\n`);
  t.match(await send("GET /x HTTP/1.1", "Host: a", "Host: b"), /^HTTP\/1\.1 400 .*a request has one Host/s);
  t.match(await send("TRACE /x HTTP/1.1", "Host: a"), /^HTTP\/1\.1 501 .*TRACE is not for a gateway/s);
  t.match(await send("GET http://b/x HTTP/1.1", "Host: a"), /^HTTP\/1\.1 400 .*another host than Host/s);
  t.match(await send("OPTIONS * HTTP/1.1", "Host: a"), /^HTTP\/1\.1 400 .*must be a path/s);
  t.match(await send("GET /x HTTP/1.1"), /^HTTP\/1\.1 400 /, "no Host");
  t.match(
    await send("POST /x HTTP/1.1", "Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"),
    /^HTTP\/1\.1 400 /,
  );
  t.equal(asked, 0);
  const metrics = await (await fetch(`http://127.0.0.1:${edge.admin?.port}/metrics`)).text();
  t.match(metrics, 'perigee_edge_node_requests_total{outcome="refused",status="501"} 1');
  t.match(metrics, 'perigee_edge_node_requests_total{outcome="refused",status="400"} 4');
  t.notMatch(metrics, /upstream_failures_total\{/);
  await closeServer(server);
  const failed = await send("GET /x HTTP/1.1", "Host: a");
  t.match(failed, /^HTTP\/1\.1 502 .*cannot be reached/s);
  t.notMatch(failed, /ECONNREFUSED|127\.0\.0\.1/, "addresses of the inside are for the log");
});

t.test("a variant that is not stored is told from a target that is not", async (t) => {
  const { ask } = await start(t, (request, response) => {
    response.writeHead(200, { "cache-control": "max-age=60", vary: "accept-language" });
    response.end(request.headers["accept-language"]);
  });
  const got = async (language: string) => {
    const { text, headers } = await ask("/x", { "accept-language": language });
    return [text, headers.get("cache-status")];
  };
  t.same(await got("en"), ["en", "Perigee; fwd=uri-miss; stored"]);
  t.same(await got("de"), ["de", "Perigee; fwd=vary-miss; stored"]);
  t.same(await got("en"), ["en", "Perigee; hit; ttl=60"]);
});

t.test("garbage is 502 and a hang is 504, each by name", async (t) => {
  const garbage = createTcpServer(
    (socket) =>
      void socket
        .on("error", () => {})
        .resume()
        .end("garbage\r\n\r\n"),
  );
  const { port } = await listen(garbage, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(garbage));
  const bad = await (await startEdge(t, port, new VirtualClock()))("/x");
  t.match([bad.status, bad.headers.get("proxy-status")], [502, "Perigee; error=http_protocol_error"]);
  let asked = 0;
  const { clock, ask } = await start(t, () => {
    asked += 1;
  });
  const hanging = ask("/x");
  await until(() => asked === 1, "the upstream is asked");
  await clock.advance(60_000);
  t.match([(await hanging).status, (await hanging).headers.get("proxy-status")], [504, /http_response_timeout/]);
});

t.test("an upstream that hangs is not waited for long where stale may be served, nor asked each time", async (t) => {
  let asked = 0;
  const fields = { "cache-control": "max-age=10", etag: '"a"' };
  const { clock, ask } = await start(
    t,
    (_request, response) => {
      asked += 1;
      response.sendDate = false;
      if (asked === 1) response.writeHead(200, fields).end("hello");
    },
    { maxStaleSeconds: 3600 },
  );
  await ask("/x");
  await clock.advance(20_000);
  const first = ask("/x");
  await until(() => asked === 2, "the upstream is asked");
  await clock.advance(2000);
  t.match([(await first).text, (await first).headers.get("cache-status")], ["hello", /max-stale/]);
  t.match([(await ask("/x")).text, asked], ["hello", 2], "the upstream is known to be down");
  await clock.advance(5000);
  const again = ask("/x");
  await clock.advance(2000);
  t.equal((await again).text, "hello");
  await clock.advance(3_600_000);
  const tooStale = ask("/x");
  await until(() => asked >= 3, "the upstream is asked");
  await clock.advance(60_000);
  t.equal((await tooStale).status, 504);
});

t.test("a truncated body cuts the answer and is not stored", async (t) => {
  let asked = 0;
  const { ask } = await start(t, (_request, response) => {
    asked += 1;
    response.writeHead(200, { "cache-control": "max-age=60", "content-length": 100 });
    response.write("half", () => response.destroy());
  });
  await t.rejects(ask("/x"));
  await t.rejects(ask("/x"));
  t.equal(asked, 2);
});

t.test("a large body is stored while it passes and then read from disk, also by part", async (t) => {
  let asked = 0;
  const body = Buffer.from(Array.from({ length: 1_500_000 }, (_, index) => (index * 7 + (index >> 9)) & 0x7f));
  const folder = testFolder(t);
  const { ask } = await start(
    t,
    (_request, response) => {
      asked += 1;
      response.writeHead(200, { "cache-control": "max-age=60" }).end(body);
    },
    { disk: { folder, bytesMax: 1e8 } },
  );
  t.ok((await ask("/x")).text === body.toString(), "passed through");
  let hit = await ask("/x");
  for (let turn = 0; turn < 500 && !hit.headers.get("cache-status")?.includes("hit"); turn += 1) hit = await ask("/x");
  t.match(hit.headers.get("cache-status"), "Perigee; hit", "until it is on disk it is joined");
  t.ok(hit.text === body.toString(), "from disk");
  const part = await ask("/x", { range: "bytes=262140-600000" });
  t.match([part.status, part.headers.get("content-range")], [206, "bytes 262140-600000/1500000"]);
  t.ok(part.text === body.toString("latin1", 262_140, 600_001), "a part over slices");
  t.equal((await ask("/x", {}, "HEAD")).headers.get("content-length"), "1500000");
  t.equal(asked, 1);
});
