import t from "tap";
import type { RawConnection } from "#test/front/raw-connection.ts";
import { answerByPath, get, STORED, startBefore } from "#test/processes/several-processes.ts";

/** Without what time alone changes. */
const timeless = (answer: string) => answer.replace(/(\r\nage: |ttl=)-?\d+|(\r\ndate: )[^\r]*/gi, "$1$2");

/** What is sent on one connection, and how many answers come; after `undefined` the connection is closed. */
const EXCHANGES: Readonly<Record<string, readonly [bytes: string, answers: number | undefined]>> = {
  hit: ["GET /stored HTTP/1.1\r\nHost: edge\r\n\r\n", 1],
  "not modified": ['GET /stored HTTP/1.1\r\nHost: edge\r\nIf-None-Match: "one"\r\n\r\n', 1],
  "part of a hit": ["GET /stored HTTP/1.1\r\nHost: edge\r\nRange: bytes=1-3\r\n\r\n", 1],
  miss: ["GET /missed HTTP/1.1\r\nHost: edge\r\n\r\n", 1],
  "POST of known length": ["POST /x HTTP/1.1\r\nHost: edge\r\nContent-Length: 5\r\n\r\nhello", 1],
  "POST in chunks": [
    "POST /x HTTP/1.1\r\nHost: edge\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    1,
  ],
  "hits, a miss and hits at once": [
    ["/stored", "/stored", "/missed", "/stored", "/missed", "/stored"]
      .map((target) => `GET ${target} HTTP/1.1\r\nHost: edge\r\n\r\n`)
      .join(""),
    6,
  ],
  "the last of a connection": ["GET /stored HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n", undefined],
  "no request": ["NONSENSE\r\n\r\n", undefined],
  "two hosts": ["GET /stored HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", undefined],
  "two lengths": ["POST /x HTTP/1.1\r\nHost: edge\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", undefined],
  "length and chunks": [
    "POST /x HTTP/1.1\r\nHost: edge\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    undefined,
  ],
  "another coding": ["POST /x HTTP/1.1\r\nHost: edge\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", undefined],
  "another version": ["GET /stored HTTP/2.0\r\nHost: edge\r\n\r\n", undefined],
  "a head that is too long": [`GET /stored HTTP/1.1\r\nHost: edge\r\nX: ${"x".repeat(20_000)}\r\n\r\n`, undefined],
  "an upgrade": ["GET /stored HTTP/1.1\r\nHost: edge\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", undefined],
};

async function said(connection: RawConnection, [bytes, answers]: readonly [string, number | undefined]) {
  connection.write(bytes);
  if (answers === undefined) return timeless(await connection.rest());
  const all: string[] = [];
  for (let count = 0; count < answers; count += 1) all.push((await connection.answer()).toString("latin1"));
  return timeless(all.join(""));
}

t.test("every process answers with the same bytes", async (t) => {
  const { edge, open } = await startBefore(t, answerByPath, { count: 2 });
  const [front = 0] = edge.fronts();
  await edge.untilCopied(await open(front), "/stored");
  for (const [name, exchange] of Object.entries(EXCHANGES)) {
    const wanted = await said(await open(edge.main), exchange);
    t.match(wanted, /^HTTP\/1\.1 \d\d\d /, name);
    t.equal(await said(await open(front), exchange), wanted, name);
  }
  const heads: string[] = [];
  for (const pid of [edge.main, front]) {
    const connection = await open(pid);
    connection.write("HEAD /stored HTTP/1.1\r\nHost: edge\r\n\r\n");
    heads.push(timeless((await connection.answer({ isHead: true })).toString()));
  }
  t.match(heads[0], /^HTTP\/1\.1 200 (?:.*\r\n)*content-length: 12\r\n/i, "HEAD");
  t.equal(heads[1], heads[0], "HEAD");
  const mixed = await open(front);
  for (const [name, exchange] of Object.entries(EXCHANGES)) {
    if (exchange[1] === undefined || name.startsWith("POST")) continue;
    t.match(await said(mixed, exchange), /^HTTP\/1\.1 /, `${name} on one connection with others`);
  }
});

t.test("what is asked for at all processes at once is fetched once", async (t) => {
  const { edge, asked, open } = await startBefore(t, answerByPath);
  const pids = [edge.main, ...edge.fronts()];
  t.equal(pids.length, 3);
  const connections = await Promise.all(Array.from({ length: 30 }, (_, index) => open(pids[index % 3] ?? 0)));
  const answers = await Promise.all(connections.map((connection) => get(connection, "/stored/cold")));
  for (const answer of answers) t.match(answer, /\r\nGET \/stored\/cold /);
  t.same(asked, ["GET /stored/cold"]);
});

t.test("an unsafe method leaves no copy in any process once it is answered", async (t) => {
  let version = 1;
  const { edge, open } = await startBefore(t, (request, response) => {
    if (request.method === "POST") version += 1;
    response.writeHead(200, request.method === "POST" ? {} : STORED).end(`version ${version}`);
  });
  const [one = 0, other = 0] = edge.fronts();
  const connections = [await open(edge.main), await open(one), await open(other)];
  for (let turn = 1; turn <= 5; turn += 1) {
    for (const connection of connections.slice(1)) await edge.untilCopied(connection, "/stored");
    const poster = await open([edge.main, one, other][turn % 3] ?? 0);
    poster.write("POST /stored HTTP/1.1\r\nHost: edge\r\nContent-Length: 0\r\n\r\n");
    t.match((await poster.answer()).toString(), `version ${turn + 1}`);
    const answers = await Promise.all(connections.map((connection) => get(connection, "/stored")));
    for (const answer of answers) t.match(answer, new RegExp(`version ${turn + 1}\\b`));
  }
});

t.test("a copy is found by what its response varies by", async (t) => {
  const { edge, open } = await startBefore(
    t,
    (request, response) => {
      response.writeHead(200, { ...STORED, vary: "x-kind" }).end(`kind ${request.headers["x-kind"]}`);
    },
    { count: 2 },
  );
  const [front = 0] = edge.fronts();
  const connection = await open(front);
  for (let turn = 0; turn < 8; turn += 1) {
    for (const kind of ["a", "b"])
      t.match(await get(connection, "/v", `X-Kind: ${kind}`), new RegExp(`kind ${kind}\\b`));
    t.match(await get(connection, "/v"), /kind undefined\b/);
  }
});

t.test("a client's rate is one, whichever process it comes to", async (t) => {
  const { edge, open } = await startBefore(t, answerByPath, { flags: ["--rate-limit", "1/m:20"] });
  const statuses: string[] = [];
  for (const pid of [edge.main, ...edge.fronts()]) {
    const connection = await open(pid);
    for (let turn = 0; turn < 20; turn += 1) statuses.push((await get(connection, "/stored")).slice(9, 12));
  }
  const admitted = statuses.filter((status) => status === "200").length;
  t.ok(admitted >= 20 && admitted <= 22, `${admitted} of ${statuses.length}`);
  t.same(new Set(statuses), new Set(["200", "429"]));
});
