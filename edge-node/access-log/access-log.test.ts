import { appendFileSync, readFileSync, renameSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { join } from "node:path";
import fc from "fast-check";
import t, { type Test } from "tap";
import { Failure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { createLogger } from "#platform/logging.ts";
import { seededRandom } from "#platform/random.ts";
import { openRaw } from "#test/front/raw-connection.ts";
import { until } from "#test/simulation/until.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { startStandalone } from "../standalone-proxy.ts";
import { accessLine, answerText, clientText, plainAfter, plainBefore } from "./access-line.ts";
import { AccessLog, BATCHES_MAX } from "./access-log.ts";
import { LogFile } from "./log-file.ts";

/** For a line to be written, on a busy machine. */
const LINES_MS_MAX = 20_000;
const CLIENT = { remoteAddress: "::1", host: "edge", protocol: "HTTP/1.1", userAgent: "test" };
const quiet = { accessLinesLost: () => {}, accessLogFailed: () => {} };

t.test("whatever a request says, its line is one line of JSON with bounded members that say it", async (t) => {
  const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.string({ maxLength: 5_000, minLength: 4_000 }));
  fc.assert(
    fc.property(text, text, text, fc.option(text, { nil: undefined }), (target, method, userAgent, requestId) => {
      const client = clientText({ ...CLIENT, userAgent });
      const answer = answerText({ status: 200, bytes: 3, cache: "hit" });
      const line = accessLine({
        time: "now",
        client,
        method,
        target,
        requestId,
        answer,
        durationUs: 7,
        isAborted: true,
      });
      const read: unknown = JSON.parse(line);
      const wanted = {
        method: method.slice(0, 255),
        target: target.slice(0, 2_048),
        userAgent: userAgent.slice(0, 512),
      };
      t.match(read, { time: "now", remote: "::1", host: "edge", status: 200, bytes: 3, cache: "hit", aborted: true });
      t.match(read, wanted);
      t.equal(line.indexOf("\n"), line.length - 1, "one line");
    }),
    { numRuns: 200 },
  );
});

t.test("the line of the fast lane is the line of the full lane", async (t) => {
  const clock = new VirtualClock();
  const texts: string[] = [];
  const sink = {
    write: async (bytes: Uint8Array) => void texts.push(Buffer.from(bytes).toString()),
    reopen: () => {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const log = new AccessLog({ sink, clock, events: quiet });
  const [client, answer] = [clientText(CLIENT), answerText({ status: 304, bytes: 0, cache: "hit" })];
  const parts = { before: plainBefore(client, "GET"), after: plainAfter(answer) };
  const lines: string[] = [];
  const targets = ["/", "/a?b=c&d=%20", `/${"x".repeat(5_000)}`];
  const durations = [0, 1, 9, 10, 99, 100, 12_345_678_901];
  for (const [index, durationUs] of durations.entries()) {
    const target = targets[index % targets.length] ?? "";
    const atMs = index * 400;
    const time = log.timeOf(atMs);
    lines.push(accessLine({ time, client, method: "GET", target, answer, durationUs }));
    const head = Buffer.from(`GET ${target} HTTP/1.1\r\n`);
    log.writePlain(parts, head, 4, 4 + target.length, atMs, durationUs);
  }
  await log[Symbol.asyncDispose]();
  t.equal(texts.join(""), lines.join(""));
});

t.test("lines are written behind, many at once; what a slow disk has no room for is lost and counted", async (t) => {
  const clock = new VirtualClock();
  const written: string[] = [];
  let go = () => {};
  const lost: number[] = [];
  const sink = {
    write: async (bytes: Uint8Array) => {
      written.push(Buffer.from(bytes).toString());
      await new Promise<void>((resolve) => {
        go = resolve;
      });
    },
    reopen: () => {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const events = { ...quiet, accessLinesLost: (lines: number) => void lost.push(lines) };
  const log = new AccessLog({ sink, clock, events });
  log.write("a\n");
  log.write("b\n");
  t.same(written, [], "behind");
  await clock.advance(500);
  t.same(written, ["a\nb\n"]);
  const line = `${"x".repeat(20_000)}\n`;
  let kept = 0;
  for (; kept + 1 < BATCHES_MAX; kept += 1) log.write(line);
  for (let index = 0; index < 2; index += 1) log.write(line);
  log.writePlain({ before: Buffer.alloc(30_000), after: Buffer.alloc(30_000) }, Buffer.from("/"), 0, 1, 0, 1);
  t.equal(written.length, 1, "one write at a time");
  const disposed = log[Symbol.asyncDispose]();
  for (let batch = 2; batch <= BATCHES_MAX; batch += 1) {
    go();
    await until(() => written.length === batch, `batch ${batch} is written`);
  }
  t.equal(written.slice(1).join(""), line.repeat(kept));
  go();
  await until(() => lost.length > 0, "what was lost is counted");
  await disposed;
  t.same(lost, [3]);
});

t.test("a log that cannot be written is told of, its lines are counted, and it goes on", async (t) => {
  const clock = new VirtualClock();
  const told: unknown[] = [];
  const written: string[] = [];
  const sink = {
    write: async (bytes: Uint8Array) => {
      if (told.length === 0) throw new Failure("storage-failed", "no space");
      written.push(Buffer.from(bytes).toString());
    },
    reopen: () => {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const events = {
    accessLinesLost: (lines: number) => void told.push(lines),
    accessLogFailed: () => void told.push("failed"),
  };
  const log = new AccessLog({ sink, clock, events });
  log.write("a\n");
  await clock.advance(500);
  t.same(told, [1, "failed"]);
  log.write("b\n");
  await log[Symbol.asyncDispose]();
  t.same(written, ["b\n"]);
});

t.test("a file that was renamed is begun anew, also when told to", async (t) => {
  const path = join(testFolder(t), "access.log");
  const file = await LogFile.open(path);
  await file.write(Buffer.from("1\n"));
  renameSync(path, `${path}.1`);
  await file.write(Buffer.from("2\n"));
  file.reopen();
  appendFileSync(path, "other\n");
  await file.write(Buffer.from("3\n"));
  await file[Symbol.asyncDispose]();
  t.equal(readFileSync(`${path}.1`, "utf8"), "1\n");
  t.equal(readFileSync(path, "utf8"), "2\nother\n3\n");
  await t.rejects(LogFile.open(join(path, "below")), { code: "storage-failed" });
});

async function startLogged(t: Test, listener: RequestListener) {
  const upstream = createServer(listener);
  const { port } = await listen(upstream, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(upstream));
  const accessLog = join(testFolder(t), "access.log");
  const clock = new VirtualClock(Date.UTC(2026, 10, 24));
  const edge = await startStandalone({
    listen: { host: "127.0.0.1", port: 0 },
    upstream: new URL(`http://127.0.0.1:${port}`),
    memoryBytesMax: 1e7,
    random: seededRandom(1),
    clock,
    logger: createLogger({ program: "edge", level: "silent" }),
    accessLog,
  });
  t.teardown(() => edge[Symbol.asyncDispose]());
  const lines = async (count: number): Promise<unknown[]> => {
    const read = () => readFileSync(accessLog, "utf8").split("\n").slice(0, -1);
    const limit = systemClock.deadline(LINES_MS_MAX);
    while (read().length < count && !limit.aborted) await clock.advance(500);
    return read().map((line): unknown => JSON.parse(line));
  };
  return { open: () => openRaw(edge.address.port), lines };
}

const ask = (target: string, ...more: readonly string[]) =>
  [`GET ${target} HTTP/1.1`, "Host: edge", ...more, "", ""].join("\r\n");

t.test("every request has its line: answered on either lane, refused, or aborted", async (t) => {
  const { open, lines } = await startLogged(t, (request, response) => {
    if (request.url === "/hung") {
      response.writeHead(200, { "content-length": 100 }).write("begun");
      return;
    }
    response.writeHead(200, { "cache-control": "max-age=60" }).end("hello");
  });
  using connection = await open();
  for (const head of [ask("/a"), ask("/a", 'User-Agent: a"b\\c', "X-Request-Id: 7"), ask("/a", "Range: bytes=0-1")]) {
    connection.write(head);
    await connection.answer();
  }
  connection.write(`HEAD /a HTTP/1.1\r\nHost: edge\r\n\r\n`);
  await connection.answer({ isHead: true });
  connection.write("NONSENSE\r\n\r\n");
  await connection.rest();
  using aborted = await open();
  aborted.write(ask("/hung"));
  await until(() => aborted.socket.bytesRead > 0, "its head is there");
  aborted.socket.destroy();
  const read = await lines(6);
  const common = { remote: "127.0.0.1", host: "edge", protocol: "HTTP/1.1", method: "GET", target: "/a" };
  const time = "2026-11-24T00:00:00.000Z";
  t.match(read[0], { ...common, time, status: 200, bytes: 5, cache: "uri-miss" });
  t.match(read[1], { ...common, status: 200, bytes: 5, cache: "hit", userAgent: 'a"b\\c', requestId: "7" });
  t.match(read[2], { ...common, status: 206, bytes: 2, cache: "hit" });
  t.match(read[3], { ...common, method: "HEAD", status: 200, bytes: 0, cache: "hit" });
  t.match(read[4], { remote: "127.0.0.1", method: "", target: "", status: 400, cache: "refused" });
  t.match(read[5], { ...common, target: "/hung", status: 200, bytes: 5, aborted: true });
  t.equal(read.length, 6);
});
