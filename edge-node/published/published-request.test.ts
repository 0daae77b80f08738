import fc from "fast-check";
import t from "tap";
import type { Manifest } from "#domain/content/release.ts";
import { fieldsOf } from "#domain/http/fields.ts";
import { hostTable } from "./hosts.ts";
import { decidePublished } from "./published-request.ts";

const file = { digest: "a".repeat(64), sizeBytes: 10, mediaType: "text/html" };
const files = { "/index.html": file, "/a b/index.html": file, "/404.html": file, "/x.txt": file };
const manifest: Manifest = { formatVersion: 1, site: "shop", generation: 1, createdAtMs: 1, files };
const content = { keepReleases: 5, indexDocument: "index.html", notFoundDocument: "/404.html" };
const ask = (target: string, raw: string[] = [], method = "GET") =>
  decidePublished({ method, target, fields: fieldsOf(raw) }, content, manifest);
const tag = `"${file.digest}"`;

t.test("a path is decoded, completed by the index document, or answered by the site's own page", async (t) => {
  t.match(ask("/"), { kind: "file", status: 200 });
  t.match(ask("/?q=/x"), { kind: "file", status: 200 });
  t.match(ask("http://shop.example/x.txt"), { kind: "file", status: 200 });
  t.match(ask("/a%20b/"), { kind: "file", status: 200 });
  t.match(ask("/a%20b?c"), { kind: "redirect", location: "./a%20b/?c" });
  t.match(ask("/nothing"), { kind: "file", status: 404 });
  t.match(ask("/__proto__"), { kind: "file", status: 404 });
  t.match(ask("/%"), { kind: "bad-target" });
  t.match(ask("*"), { kind: "bad-target" });
  t.match(ask("/", [], "DELETE"), { kind: "method-not-allowed" });
});

t.test("conditions are judged before ranges, and in the order of RFC 9110", async (t) => {
  const range = ["Range", "bytes=2-3"];
  t.match(ask("/", range), { kind: "part", range: { start: 2, end: 3 } });
  t.match(ask("/", range, "HEAD"), { kind: "file" });
  t.match(ask("/", ["Range", "bytes=10-"]), { kind: "unsatisfiable" });
  t.match(ask("/", [...range, "If-Range", tag]), { kind: "part" });
  t.match(ask("/", [...range, "If-Range", `W/${tag}`]), { kind: "file" });
  t.match(ask("/", [...range, "If-None-Match", `"x", W/${tag}`]), { kind: "not-modified" });
  t.match(ask("/", ["If-Match", `"x", ${tag}`]), { kind: "file" });
  t.match(ask("/", ["If-Match", '"x"', "If-None-Match", "*"]), { kind: "precondition-failed" });
});

t.test("a file that is kept encoded is negotiated, each coding with a validator and ranges of its own", async (t) => {
  const encodings = { br: { digest: "b".repeat(64), sizeBytes: 4 }, gzip: { digest: "c".repeat(64), sizeBytes: 6 } };
  const packed = { ...manifest, files: { "/x.txt": { ...file, encodings }, "/404.html": { ...file, encodings } } };
  const get = (target: string, ...raw: string[]) =>
    decidePublished({ method: "GET", target, fields: fieldsOf(raw) }, content, packed);
  const wants = (coding: string) => ["Accept-Encoding", coding];
  t.match(get("/x.txt"), { kind: "file", file: { digest: file.digest, isNegotiated: true, coding: undefined } });
  t.match(get("/x.txt", ...wants("gzip, br")), { file: { ...encodings.br, coding: "br", mediaType: "text/html" } });
  t.match(get("/x.txt", ...wants("gzip, br;q=0")), { file: { ...encodings.gzip, coding: "gzip" } });
  t.match(get("/x.txt", ...wants("zstd")), { file: { digest: file.digest, coding: undefined } });
  t.match(get("/nothing", ...wants("br")), { status: 404, file: { coding: "br" } });
  t.match(ask("/x.txt", wants("br")), { file: { isNegotiated: false, coding: undefined } });
  const tagOf = (digest: string) => ["If-None-Match", `"${digest}"`];
  t.match(get("/x.txt", ...wants("br"), ...tagOf(encodings.br.digest)), {
    kind: "not-modified",
    file: { coding: "br" },
  });
  t.match(get("/x.txt", ...wants("br"), ...tagOf(file.digest)), { kind: "file" });
  t.match(get("/x.txt", ...tagOf(file.digest)), { kind: "not-modified" });
  t.match(get("/x.txt", ...wants("br"), "Range", "bytes=2-"), { kind: "part", range: { start: 2, end: 3 } });
  t.match(get("/x.txt", ...wants("br"), "Range", "bytes=4-"), { kind: "unsatisfiable", file: { sizeBytes: 4 } });
});

t.test("whatever is asked for, only a file of the manifest is the answer", async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.string(), fc.string(), (target, range) => {
        const answer = ask(target, ["range", range]);
        return !("file" in answer) || answer.file.digest === file.digest;
      }),
    ),
  );
});

t.test("a site is found by its host names and by its name at this node", async (t) => {
  const table = hostTable([{ name: "shop", spec: { hostnames: ["Shop.Example"] } }], "Near-1.edge.test");
  for (const host of ["shop.example", "SHOP.example:80", "shop.near-1.edge.test:7420"])
    t.equal(table.siteOf(host), "shop", host);
  for (const host of [
    undefined,
    "",
    "other.example",
    "near-1.edge.test",
    "x.shop.example",
    "shop.example:80:80",
    "[::1]",
  ]) {
    t.equal(table.siteOf(host), undefined, String(host));
  }
});
