/** Compressed forms of a release and of what is pulled, at real edges of a real origin. */

import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import t from "tap";
import { runCommandLine } from "#cli/program.ts";
import { formatAddress } from "#platform/address.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  api,
  type Cloud,
  document,
  get,
  hasBody,
  joinSettings,
  shop,
  startCloud,
  startEdgeHere,
  untilAnswer,
} from "../edge-origin/edge-and-origin.ts";

const TEXT = "Perigee serves content from near its users. ".repeat(300);
const DECODERS = { br: brotliDecompressSync, zstd: zstdDecompressSync, gzip: gunzipSync };

async function publishFolder(cloud: Cloud, folder: string): Promise<void> {
  const notes: string[] = [];
  const { signal } = new AbortController();
  const origin = `http://${formatAddress(cloud.origin.addresses.operatorApi)}`;
  const code = await runCommandLine(["--origin", origin, "publish", folder, "--site", "shop"], {
    output: { line: () => {}, note: (text) => notes.push(text) },
    environment: { variables: { PERIGEE_TOKEN: cloud.operatorToken }, folder },
    signal,
    killSignal: signal,
  });
  if (code !== 0) throw new Error(notes.join("\n"));
}

t.test(
  "a release's files come in the coding that is wanted, also cut off, and after the next release anew",
  async (t) => {
    const folder = testFolder(t, {
      dist: { "index.html": TEXT, "small.txt": "small", "other.txt": `${TEXT}other`, "404.html": TEXT.toUpperCase() },
    });
    const cloud = await startCloud(t, join(folder, "origin"));
    const withPage = { ...shop.spec, publish: { notFoundDocument: "/404.html" } };
    await api(cloud, "POST", "/v1/apply", { documents: [document("Site", "shop", withPage)] });
    await publishFolder(cloud, join(folder, "dist"));
    const edges = [
      await startEdgeHere(t, await joinSettings(cloud, folder, "near-1")),
      await startEdgeHere(t, await joinSettings(cloud, folder, "near-2")),
    ];
    const tags = new Set<unknown>();
    for (const [index, { addresses }] of edges.entries()) {
      const ask = (path: string, headers: Record<string, string> = {}) => get(addresses.content, path, { headers });
      await untilAnswer(() => ask("/"), hasBody(TEXT), `edge ${index + 1} serves`);
      for (const [coding, decode] of Object.entries(DECODERS)) {
        const { headers, body } = await ask("/", { "accept-encoding": coding });
        t.match(headers, { "content-encoding": coding, vary: "Accept-Encoding", "content-type": /text\/html/ });
        t.equal(headers["content-length"], String(body.length));
        t.equal(decode(body).toString(), TEXT, coding);
        tags.add(headers["etag"]);
        const known = await ask("/", { "accept-encoding": coding, "if-none-match": String(headers["etag"]) });
        t.match([known.status, known.headers["vary"]], [304, "Accept-Encoding"], coding);
        const part = await ask("/", { "accept-encoding": coding, range: "bytes=3-9" });
        t.match([part.status, part.headers["content-range"]], [206, `bytes 3-9/${body.length}`], coding);
        t.ok(part.body.equals(body.subarray(3, 10)), coding);
      }
      const plain = await ask("/");
      t.match(plain.headers, { vary: "Accept-Encoding", "content-encoding": undefined });
      tags.add(plain.headers["etag"]);
      t.match((await ask("/small.txt", { "accept-encoding": "br" })).headers, { vary: undefined });
      const missing = await ask("/nothing", { "accept-encoding": "br" });
      t.same([missing.status, brotliDecompressSync(missing.body).toString()], [404, TEXT.toUpperCase()]);
    }
    t.equal(tags.size, 4, "a validator for each coding, the same at every edge");
    writeFileSync(join(folder, "dist", "index.html"), TEXT.replaceAll("users", "USERS"));
    await publishFolder(cloud, join(folder, "dist"));
    const [first] = edges;
    if (first === undefined) throw new Error("an edge");
    const next = await untilAnswer(
      () => get(first.addresses.content, "/", { headers: { "accept-encoding": "br" } }),
      ({ headers }) => !tags.has(headers["etag"]),
      "the next release",
    );
    t.match(brotliDecompressSync(next.body).toString(), /USERS/);
    t.equal((await get(first.addresses.content, "/other.txt")).body.toString(), `${TEXT}other`);
    await cloud.origin[Symbol.asyncDispose]();
    const alone = await get(first.addresses.content, "/", { headers: { "accept-encoding": "br" } });
    t.ok(alone.body.equals(next.body), "it goes on without the cloud");
    const other = await get(first.addresses.content, "/other.txt", { headers: { "accept-encoding": "br" } });
    t.match(
      [other.status, other.headers["content-encoding"]],
      [200, undefined],
      "as it is here, no one having asked for br",
    );
    t.equal(other.body.toString(), `${TEXT}other`);
  },
);

t.test("a pulled site is compressed where it says so", async (t) => {
  const folder = testFolder(t);
  const upstream = createServer((_, response) => {
    response.writeHead(200, { "content-type": "text/css", "cache-control": "max-age=600", etag: '"a"' }).end(TEXT);
  });
  const { port } = await listen(upstream, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(upstream));
  const cloud = await startCloud(t, join(folder, "origin"));
  const pull = { pull: { upstream: `http://127.0.0.1:${port}` } };
  await api(cloud, "POST", "/v1/apply", {
    documents: [
      document("Site", "packed", { hostnames: ["packed.example"], ...pull, cache: { compress: true } }),
      document("Site", "plain", { hostnames: ["plain.example"], ...pull }),
    ],
  });
  const edge = await startEdgeHere(t, await joinSettings(cloud, folder, "near-1"));
  const ask = (host: string) => get(edge.addresses.content, "/a.css", { host, headers: { "accept-encoding": "gzip" } });
  const packed = await untilAnswer(
    () => ask("packed.example"),
    ({ headers }) => headers["content-encoding"] === "gzip",
    "compressed behind the first answers",
  );
  t.equal(gunzipSync(packed.body).toString(), TEXT);
  await untilAnswer(() => ask("plain.example"), hasBody(TEXT), "the other site is served");
  t.match((await ask("plain.example")).headers, { "content-encoding": undefined, vary: undefined });
});
