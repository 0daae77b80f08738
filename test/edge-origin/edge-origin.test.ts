/** A real origin and real edges over loopback: what is published is served, also alone, and what is wrong changes nothing. */
import { createHash } from "node:crypto";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { systemClock } from "#platform/clock.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  type Answer,
  api,
  decide,
  document,
  get,
  hasBody,
  joinSettings,
  kill,
  publish,
  shop,
  spawnEdge,
  startCloud,
  startEdgeHere,
  untilAnswer,
} from "./edge-and-origin.ts";

const LARGE = Buffer.alloc(700_000, (() => createHash("sha256").update("large").digest())());
const home = "<h1>first</h1>";

t.test("what is published is served byte for byte, in parts, on condition, and goes back by rollback", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  const publishSpec = { publish: { notFoundDocument: "/404.html" }, hostnames: ["shop.example"] };
  await api(cloud, "POST", "/v1/apply", { documents: [document("Site", "shop", publishSpec)] });
  const edge = await startEdgeHere(t, await joinSettings(cloud, folder, "near-1"));
  const { content } = edge.addresses;
  const files = { "/index.html": home, "/a/index.html": "in a", "/big.bin": LARGE, "/empty": "", "/404.html": "none" };
  await publish(cloud, "shop", files);
  const first = await untilAnswer(() => get(content, "/"), hasBody(home), "the first release is served");
  const { etag = "" } = first.headers;
  t.match(first.headers, { "content-type": "text/html", "cache-status": /^Perigee; / });
  t.match((await get(content, "/index.html")).headers, { etag, "cache-status": "Perigee; hit" });
  t.ok((await get(content, "/big.bin")).body.equals(LARGE));
  t.ok((await get(content, "/", { host: "shop.near-1.edge.test:7420" })).body.equals(Buffer.from(home)));

  const sizes = ({ status, body }: Answer) => [status, body.length];
  t.same(sizes(await get(content, "/", { headers: { "if-none-match": `${etag}` } })), [304, 0]);
  t.equal((await get(content, "/", { headers: { "if-match": '"other"' } })).status, 412);
  const part = await get(content, "/big.bin", { headers: { range: "bytes=65530-65549" } });
  t.same([part.status, part.headers["content-range"]], [206, `bytes 65530-65549/${LARGE.length}`]);
  t.ok(part.body.equals(LARGE.subarray(65_530, 65_550)));
  t.equal((await get(content, "/big.bin", { headers: { range: "bytes=700000-" } })).status, 416);
  const changed = await get(content, "/big.bin", { headers: { range: "bytes=0-1", "if-range": '"other"' } });
  t.same(sizes(changed), [200, LARGE.length]);
  const head = await get(content, "/big.bin", { method: "HEAD" });
  t.same([...sizes(head), head.headers["content-length"]], [200, 0, String(LARGE.length)]);
  t.same(sizes(await get(content, "/empty")), [200, 0]);
  const moved = await get(content, "/a?b=1");
  t.same([moved.status, moved.headers["location"]], [301, "./a/?b=1"]);
  const missing = await get(content, "/nothing");
  t.match([missing.status, missing.body.toString()], [404, "none"]);
  t.equal((await get(content, "/%zz")).status, 400);
  t.equal((await get(content, "/../../etc/passwd")).status, 404);
  t.equal((await get(content, "/", { method: "POST" })).status, 405);
  t.equal((await get(content, "/", { host: "stranger.example" })).status, 421);

  await publish(cloud, "shop", { "/index.html": "second" });
  await untilAnswer(() => get(content, "/"), hasBody("second"), "the second release is served");
  t.equal((await get(content, "/big.bin")).status, 404);
  await api(cloud, "POST", "/v1/sites/shop/rollback", { toGeneration: 1 });
  await untilAnswer(() => get(content, "/"), hasBody(home), "the first content is served again");
  t.ok((await get(content, "/big.bin")).body.equals(LARGE));
  const soon = systemClock.nowMs() + 1500;
  await publish(cloud, "shop", { "/index.html": "later" }, { activateAtMs: soon });
  await untilAnswer(() => get(content, "/"), hasBody("later"), "the last release is served at its time");
  t.ok(systemClock.nowMs() >= soon, "not before its activation time");
});

t.test("with the origin gone an edge goes on, starts cold within a second, and catches up", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  await api(cloud, "POST", "/v1/apply", { documents: [shop] });
  await publish(cloud, "shop", { "/index.html": home, "/big.bin": LARGE });
  const settings = await joinSettings(cloud, folder, "near-1");
  const first = await spawnEdge(t, settings);
  await untilAnswer(() => get(first.content, "/"), hasBody(home), "served");
  await untilAnswer(() => get(first.content, "/big.bin"), hasBody(LARGE), "served");
  await cloud.origin[Symbol.asyncDispose]();
  t.ok(hasBody(home)(await get(first.content, "/")), "served while the origin is gone");
  await kill(first.child);
  const begunMs = systemClock.monotonicMs();
  const cold = await spawnEdge(t, settings);
  await untilAnswer(() => get(cold.content, "/"), hasBody(home), "served after a cold start");
  const firstByteMs = systemClock.monotonicMs() - begunMs;
  t.comment(`cold start to first byte: ${Math.round(firstByteMs)} ms`);
  t.ok(firstByteMs < 5000, `${firstByteMs} ms`);
  t.ok(hasBody(LARGE)(await get(cold.content, "/big.bin")));
  const again = await startCloud(t, cloud.dataDir, cloud);
  await publish(again, "shop", { "/index.html": "meanwhile" });
  await untilAnswer(() => get(cold.content, "/"), hasBody("meanwhile"), "a release made meanwhile arrives");
  const records = await untilAnswer(
    () => get(cold.admin, "/metrics"),
    ({ status }) => status === 200,
    "metrics",
  );
  t.match(records.body.toString(), /^perigee_edge_node_origin_link_up 1$/m);
});

t.test("an assigned release is complete before it is served, also after kill -9 in the middle of it", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  await api(cloud, "POST", "/v1/apply", { documents: [shop] });
  const files = Object.fromEntries(
    Array.from({ length: 300 }, (_, index) => [`/f${index}`, Buffer.alloc(20_000, `${index} `)]),
  );
  const settings = await joinSettings(cloud, folder, "near-1");
  const first = await spawnEdge(t, settings);
  await untilAnswer(
    () => get(first.admin, "/readyz"),
    ({ status }) => status === 200,
    "ready",
  );
  await decide(cloud, folder, document("Assignment", "near", { pool: "near", sites: ["shop"], apps: [] }));
  await publish(cloud, "shop", { ...files, "/index.html": home });
  const objects = join(settings.dataDir, "objects");
  const count = () =>
    readdirSync(objects, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
  const limit = systemClock.deadline(20_000);
  while (count() < 20 && !limit.aborted) await get(first.admin, "/healthz");
  await kill(first.child);
  t.ok(count() < 302, `killed with ${count()} of 302 objects`);
  const second = await spawnEdge(t, settings);
  await untilAnswer(() => get(second.content, "/"), hasBody(home), "served after the restart");
  await cloud.origin[Symbol.asyncDispose]();
  for (const [path, bytes] of Object.entries(files)) {
    if (!hasBody(bytes)(await get(second.content, path))) t.fail(`${path} is not as published`);
  }
  const offline = await get(second.admin, "/readyz?offline");
  t.match(offline.status, 200, offline.body.toString());
});

t.test("a join token is good once and for one name; another authority is not joined", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  const settings = await joinSettings(cloud, folder, "near-1");
  await startEdgeHere(t, settings);
  const twice = { ...settings, settings: { ...settings.settings, dataDir: join(folder, "twin") } };
  await t.rejects(startEdgeHere(t, twice), { code: "join-token-used" });
  await t.rejects(startEdgeHere(t, await joinSettings(cloud, folder, "near-2", { bound: "near-3" })), {
    code: "join-token-name",
  });
  const other = await startCloud(t, join(folder, "other-origin"));
  const { settings: mine } = await joinSettings(cloud, folder, "near-4");
  const misled = { name: "near-4", dataDir: join(folder, "near-4"), settings: { ...mine, origin: other.listen } };
  const { enrolment, nodeRpc, delivery } = other.listen;
  Object.assign(misled.settings, { origin: { enrolment, nodeRpc, delivery } });
  await t.rejects(startEdgeHere(t, misled), { code: "certificate-untrusted" });
});

t.test("an object that rots on disk is never served: it is fetched again", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  await api(cloud, "POST", "/v1/apply", { documents: [shop] });
  await publish(cloud, "shop", { "/index.html": home, "/big.bin": LARGE });
  const settings = await joinSettings(cloud, folder, "near-1");
  const first = await startEdgeHere(t, settings);
  for (const [path, bytes] of [
    ["/", home],
    ["/big.bin", LARGE],
  ] as const) {
    await untilAnswer(() => get(first.addresses.content, path), hasBody(bytes), path);
  }
  await first[Symbol.asyncDispose]();
  for (const bytes of [Buffer.from(home), LARGE]) {
    const digest = createHash("sha256").update(bytes).digest("hex");
    const rotten = Buffer.from(bytes);
    rotten[3] = 0;
    writeFileSync(join(settings.dataDir, "objects", digest.slice(0, 2), digest), rotten);
  }
  const again = await startEdgeHere(t, settings);
  t.ok(hasBody(home)(await get(again.addresses.content, "/")));
  t.ok(hasBody(LARGE)(await get(again.addresses.content, "/big.bin")));
  const metrics = await get(again.addresses.admin, "/metrics");
  t.match(metrics.body.toString(), /perigee_edge_node_objects_damaged_total 2/);
});
