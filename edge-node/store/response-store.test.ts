import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { PurgeSpec } from "#domain/content/purge.ts";
import { fieldsOf } from "#domain/http/fields.ts";
import { systemRandom } from "#platform/random.ts";
import { until } from "#test/simulation/until.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { currentAgeSeconds, decideLookup } from "../caching/lookup.ts";
import { decideStorage } from "../caching/storage.ts";
import { SLICE_BYTES } from "./body-file.ts";
import { openResponseStore, type ResponseStore } from "./response-store.ts";
import { cacheKeyOf, type ResponseHead } from "./stored-response.ts";

const START = Date.UTC(2026, 10, 24);
const NO_FIELDS = fieldsOf([]);
const WEB_ORIGIN = "https://shop.example";
const MIB = 1024 * 1024;

interface Counted {
  readonly lost: string[];
  readonly notStored: string[];
  evicted: number;
  /** As last told. */
  objects: number;
}

async function open(t: Test, folder: string | undefined, limits: { disk?: number; memory?: number } = {}) {
  const clock = new VirtualClock(START);
  const counted: Counted = { lost: [], notStored: [], evicted: 0, objects: 0 };
  const store = await openResponseStore({
    ...(folder === undefined ? {} : { folder }),
    diskBytesMax: limits.disk ?? 64 * MIB,
    memoryBytesMax: limits.memory ?? 8 * MIB,
    clock,
    random: systemRandom,
    events: {
      lost: ({ code }) => void counted.lost.push(code),
      notStored: ({ code }) => void counted.notStored.push(code),
      evicted(objects) {
        counted.evicted += objects;
      },
      used({ objects }) {
        counted.objects = objects;
      },
    },
  });
  t.teardown(() => store[Symbol.asyncDispose]());
  return { store, clock, counted };
}

function headOf(
  key: string,
  options: { site?: string; raw?: string[]; atMs?: number; variant?: string } = {},
): ResponseHead {
  const { site = "shop", raw = [], atMs = START } = options;
  const fields = fieldsOf(["cache-control", "max-age=60, stale-if-error=600", ...raw]);
  const facts = { status: 200, fields, requestedAtMs: atMs, receivedAtMs: atMs };
  const decision = decideStorage({ method: "GET", fields: NO_FIELDS }, facts);
  if (decision.kind === "pass") throw new Error(decision.because);
  return {
    site,
    webOrigin: WEB_ORIGIN,
    key,
    varyNames: [],
    variant: "",
    status: 200,
    fields,
    freshness: decision.freshness,
    requestedAtMs: atMs,
  };
}

function cacheKey(key: string, site = "shop"): string {
  return cacheKeyOf({ site, webOrigin: WEB_ORIGIN, key });
}

function bodyOf(seed: number, bytes: number): Buffer {
  const body = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 1) body[at] = (seed * 31 + at * 7 + (at >> 8)) & 0xff;
  return body;
}

async function put(store: ResponseStore, head: ResponseHead, body: Uint8Array): Promise<void> {
  const storing = store.begin(head, () => true);
  for (let at = 0; at < body.byteLength; at += 60_000) storing.write(body.subarray(at, at + 60_000));
  await storing.finish();
}

/** `undefined` for a miss. */
async function bytesOf(store: ResponseStore, key: string, site = "shop"): Promise<Buffer | undefined> {
  const found = await store.find(cacheKey(key, site), NO_FIELDS);
  if (found === undefined) return undefined;
  if (found.body instanceof Uint8Array) return Buffer.from(found.body);
  await using body = await found.body.open();
  if (body === undefined) return undefined;
  const parts: Uint8Array[] = [];
  for await (const part of body.read(0, found.body.byteLength - 1)) parts.push(part);
  return Buffer.concat(parts);
}

function filesIn(folder: string): string[] {
  const entries = readdirSync(join(folder, "bodies"), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

t.test("what was stored is there after a restart, byte for byte, with its head", async (t) => {
  const folder = testFolder(t);
  const sizes = [0, 1, 1000, SLICE_BYTES, SLICE_BYTES + 1, MIB, 3 * MIB + 17];
  const first = await open(t, folder);
  for (const [index, size] of sizes.entries())
    await put(first.store, headOf(`/${index}`, { raw: ["x-a", "ä", "x-a", "b"] }), bodyOf(index, size));
  const { bytes } = first.store.usage();
  await first.store[Symbol.asyncDispose]();
  const { store, counted } = await open(t, folder);
  t.strictSame({ ...store.usage(), bytesMax: 0 }, { bytes, bytesMax: 0, objects: sizes.length });
  t.equal(counted.objects, sizes.length, "told at the start, before anything is written");
  for (const [index, size] of sizes.entries()) {
    t.ok((await bytesOf(store, `/${index}`))?.equals(bodyOf(index, size)), `${size} bytes`);
    const found = await store.find(cacheKey(`/${index}`), NO_FIELDS);
    t.strictSame(found?.fields.get("x-a"), ["ä", "b"]);
    t.strictSame(found?.freshness, headOf("/").freshness);
  }
  t.equal(await bytesOf(store, "/1", "other"), undefined, "sites do not share responses");
  t.strictSame(counted.lost, []);
});

t.test("a file that is gone, cut or changed is a miss, counted, and its bytes are given back", async (t) => {
  const folder = testFolder(t);
  const damages: [string, (path: string) => void][] = [
    ["not-found", (path) => rmSync(path)],
    ["digest-mismatch", (path) => truncateSync(path, 10)],
    ["digest-mismatch", (path) => writeFileSync(path, bodyOf(99, 5000))],
  ];
  const first = await open(t, folder);
  const paths: string[] = [];
  for (const index of damages.keys()) {
    const before = new Set(filesIn(folder));
    await put(first.store, headOf(`/${index}`), bodyOf(index, 5000));
    paths.push(...filesIn(folder).filter((path) => !before.has(path)));
  }
  await first.store[Symbol.asyncDispose]();
  for (const [index, [, damage]] of damages.entries()) damage(paths[index] ?? "");
  const { store, counted } = await open(t, folder);
  for (const index of damages.keys()) t.equal(await bytesOf(store, `/${index}`), undefined, `/${index}`);
  t.strictSame(
    counted.lost,
    damages.map(([code]) => code),
  );
  await until(() => store.usage().bytes === 0, "their bytes are given back");
  t.equal(store.usage().objects, 0);
});

t.test("of a large body that the disk has changed no wrong byte is given out", async (t) => {
  const folder = testFolder(t);
  const body = bodyOf(1, 5 * SLICE_BYTES);
  const { store, counted } = await open(t, folder);
  await put(store, headOf("/large"), body);
  t.ok((await bytesOf(store, "/large"))?.equals(body), "it was whole when it was first read");
  const [path = ""] = filesIn(folder);
  const changed = readFileSync(path);
  changed[3 * SLICE_BYTES] = (changed[3 * SLICE_BYTES] ?? 0) ^ 1;
  writeFileSync(path, changed);
  const found = await store.find(cacheKey("/large"), NO_FIELDS);
  if (found === undefined || found.body instanceof Uint8Array) throw new Error("a large body is read from its file");
  await using opened = await found.body.open();
  const parts: Uint8Array[] = [];
  await t.rejects(
    async () => {
      for await (const part of opened?.read(10, body.byteLength - 1) ?? []) parts.push(part);
    },
    { code: "digest-mismatch" },
  );
  t.ok(Buffer.concat(parts).equals(body.subarray(10, 3 * SLICE_BYTES)), "what came before was right");
  t.strictSame(counted.lost, ["digest-mismatch"]);
  t.equal(await store.find(cacheKey("/large"), NO_FIELDS), undefined);
});

t.test("a large body that is damaged when it is first read is a miss", async (t) => {
  const folder = testFolder(t);
  const { store, counted } = await open(t, folder);
  await put(store, headOf("/large"), bodyOf(1, 5 * SLICE_BYTES));
  const [path = ""] = filesIn(folder);
  writeFileSync(path, readFileSync(path).fill(0, 4 * SLICE_BYTES));
  t.equal(await bytesOf(store, "/large"), undefined);
  t.strictSame(counted.lost, ["digest-mismatch"]);
});

t.test("the disk never has more than the quota, and what is used stays", async (t) => {
  const folder = testFolder(t);
  const quota = 2 * MIB;
  const { store, clock, counted } = await open(t, folder, { disk: quota, memory: 2000 });
  await put(store, headOf("/kept"), bodyOf(0, 30_000));
  for (let index = 1; index <= 120; index += 1) {
    await put(store, headOf(`/${index}`, { atMs: clock.nowMs() }), bodyOf(index, 29_000 + index * 10));
    await clock.advance(10_000);
    t.ok(await bytesOf(store, "/kept"), `used after ${index}`);
    const blocks = filesIn(folder).reduce((sum, path) => sum + Math.ceil(statSync(path).size / 4096) * 4096, 0);
    t.ok(blocks <= store.usage().bytes && store.usage().bytes <= quota, `${blocks} of ${store.usage().bytes} bytes`);
  }
  t.equal(await bytesOf(store, "/1"), undefined, "as large, and not used");
  t.ok(await bytesOf(store, "/120"));
  t.ok(counted.evicted > 40);
  await put(store, headOf("/too-large"), bodyOf(1, quota));
  t.equal(await bytesOf(store, "/too-large"), undefined);
  t.ok(await bytesOf(store, "/120"), "and pushed nothing out");
});

t.test("a large response makes room before many small ones do", async (t) => {
  const folder = testFolder(t);
  const { store, counted } = await open(t, folder, { disk: 2 * MIB, memory: 2000 });
  await put(store, headOf("/large"), bodyOf(0, 400_000));
  for (let index = 0; index < 150; index += 1) await put(store, headOf(`/${index}`), bodyOf(index, 11_000));
  t.equal(await bytesOf(store, "/large"), undefined);
  t.ok(await bytesOf(store, "/0"), "older than the large one's last use, and worth more by the byte");
  t.equal(counted.evicted, 1);
});

t.test("where the disk takes nothing, memory does, and it is counted", async (t) => {
  const folder = testFolder(t);
  const { store, counted } = await open(t, folder);
  rmSync(join(folder, "bodies"), { recursive: true });
  await put(store, headOf("/x"), bodyOf(1, 100));
  t.ok((await bytesOf(store, "/x"))?.equals(bodyOf(1, 100)));
  await put(store, headOf("/large"), bodyOf(1, 2 * MIB));
  t.equal(await bytesOf(store, "/large"), undefined);
  t.strictSame(counted.notStored, ["storage-failed", "storage-failed"]);
  t.match(store.usage(), { bytes: 0, objects: 0 });
});

t.test("an index that is none is begun again; one that is in use is refused", async (t) => {
  const folder = testFolder(t);
  const first = await open(t, folder);
  await put(first.store, headOf("/x"), bodyOf(1, 100));
  await t.rejects(open(t, folder), { code: "storage-failed" });
  await first.store[Symbol.asyncDispose]();
  writeFileSync(join(folder, "index.sqlite"), bodyOf(3, 8192));
  const { store, counted } = await open(t, folder);
  t.strictSame(counted.lost, ["storage-failed"]);
  await until(() => filesIn(folder).length === 0, "files without a row are removed");
  await put(store, headOf("/x"), bodyOf(2, 100));
  t.ok((await bytesOf(store, "/x"))?.equals(bodyOf(2, 100)));
});

t.test("a purge takes what it names and nothing else, in memory, on disk and on the way", async (t) => {
  const raw = ["cache-tag", "red, round", "surrogate-key", "fruit apple"];
  const matches: [PurgeSpec["match"], string[]][] = [
    [{ kind: "all" }, ["/a/1", "/a/2?x=1", "/b"]],
    [{ kind: "paths", paths: ["/a/2?x=1", "/none"] }, ["/a/2?x=1"]],
    [{ kind: "prefix", prefix: "/a/" }, ["/a/1", "/a/2?x=1"]],
    [{ kind: "tags", tags: ["apple"] }, ["/a/1"]],
    [{ kind: "tags", tags: ["round", "none"] }, ["/a/1"]],
  ];
  const folder = testFolder(t, Object.fromEntries(matches.map((_, index) => [String(index), {}])));
  for (const memory of [8 * MIB, 1]) {
    for (const [index, [match, gone]] of matches.entries()) {
      const { store } = await open(t, join(folder, String(index)), { memory });
      for (const key of ["/a/1", "/a/2?x=1", "/b"])
        await put(store, headOf(key, key === "/a/1" ? { raw } : {}), bodyOf(1, 10));
      await put(store, headOf("/b", { site: "other" }), bodyOf(2, 10));
      const late = store.begin(headOf(gone[0] ?? "", { raw }), () => true);
      late.write(bodyOf(1, 10));
      const named = JSON.stringify({ match, memory });
      const swept = store.purge({ site: "shop", match, soft: false, atMs: START + 1 });
      for (const key of gone)
        if (key !== "/none") t.equal(store.find(cacheKey(key), NO_FIELDS), undefined, `at once: ${named}`);
      await swept;
      t.equal(store.usage().objects, 4 - gone.length, `swept: ${named}`);
      await late.finish();
      for (const key of ["/a/1", "/a/2?x=1", "/b"])
        t.equal((await bytesOf(store, key)) === undefined, gone.includes(key), `${key} ${named}`);
      t.ok(await bytesOf(store, "/b", "other"), named);
      await put(store, headOf(gone[0] ?? "", { atMs: START + 2 }), bodyOf(3, 10));
      t.ok(await bytesOf(store, gone[0] ?? ""), "what was asked for later is stored");
      await store.expireStoredBefore("all-sites", START + 10);
      t.equal(await bytesOf(store, "/b", "other"), undefined);
      await store[Symbol.asyncDispose]();
    }
  }
});

t.test("a soft purge leaves it stale: validated before use, served when the upstream fails", async (t) => {
  const folder = testFolder(t);
  for (const memory of [8 * MIB, 1]) {
    const { store, clock } = await open(t, folder, { memory });
    await put(store, headOf("/x"), bodyOf(1, 10));
    const atMs = START + 20_000;
    await clock.advance(20_000);
    await store.purge({ site: "shop", match: { kind: "all" }, soft: true, atMs });
    const found = await store.find(cacheKey("/x"), NO_FIELDS);
    if (found === undefined) throw new Error("it is still there");
    t.equal(decideLookup(found.freshness, new Map(), atMs).kind, "validate");
    t.match(found.freshness, { lifetimeSeconds: 20, staleIfErrorSeconds: 600 }, "stale since the purge");
    store.update({ ...found, ...headOf("/x", { atMs }) });
    const validated = await store.find(cacheKey("/x"), NO_FIELDS);
    t.equal(validated && currentAgeSeconds(validated.freshness, atMs), 0, "a validation makes it fresh");
    await store[Symbol.asyncDispose]();
  }
});

t.test("a purge by a clock that is ahead is for what was asked for until it came, and not for later", async (t) => {
  const folder = testFolder(t, { hard: {}, soft: {} });
  for (const memory of [8 * MIB, 1]) {
    for (const soft of [false, true]) {
      const { store, clock } = await open(t, join(folder, soft ? "soft" : "hard"), { memory });
      await put(store, headOf("/old"), bodyOf(1, 10));
      const late = store.begin(headOf("/late"), () => true);
      await store.purge({ site: "shop", match: { kind: "all" }, soft, atMs: START + 365 * 86_400_000 });
      await late.finish();
      const named = JSON.stringify({ memory, soft });
      const found = await store.find(cacheKey("/old"), NO_FIELDS);
      if (soft) t.equal(found && decideLookup(found.freshness, new Map(), START).kind, "validate", named);
      else t.equal(found, undefined, named);
      t.equal(await bytesOf(store, "/late"), undefined, named);
      await clock.advance(1000);
      await put(store, headOf("/old", { atMs: START + 1000 }), bodyOf(2, 10));
      const again = await store.find(cacheKey("/old"), NO_FIELDS);
      t.equal(again && decideLookup(again.freshness, new Map(), START + 1000).kind, "serve", named);
      await store[Symbol.asyncDispose]();
    }
  }
});

t.test("what is newer on disk is what is found: too large for memory, or stored while the old was read", async (t) => {
  const { store } = await open(t, testFolder(t));
  await put(store, headOf("/x"), bodyOf(1, 1000));
  const old = await store.find(cacheKey("/x"), NO_FIELDS);
  await put(store, headOf("/x", { atMs: START + 1 }), bodyOf(2, 3 * MIB));
  t.ok((await bytesOf(store, "/x"))?.equals(bodyOf(2, 3 * MIB)));
  if (old === undefined) throw new Error("it was stored");
  store.update({ ...old, requestedAtMs: START + 2 });
  t.ok((await bytesOf(store, "/x"))?.equals(bodyOf(2, 3 * MIB)), "validating the old one leaves the new one");
});

t.test("a response that is read from disk while another takes its place is not kept in memory", async (t) => {
  const folder = testFolder(t);
  const first = await open(t, folder);
  await put(first.store, headOf("/x"), bodyOf(1, 1000));
  await first.store[Symbol.asyncDispose]();
  const { store } = await open(t, folder);
  const reading = store.find(cacheKey("/x"), NO_FIELDS);
  await put(store, headOf("/x", { atMs: START + 1 }), bodyOf(2, 3 * MIB));
  await reading;
  t.ok((await bytesOf(store, "/x"))?.equals(bodyOf(2, 3 * MIB)));
});

t.test("an index that the machine went down on is believed where it is sound, and begun again where not", async (t) => {
  const folder = testFolder(t);
  const marker = join(folder, "opened");
  for (const [damage, objects] of [
    [false, 300],
    [true, 0],
  ] as const) {
    const { store } = await open(t, folder);
    for (let index = 0; index < 300; index += 1) await put(store, headOf(`/${index}`), bodyOf(index, 10));
    t.not(readFileSync(marker, "utf8"), "closed", "while it is open");
    await store[Symbol.asyncDispose]();
    t.equal(readFileSync(marker, "utf8"), "closed");
    writeFileSync(marker, "another boot");
    const path = join(folder, "index.sqlite");
    const bytes = readFileSync(path);
    // A page of rows that was not written.
    if (damage) writeFileSync(path, bytes.fill(0, 40 * 4096, 44 * 4096));
    const again = await open(t, folder);
    t.equal(again.store.usage().objects, objects, `damaged: ${damage}`);
    t.strictSame(again.counted.lost, damage ? ["storage-failed"] : []);
    await put(again.store, headOf("/new"), bodyOf(1, 100));
    t.ok((await bytesOf(again.store, "/new"))?.equals(bodyOf(1, 100)));
    await again.store[Symbol.asyncDispose]();
  }
});

t.test("an index whose schema names a column otherwise is begun again, and the store opens", async (t) => {
  const folder = testFolder(t);
  const { store } = await open(t, folder);
  await put(store, headOf("/x"), bodyOf(1, 10));
  await store[Symbol.asyncDispose]();
  const path = join(folder, "index.sqlite");
  const bytes = readFileSync(path);
  // Of a column that no index has: SQLite itself finds nothing amiss.
  const at = bytes.indexOf("soft_ms INTEGER");
  t.ok(at > 0, "in the schema");
  bytes[at] = "q".charCodeAt(0);
  writeFileSync(path, bytes);
  const again = await open(t, folder);
  t.strictSame(again.counted.lost, ["storage-failed"]);
  await put(again.store, headOf("/new"), bodyOf(1, 100));
  t.ok((await bytesOf(again.store, "/new"))?.equals(bodyOf(1, 100)));
  await again.store[Symbol.asyncDispose]();
});

t.test(
  "a purge that was not swept when the process ended is in effect from the next start on, and swept then",
  async (t) => {
    const folder = testFolder(t, { hard: {}, soft: {} });
    for (const soft of [false, true]) {
      const path = join(folder, soft ? "soft" : "hard");
      const first = await open(t, path);
      for (let index = 0; index < 200; index += 1)
        await put(first.store, headOf(`/${index}`, { raw: ["cache-tag", "all"] }), bodyOf(index, 10));
      void first.store.purge({ site: "shop", match: { kind: "tags", tags: ["all"] }, soft, atMs: START + 1 });
      await first.store[Symbol.asyncDispose]();
      const { store } = await open(t, path);
      const last = await store.find(cacheKey("/199"), NO_FIELDS);
      if (soft) t.equal(last?.freshness.alwaysValidate, true, "softened, at once");
      else t.equal(last, undefined, "gone, at once");
      if (!soft) await until(() => store.usage().objects === 0, "it is swept");
      if (!soft) await until(() => filesIn(path).length === 0, "and its files are removed");
      await put(store, headOf("/199", { atMs: START + 1, raw: ["cache-tag", "all"] }), bodyOf(1, 10));
      await store[Symbol.asyncDispose]();
      const third = await open(t, path);
      const kept = await third.store.find(cacheKey("/199"), NO_FIELDS);
      t.equal(kept?.freshness.alwaysValidate, false, "what came after the purge stays as it is");
      await third.store[Symbol.asyncDispose]();
    }
  },
);

t.test("a purge of a path takes all its variants and slices, under every host", async (t) => {
  const folder = testFolder(t);
  for (const memory of [8 * MIB, 1]) {
    const { store } = await open(t, join(folder, String(memory)), { memory });
    const heads = [
      headOf("/x"),
      { ...headOf("/x"), slice: 0 },
      { ...headOf("/x"), slice: 7 },
      { ...headOf("/x"), varyNames: ["accept"], variant: "accept=text/html" },
      { ...headOf("/x"), webOrigin: "https://www.shop.example" },
    ];
    for (const head of heads) await put(store, head, bodyOf(1, 10));
    await put(store, { ...headOf("/x/y"), slice: 7 }, bodyOf(2, 10));
    const objects = store.usage().objects;
    t.equal(objects, heads.length + 1);
    const swept = store.purge({ site: "shop", match: { kind: "paths", paths: ["/x"] }, soft: false, atMs: START + 1 });
    for (const head of heads) {
      const request = fieldsOf(head.variant === "" ? [] : ["accept", "text/html"]);
      t.equal(await store.find(cacheKeyOf(head), request, head.slice), undefined, JSON.stringify([memory, head]));
    }
    await swept;
    t.equal(store.usage().objects, 1);
    t.ok(await store.find(cacheKey("/x/y"), NO_FIELDS, 7), "another path is as it was");
    await store[Symbol.asyncDispose]();
  }
});
