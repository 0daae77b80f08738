import t from "tap";
import { compareLanes, type Said } from "#test/front/compare-lanes.ts";

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

t.test("both lanes answer every request for every stored response with the same bytes", async (t) => {
  const cases = Object.entries(CORPUS).map(([path, said]) => ({ path, said, asked: ASKED }));
  const { hits, answeredFast, differences } = await compareLanes(cases);
  t.same(differences, []);
  t.ok(hits > 500, `${hits} hits compared`);
  t.ok(answeredFast > hits / 2, `${answeredFast} of them were answered on the fast lane`);
});
