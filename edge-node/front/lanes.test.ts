import { createServer } from "node:http";
import t, { type Test } from "tap";
import { closeServer, listen } from "#platform/http/listening.ts";
import { createLogger } from "#platform/logging.ts";
import { seededRandom } from "#platform/random.ts";
import { openRaw } from "#test/front/raw-connection.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { type StandaloneOptions, startStandalone } from "../standalone-proxy.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };

interface Said {
  readonly status: number;
  readonly fields: readonly string[];
  readonly body: string;
}

/** What the upstream says, by path; 404 and nothing to store for any other. */
async function startLanes(t: Test, said: Readonly<Record<string, Said>>, more: Partial<StandaloneOptions> = {}) {
  const asked: string[] = [];
  const upstream = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const { status, fields, body } = said[request.url ?? ""] ?? { status: 404, fields: [], body: "" };
    response.sendDate = false;
    response.writeHead(status, [...fields]).end(body);
  });
  const { port } = await listen(upstream, LOCAL);
  t.teardown(() => closeServer(upstream));
  const clock = new VirtualClock(Date.UTC(2026, 10, 24, 8, 49, 37));
  const edge = await startStandalone({
    listen: LOCAL,
    admin: LOCAL,
    upstream: new URL(`http://127.0.0.1:${port}`),
    memoryBytesMax: 1e8,
    random: seededRandom(1),
    clock,
    logger: createLogger({ program: "edge", level: "silent" }),
    ...more,
  });
  t.teardown(() => edge[Symbol.asyncDispose]());
  /** Requests that the full lane has answered: only they are timed. */
  const full = async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${edge.admin?.port}/metrics`)).text();
    return Number(/_request_seconds_count (\d+)/.exec(metrics)?.[1] ?? 0);
  };
  return { asked, clock, edge, port: edge.address.port, full };
}

const FRESH = ["Cache-Control", "max-age=600"];
const DATE = ["Date", "Tue, 24 Nov 2026 08:49:30 GMT"];
const MODIFIED = ["Last-Modified", "Mon, 23 Nov 2026 08:00:00 GMT"];

/** One response of each kind that is stored. */
const CORPUS: Readonly<Record<string, Said>> = {
  "/plain": { status: 200, fields: [...DATE, ...FRESH, "Content-Type", "text/plain"], body: "plain" },
  "/undated": { status: 200, fields: FRESH, body: "undated" },
  "/empty": { status: 200, fields: [...DATE, ...FRESH, "ETag", '"empty"', "Content-Length", "0"], body: "" },
  "/tagged": { status: 200, fields: ["ETag", '"a"', ...DATE, ...FRESH, ...MODIFIED], body: "tagged" },
  "/weak": { status: 200, fields: [...DATE, "etag", 'W/"weak"', "cache-control", "public, max-age=9"], body: "weak" },
  "/modified": { status: 200, fields: [...MODIFIED, ...DATE, "Content-Language", "de", ...FRESH], body: "modified" },
  "/aged": { status: 200, fields: ["Age", "100", ...DATE, ...FRESH, "Via", "1.1 first"], body: "aged" },
  "/said": {
    status: 200,
    fields: ["Cache-Status", "Far; hit", ...DATE, "cache-status", "Near; fwd=stale", ...FRESH],
    body: "x",
  },
  "/hops": {
    status: 200,
    fields: ["Connection", "X-Hop", "X-Hop", "1", "Keep-Alive", "timeout=9", ...DATE, ...FRESH],
    body: "hops",
  },
  "/many": {
    status: 200,
    fields: ["X-A", "1", "X-B", "2", "x-a", "3", ...DATE, ...FRESH, "Link", "<a>", "Link", "<b>"],
    body: "many",
  },
  "/latin": { status: 200, fields: ["X-Name", "J\u00fcrgen \u00e9", ...DATE, ...FRESH], body: "latin" },
  "/spaces": { status: 200, fields: ["X-Empty", "", "X-Inner", "a  \t b", ...DATE, ...FRESH], body: "spaces" },
  "/vary": { status: 200, fields: ["Vary", "Accept-Language, X-Kind", ...DATE, ...FRESH], body: "vary" },
  "/shared": {
    status: 200,
    fields: ["Cache-Control", "s-maxage=60, max-age=1", ...DATE, "Surrogate-Key", "a b"],
    body: "shared",
  },
  "/expires": { status: 200, fields: [...DATE, "Expires", "Tue, 24 Nov 2026 09:49:30 GMT"], body: "expires" },
  "/heuristic": { status: 200, fields: [...DATE, ...MODIFIED], body: "heuristic" },
  "/moved": { status: 301, fields: ["Location", "/plain", ...DATE, ...FRESH], body: "moved" },
  "/found": { status: 302, fields: ["Location", "/plain", ...DATE, ...FRESH, "ETag", '"f"'], body: "" },
  "/gone": { status: 410, fields: [...DATE, ...FRESH], body: "gone" },
  "/none": { status: 204, fields: [...DATE, ...FRESH], body: "" },
  "/large": { status: 200, fields: [...DATE, ...FRESH, "ETag", '"large"'], body: "large ".repeat(20_000) },
};

/** Request fields; the first few are answered on the fast lane where the response is fresh and in memory. */
const ASKED: readonly (readonly string[])[] = [
  [],
  ["User-Agent: test", "Accept: */*", "Accept-Encoding: gzip, br", "X-Forwarded-For: 1.2.3.4", "Cookie: a=b"],
  ['If-None-Match: "a"'],
  ['if-none-match: "b", W/"weak" ,"large"'],
  ["If-None-Match: *"],
  ["If-Modified-Since: Mon, 23 Nov 2026 08:00:00 GMT"],
  ["If-Modified-Since: Mon, 23 Nov 2026 07:59:59 GMT", "Connection: keep-alive"],
  ["If-Modified-Since: never"],
  ['If-None-Match: "b"', "If-Modified-Since: Mon, 23 Nov 2026 08:00:00 GMT"],
  ["Accept-Language: de", "X-Kind: 1"],
  ["Range: bytes=1-2"],
  ["Cache-Control: max-stale"],
  ["Pragma: no-cache", "X-Request-Id: 1"],
  ["Authorization: Basic YTpi"],
];

function headOf(method: string, path: string, port: number, fields: readonly string[]): string {
  return [`${method} ${path} HTTP/1.1`, `Host: localhost:${port}`, ...fields, "", ""].join("\r\n");
}

t.test("both lanes answer every request for every stored response with the same bytes", async (t) => {
  const { port, clock, full } = await startLanes(t, CORPUS);
  using fast = await openRaw(port);
  using sticky = await openRaw(port);
  // An empty line before a request is nothing that the fast lane knows: the connection is node:http's from here on.
  sticky.write("\r\n");
  for (const path of Object.keys(CORPUS)) {
    for (const fields of ASKED) {
      sticky.write(headOf("GET", path, port, fields));
      await sticky.answer();
    }
  }
  await clock.advance(5_400);
  const before = await full();
  let compared = 0;
  for (const path of Object.keys(CORPUS)) {
    for (const method of ["GET", "HEAD"]) {
      for (const fields of ASKED) {
        const request = headOf(method, path, port, fields);
        const isHead = method === "HEAD";
        sticky.write(request);
        const wanted = (await sticky.answer({ isHead })).toString("latin1");
        fast.write(request);
        const got = (await fast.answer({ isHead })).toString("latin1");
        t.equal(got, wanted, `${method} ${path} ${fields.join(" | ")}`);
        compared += 1;
      }
    }
  }
  const answeredFast = 2 * compared - ((await full()) - before);
  t.ok(answeredFast > compared / 2, `${answeredFast} of ${compared} were answered on the fast lane`);
});
