import { createHash } from "node:crypto";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import t, { type Test } from "tap";
import { COMPRESSIBLE_BYTES_MAX, COMPRESSIBLE_BYTES_MIN } from "#domain/content/compressible.ts";
import type { ContentCoding } from "#domain/http/content-coding.ts";
import { type Fields, fieldsOf, fieldValue } from "#domain/http/fields.ts";
import { seededRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { variantKey, varyNames } from "../caching/variants.ts";
import { openResponseStore } from "../store/response-store.ts";
import { cacheKeyOf, type StoredResponse } from "../store/stored-response.ts";
import { Compressor } from "./compressor.ts";
import { decideCompression } from "./encoded-response.ts";

const TEXT = Buffer.from("Perigee serves content from near its users. ".repeat(100));
const DECODERS = { br: brotliDecompressSync, zstd: zstdDecompressSync, gzip: gunzipSync } as const;
const NAMED = { site: "films", webOrigin: "http://films.example", key: "/a" };
const html = ["Content-Type", "text/html; charset=utf-8"];

async function start(t: Test, folder?: string) {
  const made: ContentCoding[] = [];
  const clock = new VirtualClock();
  const lost: unknown[] = [];
  const events = { lost: (failure: unknown) => lost.push(failure), notStored() {}, evicted() {}, used() {} };
  const disk = folder === undefined ? { diskBytesMax: 0 } : { folder, diskBytesMax: 1e8 };
  const store = await openResponseStore({ ...disk, memoryBytesMax: 1e8, clock, random: seededRandom(1), events });
  t.teardown(() => store[Symbol.asyncDispose]());
  const failures: unknown[] = [];
  let skipped = 0;
  const compressor = new Compressor({
    store,
    events: {
      compressed: (coding) => made.push(coding),
      skipped: () => {
        skipped += 1;
      },
      failed: (error) => failures.push(error),
    },
  });
  const put = async (content: Uint8Array, raw: readonly string[], { asked = [] as string[], slice = 0 } = {}) => {
    const fields = fieldsOf(raw);
    const names = varyNames(fields);
    const freshness = {
      receivedAtMs: clock.nowMs(),
      initialAgeSeconds: 0,
      lifetimeSeconds: 60,
      alwaysValidate: false,
      neverStale: false,
      hasSharedLifetime: false,
      staleWhileRevalidateSeconds: 0,
      staleIfErrorSeconds: 0,
    };
    const head = { ...NAMED, varyNames: names, variant: variantKey(names, fieldsOf(asked)), status: 200, fields };
    const ofSlice = slice === 0 ? {} : { slice };
    const storing = store.begin({ ...head, ...ofSlice, freshness, requestedAtMs: clock.nowMs() }, () => true);
    storing.write(content);
    await storing.finish();
  };
  const find = async (...asked: readonly string[]): Promise<StoredResponse> => {
    const stored = await store.find(cacheKeyOf(NAMED), fieldsOf(asked));
    if (stored === undefined) throw new Error("it is stored");
    return stored;
  };
  const select = async (...asked: readonly string[]) => await compressor.select(await find(...asked), fieldsOf(asked));
  return { store, compressor, made, put, find, select, failures, skipped: () => skipped };
}

const wants = (coding: string) => ["Accept-Encoding", coding];
const of = (fields: Fields, ...names: string[]) => names.map((name) => fieldValue(fields, name));

t.test("the first to ask gets the content as it is, the next ones their coding, made once", async (t) => {
  const { compressor, made, put, select, find } = await start(t);
  await put(TEXT, [...html, "ETag", '"a"', "Content-MD5", "x", "Content-Length", String(TEXT.length)]);
  for (const coding of ["br", "zstd", "gzip"] as const) {
    const first = await Promise.all([select(...wants(coding)), select(...wants(coding)), select(...wants(coding))]);
    for (const { body, fields } of first) {
      t.equal(body, (await find()).body, `${coding}: as it is`);
      t.same(of(fields, "etag", "vary", "content-encoding"), ['"a"', "Accept-Encoding", undefined], coding);
    }
    await compressor.settled();
    const { body, fields } = await select(...wants(coding));
    t.ok(body instanceof Uint8Array && DECODERS[coding](body).equals(TEXT), `${coding} decodes`);
    t.same(of(fields, "vary", "content-encoding", "content-md5"), ["Accept-Encoding", coding, undefined]);
    t.match(fieldValue(fields, "etag"), new RegExp(`^"[A-Za-z0-9_-]{22}\\.[A-Za-z0-9_-]{11}-${coding}"$`));
    t.equal(await select(...wants(coding)), await select(...wants(coding)), "one answer for all");
  }
  t.same(made, ["br", "zstd", "gzip"]);
  t.equal((await select()).body, (await find()).body, "nobody said what they decode");
  t.equal(fieldValue((await select()).fields, "content-length"), String(TEXT.length));
  const refusing = await select(...wants("br"), "Cache-Control", "no-transform");
  t.equal(fieldValue(refusing.fields, "content-encoding"), undefined);
});

t.test("a variant is of the very content that is stored, and has its freshness and fields", async (t) => {
  const { store, compressor, made, put, select, find } = await start(t);
  await put(TEXT, [...html, "X-Turn", "1"]);
  await select(...wants("br"));
  await compressor.settled();
  t.same(of((await select(...wants("br"))).fields, "x-turn", "content-encoding"), ["1", "br"]);
  const updated = { ...(await find()), fields: fieldsOf([...html, "X-Turn", "2"]) };
  store.update(updated);
  t.same(of((await select(...wants("br"))).fields, "x-turn", "content-encoding"), ["2", "br"], "validated");
  const changed = Buffer.from(TEXT.toString().replaceAll("users", "USERS"));
  await put(changed, [...html, "X-Turn", "3"]);
  t.same(of((await select(...wants("br"))).fields, "x-turn", "content-encoding"), ["3", undefined], "other content");
  await compressor.settled();
  const again = Buffer.from(TEXT.toString().replaceAll("near", "NEAR"));
  await put(again, [...html, "X-Turn", "4"]);
  await select(...wants("gzip"));
  await compressor.settled();
  const known = await select(...wants("br"));
  t.same(of(known.fields, "x-turn", "content-encoding"), ["4", undefined], "its digest is known, and the variant old");
  await compressor.settled();
  const { body } = await select(...wants("br"));
  t.ok(body instanceof Uint8Array && brotliDecompressSync(body).equals(again));
  t.same(made, ["br", "br", "gzip", "br"]);
  await store.purge({
    site: "films",
    match: { kind: "paths", paths: ["/a"] },
    soft: false,
    atMs: Number.MAX_SAFE_INTEGER,
  });
  const left = [undefined, -1, -2, -3].map((slice) => store.find(cacheKeyOf(NAMED), new Map(), slice));
  t.same(left, [undefined, undefined, undefined, undefined], "purged with what it was made of");
});

t.test("variants by other fields have encoded variants of their own", async (t) => {
  const { compressor, put, select } = await start(t);
  const german = Buffer.from(TEXT.toString().replaceAll("content", "Inhalt"));
  const raw = [...html, "Vary", "Accept-Language"];
  const languages = { en: TEXT, de: german };
  for (const [language, content] of Object.entries(languages))
    await put(content, raw, { asked: ["Accept-Language", language] });
  for (const language of ["en", "de", "en", "de"]) {
    await select(...wants("gzip"), "Accept-Language", language);
    await compressor.settled();
  }
  for (const [language, content] of Object.entries(languages)) {
    const { body, fields } = await select(...wants("gzip"), "Accept-Language", language);
    t.ok(body instanceof Uint8Array && gunzipSync(body).equals(content), language);
    t.equal(fieldValue(fields, "vary"), "Accept-Language, Accept-Encoding", language);
  }
});

t.test("what is on disk from before is not made again", async (t) => {
  const folder = testFolder(t);
  {
    const { store, compressor, put, select } = await start(t, folder);
    await put(TEXT, html);
    await select(...wants("br"));
    await compressor.settled();
    await store[Symbol.asyncDispose]();
  }
  const { compressor, made, select } = await start(t, folder);
  t.equal(fieldValue((await select(...wants("br"))).fields, "content-encoding"), undefined, "it has to be read first");
  await compressor.settled();
  t.equal(fieldValue((await select(...wants("br"))).fields, "content-encoding"), "br");
  t.same(made, []);
});

t.test("a lane that does not wait gets what is in memory, or is told to leave it", async (t) => {
  const { compressor, put, find, select } = await start(t);
  await put(TEXT, html);
  const stored = await find();
  const inMemory = (...asked: string[]) => compressor.selectInMemory(stored, fieldsOf(asked));
  t.equal(inMemory(...wants("br")), undefined);
  t.equal(fieldValue(inMemory()?.fields ?? new Map(), "vary"), "Accept-Encoding");
  await select(...wants("br"));
  await compressor.settled();
  t.equal(inMemory(...wants("br")), await select(...wants("br")));
});

t.test("what does not become smaller is tried once, and what is not worth it never", async (t) => {
  const { compressor, made, put, select } = await start(t);
  const random = createHash("shake256", { outputLength: 4096 }).update("noise").digest();
  await put(random, html);
  for (const _ of [1, 2, 3]) {
    t.equal(fieldValue((await select(...wants("br"))).fields, "content-encoding"), undefined);
    await compressor.settled();
  }
  t.same(made, ["br"]);
  await put(TEXT, ["Content-Type", "image/png"]);
  t.equal(fieldValue((await select(...wants("br"))).fields, "vary"), undefined);
  await compressor.settled();
  t.same(made, ["br"]);
});

t.test("only so much waits; what is turned away is asked for again", async (t) => {
  const { compressor, made, put, select, find, skipped } = await start(t);
  const large = Buffer.alloc(COMPRESSIBLE_BYTES_MAX, "a");
  for (let index = 0; index < 8; index += 1) {
    await put(Buffer.concat([large.subarray(0, -1), Buffer.from(String(index))]), html);
    await select(...wants("gzip"));
  }
  t.ok(skipped() > 0, `${skipped()} were turned away`);
  await compressor.settled();
  t.equal(made.length + skipped(), 8);
  await select(...wants("gzip"));
  await compressor.settled();
  t.equal(fieldValue((await select(...wants("gzip"))).fields, "content-encoding"), "gzip");
  t.ok((await find()).body.byteLength > 0);
});

t.test("each reason to leave a response as it is", async (t) => {
  const decide = (raw: string[], { status = 200, size = TEXT.length as number | undefined, slice = -1 } = {}) =>
    decideCompression({ status, fields: fieldsOf(raw), ...(slice < 0 ? {} : { slice }) }, size);
  for (const type of ["text/css", "application/json", "image/svg+xml", "application/feed+json", "TEXT/HTML; charset=x"])
    t.same(decide(["Content-Type", type]), { kind: "compress" }, type);
  t.same(decide(html, { size: undefined }), { kind: "compress" }, "its size is not known yet");
  for (const [raw, more, because] of [
    [html, { status: 404 }, "status"],
    [html, { status: 206 }, "status"],
    [html, { slice: 0 }, "slice"],
    [[...html, "Content-Encoding", "gzip"], {}, "encoded"],
    [[...html, "Cache-Control", "public, No-Transform"], {}, "no-transform"],
    [["Content-Type", "image/png"], {}, "media-type"],
    [["Content-Type", "text/event-stream"], {}, "media-type"],
    [["Content-Type", "video/mp4"], {}, "media-type"],
    [[], {}, "media-type"],
    [html, { size: COMPRESSIBLE_BYTES_MIN - 1 }, "size"],
    [html, { size: COMPRESSIBLE_BYTES_MAX + 1 }, "size"],
  ] as const) {
    t.same(decide([...raw], more), { kind: "leave", because }, because);
  }
});
