import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type RequestListener, request as requestHttp } from "node:http";
import { type ClientHttp2Session, connect as connectH2, type OutgoingHttpHeaders } from "node:http2";
import { Agent, request as requestHttps } from "node:https";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { buffer } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import t, { type Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { until } from "#test/simulation/until.ts";
import { testFolder } from "#test/test-folder.ts";
import { createTestAuthority, type TestPair } from "#test/tls/certificates.ts";
import { FRAME, frameBytes, RawH2Client } from "#test/tls/h2-frames.ts";
import { startStandalone } from "./standalone-proxy.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const CLI = join(import.meta.dirname, "..", "cli", "main.ts");
const NAME = "a.example";
const START_MS_MAX = 60_000;

async function writePair(folder: string, { certificatePem, keyPem }: TestPair) {
  const [certificateFile, keyFile] = [join(folder, "a.crt"), join(folder, "a.key")];
  await writeFile(certificateFile, certificatePem);
  await writeFile(keyFile, keyPem);
  return { kind: "pair", certificateFile, keyFile } as const;
}

async function start(t: Test, upstream: RequestListener) {
  const server = createServer(upstream);
  const { port } = await listen(server, LOCAL);
  t.teardown(() => closeServer(server));
  const authority = await createTestAuthority(systemClock.nowMs());
  const folder = testFolder(t);
  const source = await writePair(folder, await authority.issue([NAME]));
  const edge = await startStandalone({
    listen: LOCAL,
    admin: LOCAL,
    tls: { listen: LOCAL, sources: [source] },
    upstream: new URL(`http://127.0.0.1:${port}`),
    memoryBytesMax: 1e8,
    random: systemRandom,
    clock: systemClock,
    logger: createLogger({ program: "edge", level: "silent" }),
  });
  t.teardown(() => edge[Symbol.asyncDispose]());
  const tlsPort = edge.tls?.address.port ?? 0;
  const session = connectH2(`https://127.0.0.1:${tlsPort}`, { ca: authority.authorityPem, servername: NAME });
  t.teardown(() => session.destroy());
  return { edge, tlsPort, session, ca: authority.authorityPem };
}

interface Answer {
  readonly status: number;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly content: string;
}

function askH2(session: ClientHttp2Session, fields: OutgoingHttpHeaders, content?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = session.request({ ":authority": NAME, ...fields }, { endStream: content === undefined });
    let answered = {};
    let text = "";
    request.on("response", (fields) => {
      answered = fields;
    });
    request.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
    });
    request.on("error", reject);
    request.on("end", () => {
      const { ":status": status, ...rest } = Object.fromEntries(Object.entries(answered));
      resolve({ status: Number(status), fields: rest, content: text });
    });
    if (content !== undefined) request.end(content);
  });
}

function askH1(agent: Agent, port: number, path: string, ca: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { agent, host: "127.0.0.1", port, path, ca, servername: NAME, headers: { host: NAME } };
    const request = requestHttps(options, (response) => {
      let content = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        content += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, fields: response.headers, content }));
    });
    request.on("error", reject).end();
  });
}

t.test("what was asked for over TLS is not given to who asks in the clear", async (t) => {
  let asked = 0;
  const { edge, session } = await start(t, (_request, response) => {
    asked += 1;
    response.writeHead(200, { "cache-control": "max-age=60" }).end(String(asked));
  });
  const inTheClear = async () => {
    const socket = { host: "127.0.0.1", port: edge.address.port, path: "/x", headers: { host: NAME } };
    const [response] = await once(requestHttp(socket).end(), "response");
    let content = "";
    for await (const chunk of response) content += chunk;
    return content;
  };
  t.equal((await askH2(session, { ":path": "/x" })).content, "1");
  t.equal(await inTheClear(), "2");
  t.equal((await askH2(session, { ":path": "/x" })).content, "1");
  t.equal(await inTheClear(), "2");
});

t.test("a hit over TLS is a hit of either protocol", async (t) => {
  let asked = 0;
  const { session, tlsPort, ca } = await start(t, (_request, response) => {
    asked += 1;
    response.writeHead(200, { "cache-control": "max-age=60", etag: '"a"' }).end("hello");
  });
  const agent = new Agent({ keepAlive: true });
  t.teardown(() => agent.destroy());
  t.match((await askH2(session, { ":path": "/x" })).fields["cache-status"], /fwd=uri-miss; stored/);
  t.match((await askH2(session, { ":path": "/x" })).fields["cache-status"], /hit/);
  t.match((await askH1(agent, tlsPort, "/x", ca)).fields["cache-status"], /hit/);
  t.match((await askH1(agent, tlsPort, "/x", ca)).fields["cache-status"], /hit/);
  t.equal((await askH2(session, { ":path": "/x", "if-none-match": '"a"' })).status, 304);
  t.equal((await askH2(session, { ":path": "/x", range: "bytes=1-2" })).content, "el");
  t.equal((await askH2(session, { ":path": "/x", ":method": "HEAD" })).fields["content-length"], "5");
  t.equal(asked, 1);
});

t.test("large hits over TLS come whole and in order, also to a client that asks for several at once", async (t) => {
  const sizes: Readonly<Record<string, number>> = { "/a": 1_000_003, "/b": 70_000, "/c": 131_072, "/d": 5 };
  const contentOf = (path: string) => Buffer.alloc(sizes[path] ?? 0, `${path} ${sizes[path]} `);
  const { tlsPort, ca } = await start(t, (request, response) => {
    response.writeHead(200, { "cache-control": "max-age=60" }).end(contentOf(request.url ?? ""));
  });
  const agent = new Agent({ keepAlive: true });
  t.teardown(() => agent.destroy());
  for (const path of Object.keys(sizes)) await askH1(agent, tlsPort, path, ca);
  const socket = connectTls({ host: "127.0.0.1", port: tlsPort, ca, servername: NAME });
  t.teardown(() => socket.destroy());
  // It says goodbye to an edge that has closed already.
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  const paths = ["/a", "/b", "/d", "/a", "/c", "/d", "/a"];
  // The last of them is for the full lane.
  const ask = (path: string, index: number) =>
    `GET ${path} HTTP/1.1\r\nHost: ${NAME}\r\n${index === paths.length - 1 ? "Connection: close\r\n" : ""}\r\n`;
  socket.write(paths.map(ask).join(""));
  let bytes = await buffer(socket);
  for (const path of paths) {
    const headEnd = bytes.indexOf("\r\n\r\n") + 4;
    const content = contentOf(path);
    t.match(bytes.toString("latin1", 0, headEnd), /^HTTP\/1\.1 200 OK\r\n(.*\r\n)*cache-status: Perigee; hit/);
    t.ok(bytes.subarray(headEnd, headEnd + content.byteLength).equals(content), path);
    bytes = bytes.subarray(headEnd + content.byteLength);
  }
  t.equal(bytes.byteLength, 0);
});

t.test("content of an HTTP/2 request reaches the upstream whole, with and without a stated length", async (t) => {
  const { session } = await start(t, async (request, response) => {
    let content = "";
    for await (const chunk of request) content += chunk;
    response.end(
      `${request.method} ${content} ${request.headers["transfer-encoding"] ?? request.headers["content-length"]}`,
    );
  });
  const post = { ":method": "POST", ":path": "/" };
  t.equal((await askH2(session, post, "hello")).content, "POST hello chunked");
  t.equal((await askH2(session, { ...post, "content-length": 5 }, "hello")).content, "POST hello 5");
});

t.test("what floods by HTTP/2 is ended and counted, and others are served", async (t) => {
  const { edge, session, tlsPort } = await start(t, (_request, response) => {
    response.writeHead(200, { "cache-control": "max-age=60" }).end("hello");
  });
  const attacker = await RawH2Client.open(tlsPort);
  const ping = frameBytes({ type: FRAME.ping, payload: Buffer.alloc(8) });
  attacker.send(...Array.from({ length: 1_000 }, () => ping));
  for (let turn = 0; turn < 20; turn += 1) t.equal((await askH2(session, { ":path": "/x" })).content, "hello");
  await until(() => attacker.isClosed, "the attacker is closed");
  const metrics = await (await fetch(`http://127.0.0.1:${edge.admin?.port}/metrics`)).text();
  t.match(metrics, 'perigee_edge_node_h2_refusals_total{reason="control-flood"} 1');
  t.match(metrics, /perigee_edge_node_certificate_remaining_seconds\{certificate="[^"]*a\.crt"\} 777\d{4}/);
  t.match(metrics, 'perigee_edge_node_tls_handshakes_total{protocol="h2",resumed="false"} 2');
});

t.test("a file that cannot be served ends the start, by its name", async (t) => {
  const folder = testFolder(t, { "a.crt": "nothing", "a.key": "nothing" });
  const files = { certificateFile: join(folder, "a.crt"), keyFile: join(folder, "a.key") };
  const starting = startStandalone({
    listen: LOCAL,
    tls: { listen: LOCAL, sources: [{ kind: "pair", ...files }] },
    upstream: new URL("http://127.0.0.1:1"),
    memoryBytesMax: 1e6,
    random: systemRandom,
    clock: systemClock,
    logger: createLogger({ program: "edge", level: "silent" }),
  });
  await t.rejects(starting, { code: "certificate-invalid", message: /a\.crt: expected 1 to 8 certificates/ });
});

function shownName(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().subjectaltname ?? "");
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

async function startProcess(t: Test, flags: readonly string[]): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [CLI, "edge", "--listen", "127.0.0.1:0", ...flags], {
    stdio: ["ignore", "pipe", "ignore"],
    timeout: START_MS_MAX,
    killSignal: "SIGKILL",
  });
  t.teardown(() => child.kill("SIGKILL"));
  if (child.stdout === null) throw new Error("no standard output");
  for await (const line of createInterface({ input: child.stdout })) {
    const port = /https:\S+:(\d+)$/.exec(line)?.[1];
    if (port !== undefined) return { child, port: Number(port) };
  }
  throw new Error("the edge ended before it served");
}

t.test("perigee edge --listen-tls reads its files again on SIGHUP", { timeout: START_MS_MAX }, async (t) => {
  const authority = await createTestAuthority(systemClock.nowMs());
  const folder = testFolder(t);
  const files = await writePair(folder, await authority.issue(["old.example"]));
  const pair = ["--certificate", files.certificateFile, "--key", files.keyFile];
  const { child, port } = await startProcess(t, [
    "--upstream",
    "http://127.0.0.1:1",
    "--listen-tls",
    "127.0.0.1:0",
    ...pair,
  ]);
  t.equal(await shownName(port), "DNS:old.example");
  await writePair(folder, await authority.issue(["new.example"]));
  child.kill("SIGHUP");
  let shown = "";
  for (let turn = 0; turn < 500 && shown !== "DNS:new.example"; turn += 1) shown = await shownName(port);
  t.equal(shown, "DNS:new.example");
});
