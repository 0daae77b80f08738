import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import t from "tap";
import { testFolder } from "#test/test-folder.ts";
import { bundleClient } from "./bundle.ts";

/** What a page on a phone's network can take before it asks for a session. */
const LIBRARY_GZIPPED_BYTES_MAX = 60_000;

t.test("the library is one ES module of at most 60 kB gzipped, and needs nothing beside it", async (t) => {
  const folder = testFolder(t);
  await bundleClient(folder);
  const file = join(folder, "perigee.js");
  const bytes = gzipSync(readFileSync(file)).byteLength;
  t.comment(`perigee.js is ${bytes} bytes gzipped`);
  t.ok(bytes <= LIBRARY_GZIPPED_BYTES_MAX, `${bytes} bytes`);
  const { metafile } = await build({
    entryPoints: [file],
    metafile: true,
    write: false,
    format: "esm",
    outdir: folder,
  });
  const [output] = Object.values(metafile.outputs);
  t.same(output?.imports, [], "it imports nothing, at its start or later");
  t.same(output?.exports.toSorted(), ["ClientFailure", "createSession", "isHeadsetThere"]);
});

t.test("the library is made of this repository's files alone", async (t) => {
  const folder = testFolder(t);
  await bundleClient(folder);
  const map: unknown = JSON.parse(readFileSync(join(folder, "perigee.js.map"), "utf8"));
  const sources = typeof map === "object" && map !== null && "sources" in map ? map.sources : undefined;
  t.ok(Array.isArray(sources) && sources.length > 20, "its source map says of which");
  t.notMatch(JSON.stringify(sources), /node_modules/);
});

t.test("the page takes the library by its address, and has none of it in itself", async (t) => {
  const folder = testFolder(t);
  await bundleClient(folder);
  const page = readFileSync(join(folder, "page.js"), "utf8");
  t.match(page, /from"\.\/perigee\.js"/);
  t.notMatch(page, /RTCPeerConnection/);
});
