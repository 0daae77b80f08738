import { execFile, execFileSync } from "node:child_process";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  type ClientHttp2Session,
  connect as connectH2,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { promisify } from "node:util";
import t, { type Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { until } from "#test/simulation/until.ts";
import { createTestAuthority } from "#test/tls/certificates.ts";
import { END_HEADERS, END_STREAM, FRAME, fieldBlock, frameBytes, RawH2Client, uint32 } from "#test/tls/h2-frames.ts";
import { Certificates } from "./certificates.ts";
import { readH2Head } from "./h2-head.ts";
import { startTlsListener } from "./tls-listener.ts";

const MEBIBYTE = 1024 * 1024;

async function start(t: Test, answer: (incoming: IncomingMessage, response: ServerResponse) => void) {
  const none = () => {};
  const events = {
    ...{ certificateInForce: none, certificateRefused: none, certificateRemoved: none, certificateRemaining: none },
    ...{
      handshakeDone: none,
      handshakeFailed: none,
      h2Refused: none,
      connectionRefused: none,
      broke: none,
      malformed: none,
    },
  };
  const certificates = new Certificates({ clock: systemClock, events });
  const authority = await createTestAuthority(systemClock.nowMs());
  certificates.offer("a", await authority.issue(["a.example"]));
  const http = createServer(answer);
  const listener = await startTlsListener({
    address: { host: "127.0.0.1", port: 0 },
    certificates,
    serveHttp1: (socket) => http.emit("connection", socket),
    handle: answer,
    events,
    clock: systemClock,
    random: systemRandom,
  });
  t.teardown(() => listener[Symbol.asyncDispose]());
  const session = connectH2(`https://127.0.0.1:${listener.address.port}`, {
    rejectUnauthorized: false,
    // Of this client, for what it uploads.
    maxSessionMemory: 100,
  });
  t.teardown(() => session.destroy());
  return { port: listener.address.port, session };
}

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly content: Buffer;
  readonly informational: readonly IncomingHttpHeaders[];
}

function ask(session: ClientHttp2Session, fields: OutgoingHttpHeaders, content?: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = session.request({ ":authority": "a.example", ...fields }, { endStream: content === undefined });
    const chunks: Buffer[] = [];
    const informational: IncomingHttpHeaders[] = [];
    let headers: IncomingHttpHeaders = {};
    request.on("headers", (fields) => void informational.push(fields));
    request.on("response", (fields) => {
      headers = fields;
    });
    request.on("data", (chunk: Buffer) => void chunks.push(chunk));
    request.on("error", reject);
    request.on("end", () => resolve({ headers, content: Buffer.concat(chunks), informational }));
    if (content !== undefined) request.end(content);
  });
}

t.test("a request's head is what HTTP/1.1 would have said", async (t) => {
  const seen: IncomingMessage[] = [];
  const { session } = await start(t, (incoming, response) => {
    seen.push(incoming);
    response.end();
  });
  await ask(session, { ":path": "/a?b=c", "x-a": ["1", "2"], cookie: ["a=1", "b=2"], te: "trailers" });
  const [request] = seen;
  t.match(request, { method: "GET", url: "/a?b=c", httpVersion: "2.0", httpVersionMajor: 2, complete: true });
  t.same(request?.rawHeaders, ["host", "a.example", "x-a", "1", "x-a", "2", "cookie", "a=1; b=2"]);
  t.same({ ...request?.headers }, { host: "a.example", "x-a": "1, 2", cookie: "a=1; b=2" });
  t.equal(request?.socket.remoteAddress, "127.0.0.1");
});

t.test("Host and :authority that disagree, and what no site can be asked, are refused", async (t) => {
  let handled = 0;
  const { port } = await start(t, (_incoming, response) => {
    handled += 1;
    response.end();
  });
  const client = await RawH2Client.open(port);
  t.teardown(() => client.socket.destroy());
  let stream = -1;
  const statusOf = async (...fields: (readonly [string, string])[]) => {
    stream += 2;
    const own = stream;
    const payload = fieldBlock([[":method", "GET"], [":path", "/"], ...fields]);
    client.send(frameBytes({ type: FRAME.headers, flags: END_HEADERS + END_STREAM, stream, payload }));
    await until(() => client.frames.some((frame) => frame.stream === own), "an answer comes");
    const answer = client.frames.findLast((frame) => frame.stream === own);
    if (answer?.type === FRAME.reset) return "refused";
    return answer?.payload.includes('"status":400') ? "refused" : "served";
  };
  const https = [":scheme", "https"] as const;
  t.equal(await statusOf(https, [":authority", "a.example"], ["host", "b.example"]), "refused", "two that differ");
  t.equal(
    await statusOf(https, [":authority", "a.example"], ["host", "a.example"], ["host", "a.example"]),
    "refused",
    "two fields",
  );
  t.equal(await statusOf(https), "refused", "none");
  t.equal(await statusOf(https, [":authority", "user@a.example"]), "refused", "a user name");
  t.equal(await statusOf([":scheme", "http"], [":authority", "a.example"]), "refused", "in the clear");
  t.equal(handled, 0);
  t.equal(await statusOf(https, [":authority", "a.example"], ["host", "A.example"]), "served");
  t.equal(await statusOf(https, ["host", "a.example"]), "served");
  t.equal(handled, 2);
});

t.test("what breaks the protocol never reaches the handler", async (t) => {
  let handled = 0;
  const { port } = await start(t, (_incoming, response) => {
    handled += 1;
    response.end();
  });
  const plain = [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/"],
    [":authority", "a.example"],
  ] as const;
  const cases: Record<string, readonly (readonly [string, string])[]> = {
    "a field of a connection": [...plain, ["connection", "close"]],
    "transfer-encoding": [...plain, ["transfer-encoding", "chunked"]],
    "te other than trailers": [...plain, ["te", "gzip"]],
    "upper case": [...plain, ["X-A", "1"]],
    "a pseudo-field twice": [...plain, [":path", "/b"]],
    "a pseudo-field after others": [["x-a", "1"], ...plain],
    "an unknown pseudo-field": [[":x", "1"], ...plain],
    "an empty path": [plain[0], plain[1], [":path", ""], plain[3]],
    "content-length without content": [...plain, ["content-length", "5"]],
    "two content-lengths": [...plain, ["content-length", "0"], ["content-length", "0"]],
    CONNECT: [
      [":method", "CONNECT"],
      [":authority", "a.example:443"],
    ],
  };
  for (const [name, fields] of Object.entries(cases)) {
    const client = await RawH2Client.open(port);
    const payload = fieldBlock(fields);
    client.send(frameBytes({ type: FRAME.headers, flags: END_HEADERS + END_STREAM, stream: 1, payload }));
    const isRefused = ({ type, payload }: { type: number; payload: Buffer }) =>
      type === FRAME.reset || type === FRAME.goaway || (type === FRAME.data && payload.includes('"status":400'));
    await until(() => client.frames.some(isRefused), `${name} is refused`);
    client.socket.destroy();
  }
  t.equal(handled, 0);
});

t.test("a field that HTTP/1.1 could not carry never reaches the handler", async (t) => {
  const seen: string[] = [];
  const { port } = await start(t, (incoming, response) => {
    seen.push(...incoming.rawHeaders);
    response.end();
  });
  const client = await RawH2Client.open(port);
  t.teardown(() => client.socket.destroy());
  const fields = [
    ["x-break", "1\r\nhost: b.example"],
    ["x-nul", "1\0"],
    ["x space", "1"],
    ["x-colon:", "1"],
    ["x-plain", "1"],
  ] as const;
  const plain = [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/"],
    [":authority", "a.example"],
  ] as const;
  const payload = fieldBlock([...plain, ...fields]);
  client.send(frameBytes({ type: FRAME.headers, flags: END_HEADERS + END_STREAM, stream: 1, payload }));
  await until(() => client.frames.some(({ stream }) => stream === 1), "an answer comes");
  t.same(seen, ["host", "a.example", "x-plain", "1"]);
});

t.test("answers have no field of a connection, the others as they were given, also twice", async (t) => {
  const { session } = await start(t, (incoming, response) => {
    response.setHeader("x-own", "before");
    response.setHeader("x-replaced", "before");
    const fields = ["Connection", "keep-alive", "Keep-Alive", "timeout=5", "Transfer-Encoding", "chunked"];
    const more = ["set-cookie", "a=1", "set-cookie", "b=2", "cache-status", "A; hit", "cache-status", "B; hit"];
    if (incoming.url === "/flat")
      response.writeHead(200, [...fields, ...more, "X-Replaced", "after", "age", "1", "age", "2"]);
    else
      response.writeHead(404, "Nowhere", {
        Upgrade: "h2c",
        "Set-Cookie": ["a=1", "b=2"],
        "X-Replaced": "after",
        "x-n": 7,
      });
    response.end("content");
  });
  const flat = await ask(session, { ":path": "/flat" });
  t.equal(flat.content.toString(), "content");
  t.match(flat.headers, { ":status": 200, "x-own": "before", "x-replaced": "after", "set-cookie": ["a=1", "b=2"] });
  t.equal(flat.headers["cache-status"], "A; hit, B; hit");
  for (const name of ["connection", "keep-alive", "transfer-encoding"]) t.notOk(name in flat.headers, name);
  const object = await ask(session, { ":path": "/object" });
  t.match(object.headers, { ":status": 404, "set-cookie": ["a=1", "b=2"], "x-n": "7", "x-replaced": "after" });
  t.notOk("upgrade" in object.headers);
  t.match(object.headers.date, /GMT$/);
});

t.test("HEAD, 204 and 304 have no content, whatever the handler writes", async (t) => {
  const ends: string[] = [];
  const { session } = await start(t, (incoming, response) => {
    response.on("finish", () => void ends.push(`finish ${incoming.url}`));
    response.on("close", () => void ends.push(`close ${incoming.url}`));
    response.writeHead(Number(incoming.url?.slice(1)), { "content-length": "5", etag: '"a"' });
    if (incoming.url !== "/200") response.write("he");
    response.end("hello");
  });
  for (const [method, status] of [
    ["HEAD", 200],
    ["GET", 204],
    ["GET", 304],
  ] as const) {
    const { headers, content } = await ask(session, { ":method": method, ":path": `/${status}` });
    t.match([headers[":status"], headers.etag, content.byteLength], [status, '"a"', 0], `${method} ${status}`);
  }
  await until(() => ends.length === 6, "each is finished and closed once");
  t.same(
    ends,
    [200, 204, 304].flatMap((status) => [`finish /${status}`, `close /${status}`]),
  );
});

t.test("content goes both ways, by flow control, as much of it as is read", async (t) => {
  const { session } = await start(t, (incoming, response) => {
    response.writeHead(200, { "x-encoding": incoming.headers["transfer-encoding"] ?? "none" });
    incoming.pipe(response);
  });
  const content = Buffer.from(Array.from({ length: 3 * MEBIBYTE }, (_, index) => (index * 7 + (index >> 9)) & 0xff));
  const answers = await Promise.all(
    Array.from({ length: 4 }, (_, index) => ask(session, { ":method": "POST", ":path": `/${index}` }, content)),
  );
  for (const answer of answers) t.ok(answer.content.equals(content));
  t.equal(answers[0]?.headers["x-encoding"], "chunked", "content of no stated length is what HTTP/1.1 calls chunked");
  const stated = await ask(session, { ":method": "POST", ":path": "/", "content-length": 5 }, Buffer.from("hello"));
  t.same([stated.content.toString(), stated.headers["x-encoding"]], ["hello", "none"]);
});

t.test("a hundred answers of a megabyte at once come whole", async (t) => {
  const large = Buffer.from(Array.from({ length: MEBIBYTE }, (_, index) => (index * 11 + (index >> 10)) & 0xff));
  const { session } = await start(t, (_incoming, response) => {
    response.writeHead(200, { "content-length": large.byteLength });
    response.end(large);
  });
  const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => ask(session, { ":path": `/${index}` })));
  t.equal(answers.filter(({ content }) => content.equals(large)).length, 100);
});

t.test("a writer waits for the client, and goes on with drain", async (t) => {
  const chunk = Buffer.alloc(200_000, "x");
  let waits = 0;
  const { session } = await start(t, (_incoming, response) => {
    let left = 10;
    const go = () => {
      while (left > 0) {
        left -= 1;
        if (response.write(chunk)) continue;
        waits += 1;
        return void response.once("drain", go);
      }
      response.end();
    };
    go();
  });
  t.equal((await ask(session, { ":path": "/" })).content.byteLength, 2_000_000);
  t.ok(waits > 0, `${waits} waits`);
});

t.test("informational responses go before the answer", async (t) => {
  const { session } = await start(t, (_incoming, response) => {
    response.writeEarlyHints({ link: "</a.css>; rel=preload" });
    response.writeInformation(103, ["link", "</b.css>; rel=preload", "connection", "close"]);
    response.end("hello");
  });
  const { informational, headers } = await ask(session, { ":path": "/", expect: "100-continue" });
  t.match(
    informational.map((fields) => fields[":status"]),
    [100, 103, 103],
  );
  t.same(informational.map(({ link }) => link).slice(1), ["</a.css>; rel=preload", "</b.css>; rel=preload"]);
  t.equal(headers[":status"], 200);
});

t.test("an answer that is cut is reset, a request that is cut is told", async (t) => {
  const seen: string[] = [];
  const { port, session } = await start(t, (incoming, response) => {
    incoming.on("aborted", () => void seen.push("aborted"));
    response.on("close", () => void seen.push(`closed ${response.writableFinished}`));
    if (incoming.method === "POST") {
      incoming.on("end", () => void seen.push("end"));
      incoming.on("error", () => void seen.push("error")).once("data", () => void seen.push("data"));
      return;
    }
    response.writeHead(200, { "content-length": 100 });
    response.write("half", () => response.destroy());
  });
  await t.rejects(ask(session, { ":path": "/" }));
  await until(() => seen.length === 1, "the handler is told");
  t.same(seen.splice(0), ["closed false"]);
  const client = await RawH2Client.open(port);
  t.teardown(() => client.socket.destroy());
  for (const [stream, code] of [
    [1, 8],
    [3, 0],
  ] as const) {
    const head = fieldBlock([
      [":method", "POST"],
      [":scheme", "https"],
      [":path", "/"],
      [":authority", "a.example"],
    ]);
    client.send(frameBytes({ type: FRAME.headers, flags: END_HEADERS, stream, payload: head }));
    client.send(frameBytes({ type: FRAME.data, stream, payload: Buffer.from("half") }));
    await until(() => seen.length === 1, "it has begun");
    client.send(frameBytes({ type: FRAME.reset, stream, payload: uint32(code) }));
    await until(() => seen.length === 4, "the handler is told");
    t.same(seen.splice(0).sort(), ["aborted", "closed false", "data", "error"], `by code ${code}`);
  }
});

t.test("what is refused before its content was read leaves the connection open", async (t) => {
  const { session } = await start(t, (incoming, response) => {
    if (incoming.method === "POST") response.writeHead(413);
    response.end();
  });
  for (let turn = 0; turn < 5; turn += 1) {
    const { headers } = await ask(session, { ":method": "POST", ":path": "/" }, Buffer.alloc(MEBIBYTE));
    t.equal(headers[":status"], 413);
  }
  t.equal((await ask(session, { ":path": "/" })).headers[":status"], 200);
});

t.test("curl speaks both with it", { skip: hasCurl() ? false : "curl is not here" }, async (t) => {
  const { port } = await start(t, (incoming, response) => {
    response.end(`${incoming.httpVersion} ${incoming.headers.host} ${incoming.url}`);
  });
  const run = promisify(execFile);
  for (const [flag, version] of [
    ["--http2", "2.0"],
    ["--http1.1", "1.1"],
  ] as const) {
    const names = ["--resolve", `a.example:${port}:127.0.0.1`];
    const { stdout } = await run("curl", ["-sk", flag, ...names, `https://a.example:${port}/x?y`]);
    t.equal(stdout, `${version} a.example:${port} /x?y`);
  }
});

function hasCurl(): boolean {
  try {
    return execFileSync("curl", ["--version"], { encoding: "utf8" }).includes("HTTP2");
  } catch {
    return false;
  }
}

t.test("heads are read as a table says", async (t) => {
  const options = { hasContent: false, headerListBytesMax: 1_000 };
  const raw = (...more: string[]) => [":method", "GET", ":scheme", "https", ":path", "/", ...more];
  t.match(readH2Head(raw(":authority", "a", "x", "content-length"), { ...options, hasContent: true }), {
    rawHeaders: ["host", "a", "x", "content-length", "transfer-encoding", "chunked"],
  });
  t.match(readH2Head(raw(":authority", "a", "x", "a".repeat(1_000)), options), { kind: "refused", status: 431 });
  t.match(readH2Head(raw("host", "a", "host", "a"), options), { kind: "refused", status: 400 });
  t.match(readH2Head(raw(":authority", ""), options), { kind: "refused", status: 400 });
});
