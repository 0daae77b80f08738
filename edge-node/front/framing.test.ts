import t, { type Test } from "tap";
import { createLogger } from "#platform/logging.ts";
import { seededRandom } from "#platform/random.ts";
import { openRaw, type RawConnection } from "#test/front/raw-connection.ts";
import { startRawUpstream } from "#test/front/raw-upstream.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { startStandalone } from "../standalone-proxy.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: edge\r\n\r\n";

interface Vector {
  readonly name: string;
  readonly bytes: string;
  readonly status: number;
  /** What the upstream may be asked for. */
  readonly reaches?: readonly string[];
}

function request(method: string, fields: readonly string[], content = ""): string {
  return [`${method} /vector HTTP/1.1`, "Host: edge", ...fields, "", content].join("\r\n");
}

const CHUNKED = "Transfer-Encoding: chunked";
const CHUNKED_HELLO = "5\r\nhello\r\n0\r\n\r\n";

/** Each is followed by, or has in its content, a request that nobody made. */
const VECTORS: readonly Vector[] = [
  ...[
    ["Content-Length and Transfer-Encoding", "Content-Length: 6", CHUNKED],
    ["Transfer-Encoding and Content-Length", CHUNKED, "Content-Length: 6"],
    ["two Content-Length that differ", "Content-Length: 0", "Content-Length: 44"],
    ["two Content-Length that are alike", "Content-Length: 5", "Content-Length: 5"],
    ["a list in Content-Length", "Content-Length: 5, 5"],
    ["Content-Length: +5", "Content-Length: +5"],
    ["Content-Length: -5", "Content-Length: -5"],
    ["Content-Length in hexadecimal", "Content-Length: 0x5"],
    ["Content-Length with a space within", "Content-Length: 5 0"],
    ["an empty Content-Length", "Content-Length:"],
    ["chunked that is not last", "Transfer-Encoding: chunked, identity"],
    ["two Transfer-Encoding", CHUNKED, "Transfer-Encoding: identity"],
    ["a vertical tab before chunked", "Transfer-Encoding: \x0bchunked"],
    ["a space before the colon", "Transfer-Encoding : chunked"],
    ["a space before the colon of Content-Length", "Content-Length : 5"],
    ["obs-fold", "X-Folded: a", " b"],
    ["Transfer-Encoding by obs-fold", "Transfer-Encoding:", " chunked"],
    ["a field without a name", ": a"],
    ["a field without a colon", "Nonsense"],
    ["NUL in a value", "X-Nul: a\0b"],
    ["NUL in a name", "X-\0: a"],
    ["a bare CR in a value", "X-Cr: a\rContent-Length: 5"],
    ["two Host", "Host: other"],
    ["two Host that are alike", "host: edge"],
  ].map(([name = "", ...fields]) => ({
    name,
    bytes: request("POST", fields, `${CHUNKED_HELLO}${SMUGGLED}`),
    status: 400,
  })),
  ...[
    ["junk after a chunk's size", "5 x\r\nhello\r\n0\r\n\r\n"],
    ["junk after a chunk", "5\r\nhelloX\r\n0\r\n\r\n"],
    ["a chunk's size with a prefix", "0x5\r\nhello\r\n0\r\n\r\n"],
    ["a negative chunk's size", "-5\r\nhello\r\n0\r\n\r\n"],
    ["a chunk's size beyond 64 bits", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"],
    ["a bare LF after a chunk's extension", "5;a\nhello\r\n0\r\n\r\n"],
    ["a bare LF after a chunk's size", "5\nhello\r\n0\r\n\r\n"],
  ].map(([name = "", content = ""]) => ({
    name,
    bytes: request("POST", [CHUNKED], `${content}${SMUGGLED}`),
    status: 400,
    reaches: ["/vector"],
  })),
  {
    name: "Transfer-Encoding: xchunked",
    bytes: request("POST", ["Transfer-Encoding: xchunked"], `${CHUNKED_HELLO}${SMUGGLED}`),
    status: 501,
  },
  {
    name: "a coding beside chunked",
    bytes: request("POST", ["Transfer-Encoding: gzip, chunked"], `0\r\n\r\n${SMUGGLED}`),
    status: 501,
  },
  { name: "bare LF", bytes: `GET /vector HTTP/1.1\nHost: edge\n\n${SMUGGLED}`, status: 400 },
  {
    name: "a bare LF within a head",
    bytes: `GET /vector HTTP/1.1\r\nHost: edge\nX: a\r\n\r\n${SMUGGLED}`,
    status: 400,
  },
  { name: "a bare LF at the end of a head", bytes: `GET /vector HTTP/1.1\r\nHost: edge\r\n\n${SMUGGLED}`, status: 400 },
  {
    name: "Transfer-Encoding in HTTP/1.0",
    bytes: `POST /vector HTTP/1.0\r\nHost: edge\r\n${CHUNKED}\r\n\r\n${CHUNKED_HELLO}${SMUGGLED}`,
    status: 400,
  },
  { name: "HTTP/2.0 in the clear", bytes: `GET /vector HTTP/2.0\r\nHost: edge\r\n\r\n${SMUGGLED}`, status: 505 },
  { name: "HTTP/0.9", bytes: `GET /vector\r\n\r\n${SMUGGLED}`, status: 505 },
  { name: "HTTP/1.2", bytes: `GET /vector HTTP/1.2\r\nHost: edge\r\n\r\n${SMUGGLED}`, status: 400 },
  { name: "no Host", bytes: `GET /vector HTTP/1.1\r\nX: a\r\n\r\n`, status: 400 },
  { name: "an empty Host", bytes: `GET /vector HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n`, status: 400 },
  { name: "a user in Host", bytes: `GET /vector HTTP/1.1\r\nHost: me@edge\r\nConnection: close\r\n\r\n`, status: 400 },
  {
    name: "absolute-form for another host",
    bytes: `GET http://other/vector HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n`,
    status: 400,
  },
  { name: "authority-form", bytes: `GET edge:80 HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n`, status: 400 },
  {
    name: "a space before the first field",
    bytes: `GET /vector HTTP/1.1\r\n Host: edge\r\n\r\n${SMUGGLED}`,
    status: 400,
  },
  { name: "a space after the version", bytes: `GET /vector HTTP/1.1 \r\nHost: edge\r\n\r\n${SMUGGLED}`, status: 400 },
  {
    name: "a control character in the target",
    bytes: `GET /vec\x01tor HTTP/1.1\r\nHost: edge\r\n\r\n${SMUGGLED}`,
    status: 400,
  },
  { name: "a method that nobody knows", bytes: `GETS /vector HTTP/1.1\r\nHost: edge\r\n\r\n${SMUGGLED}`, status: 400 },
  {
    name: "content of a GET",
    bytes: request("GET", [`Content-Length: ${SMUGGLED.length}`, "Connection: close"], SMUGGLED),
    status: 200,
    reaches: ["/vector"],
  },
  {
    name: "chunked content of a GET",
    bytes: request(
      "GET",
      [CHUNKED, "Connection: close"],
      `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
    ),
    status: 200,
    reaches: ["/vector"],
  },
  {
    name: "an early Upgrade",
    bytes: request("GET", ["Connection: Upgrade", "Upgrade: websocket"], SMUGGLED),
    status: 200,
    reaches: ["/vector"],
  },
];

async function startEdge(t: Test) {
  const upstream = await startRawUpstream(
    t,
    (target) => `Cache-Control: ${target === "/hit" ? "max-age=600" : "no-store"}`,
  );
  const edge = await startStandalone({
    listen: LOCAL,
    upstream: new URL(`http://127.0.0.1:${upstream.port}`),
    memoryBytesMax: 1e6,
    random: seededRandom(1),
    clock: new VirtualClock(),
    logger: createLogger({ program: "edge", level: "silent" }),
  });
  t.teardown(() => edge[Symbol.asyncDispose]());
  return { targets: upstream.targets, open: () => openRaw(edge.address.port) };
}

const HIT = "GET /hit HTTP/1.1\r\nHost: edge\r\n\r\n";

/** What the upstream is asked for beyond this is not the vector's due. */
function judge(t: Test, { name, status, reaches = [] }: Vector, answer: string, asked: readonly string[]): void {
  t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), `${name}: the status`);
  t.ok(asked.length <= reaches.length && asked.every((target) => target === "/vector"), `${name}: ${asked.join(" ")}`);
}

t.test("no vector reaches the upstream as two requests, and what is malformed is refused", async (t) => {
  const { targets, open } = await startEdge(t);
  t.ok(VECTORS.length >= 50, `${VECTORS.length} vectors`);
  for (const vector of VECTORS) {
    targets.length = 0;
    using connection = await open();
    connection.write(vector.bytes);
    judge(t, vector, await connection.rest(), targets);
  }
});

/** As soon as the hit is answered, all that came with it has been read. */
async function sendSplit(connection: RawConnection, bytes: string, at: number): Promise<string> {
  connection.write(HIT + bytes.slice(0, at));
  await connection.answer();
  connection.write(bytes.slice(at));
  return await connection.rest();
}

t.test("nor behind a hit of the fast lane, cut at any byte", async (t) => {
  const { targets, open } = await startEdge(t);
  using first = await open();
  first.write(HIT);
  await first.answer();
  for (const vector of VECTORS) {
    const headEnd = vector.bytes.indexOf("\r\n\r\n") + 4;
    for (let at = 0; at <= Math.max(headEnd, 4); at += 1) {
      targets.length = 0;
      using connection = await open();
      judge(t, vector, await sendSplit(connection, vector.bytes, at), targets);
    }
  }
});
