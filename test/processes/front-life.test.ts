import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import t from "tap";
import { answerByPath, get, isRunning, startBefore } from "#test/processes/several-processes.ts";
import { until } from "#test/simulation/until.ts";
import { testFolder } from "#test/test-folder.ts";

t.test("a client of a front process that goes away is gone for the upstream too", async (t) => {
  const begun = Promise.withResolvers<IncomingMessage>();
  const { edge, open } = await startBefore(t, (request) => begun.resolve(request), { count: 2 });
  const [front = 0] = edge.fronts();
  const connection = await open(front);
  connection.write("POST /hung HTTP/1.1\r\nHost: edge\r\nContent-Length: 10\r\n\r\nhalf");
  const request = await begun.promise;
  const closed = new Promise((resolve) => request.on("error", () => {}).once("close", resolve));
  request.resume();
  connection.socket.resetAndDestroy();
  await closed;
  t.notOk(request.complete);
});

t.test("a large answer waits for a slow reader, whole", async (t) => {
  const { edge, open } = await startBefore(t, answerByPath, { count: 2 });
  const [front = 0] = edge.fronts();
  const { socket } = await open(front);
  socket.pause();
  socket.removeAllListeners("data");
  socket.write("GET /large HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n");
  const other = await open(front);
  for (let turn = 0; turn < 100; turn += 1) await get(other, "/missed");
  let bytes = 0;
  socket.on("data", (chunk) => {
    bytes += chunk.byteLength;
  });
  socket.resume();
  await once(socket, "close");
  t.ok(bytes > 8_000_000, `${bytes} bytes`);
});

t.test("a killed front process takes its connections along, and is started again", async (t) => {
  const { edge, open } = await startBefore(t, answerByPath);
  const [one = 0, other = 0] = edge.fronts();
  const connections = [await open(edge.main), await open(other)];
  const lost = await open(one);
  process.kill(one, "SIGKILL");
  await lost.rest();
  for (const connection of connections) t.match(await get(connection, "/stored"), /^HTTP\/1\.1 200 /);
  const isBack = () => edge.fronts().find((pid) => pid !== one && pid !== other);
  await until(() => isBack() !== undefined, "another is started");
  await until(() => !isRunning(one), "it is gone");
  await edge.untilCopied(await open(isBack() ?? 0), "/stored");
  t.equal(await edge.metric("front_process_ends_total"), 1);
});

t.test("front processes end with a main process that is killed", async (t) => {
  const { edge, open } = await startBefore(t, answerByPath);
  const fronts = edge.fronts();
  const connection = await open(fronts[0] ?? 0);
  await get(connection, "/stored");
  process.kill(edge.main, "SIGKILL");
  await connection.rest();
  await until(() => fronts.every((pid) => !isRunning(pid)), "they have ended");
  t.equal(fronts.length, 2);
});

t.test("every request is a line of the access log and counted once, whoever answered it", async (t) => {
  const accessLog = join(testFolder(t), "access.log");
  const { edge, open } = await startBefore(t, answerByPath, { flags: ["--access-log", accessLog] });
  const wanted: string[] = [];
  for (const pid of [edge.main, ...edge.fronts()]) {
    const connection = await open(pid);
    for (let turn = 0; turn < 20; turn += 1) {
      for (const target of [`/stored?of=${pid}`, `/missed?of=${pid}&turn=${turn}`]) {
        t.match(await get(connection, target), /^HTTP\/1\.1 200 /);
        wanted.push(target);
      }
    }
  }
  let counted = 0;
  for (let tries = 0; counted < wanted.length && tries < 2_000; tries += 1)
    counted = await edge.metric("requests_total");
  t.equal(counted, wanted.length);
  t.ok((await edge.metric("front_hits_total")) > 0);
  await edge.stop();
  const lines = readFileSync(accessLog, "utf8").trimEnd().split("\n");
  t.same(lines.map((line) => JSON.parse(line).target).sort(), wanted.sort());
});
