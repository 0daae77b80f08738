/** An origin that was put back from a backup: refused and told while its log is older, taken once it is restored. */
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { openSqliteLog } from "#origin/log/sqlite-log.ts";
import { restoreOrigin } from "#origin/restore.ts";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  type Answer,
  api,
  type Cloud,
  document,
  get,
  hasBody,
  joinSettings,
  publish,
  shop,
  startCloud,
  startEdgeHere,
  untilAnswer,
} from "./edge-and-origin.ts";

const tools = { clock: systemClock, random: systemRandom };
const site = (name: string) => document("Site", name, { hostnames: [`${name}.example`], publish: {} });

async function statusOf(cloud: Cloud): Promise<Answer> {
  const text = await api(cloud, "GET", "/v1/resources/Node/near-1");
  return { status: 200, headers: {}, body: Buffer.from(text) };
}

const says = (condition: string) => (answer: Answer) => answer.body.includes(condition);
const unsynced = (reason: string) => says(`"type":"Synced","status":false,"reason":"${reason}"`);
const synced = says('"type":"Synced","status":true');

t.test("an older log is refused until it is restored, and then only with a word on what it has lost", async (t) => {
  const folder = testFolder(t);
  const first = await startCloud(t, join(folder, "origin"));
  await api(first, "POST", "/v1/apply", { documents: [shop] });
  await publish(first, "shop", { "/index.html": "one" });
  const edge = await startEdgeHere(t, await joinSettings(first, folder, "near-1"));
  const { content, admin } = edge.addresses;
  await untilAnswer(() => get(content, "/"), hasBody("one"), "served");
  await first.origin[Symbol.asyncDispose]();
  const backup = join(folder, "backup");
  cpSync(first.dataDir, backup, { recursive: true });

  const later = await startCloud(t, first.dataDir, first);
  await api(later, "POST", "/v1/apply", { documents: [site("news"), site("blog")] });
  for (const name of ["news", "blog"]) await publish(later, name, { "/index.html": name });
  await publish(later, "shop", { "/index.html": "two" });
  const isLater = async () => {
    await untilAnswer(() => get(content, "/"), hasBody("two"), "served");
    await untilAnswer(() => get(content, "/", { host: "news.example" }), hasBody("news"), "news is served");
    await untilAnswer(() => get(content, "/", { host: "blog.example" }), hasBody("blog"), "blog is served");
  };
  await isLater();
  await later.origin[Symbol.asyncDispose]();
  rmSync(first.dataDir, { recursive: true });
  cpSync(backup, first.dataDir, { recursive: true });

  const older = await startCloud(t, first.dataDir, first);
  await untilAnswer(() => statusOf(older), unsynced("OriginBehind"), "the edge says that the origin is behind");
  const metrics = await get(older.origin.addresses.admin, "/metrics");
  t.match(metrics.body.toString(), /perigee_origin_log_behind_total [1-9]/, "and the origin has seen it");
  const refused = await get(admin, "/metrics");
  t.match(refused.body.toString(), /batches_refused_total\{code="epoch-regressed"\} [1-9]/);
  t.match(refused.body.toString(), /perigee_edge_node_synced 0/);
  await isLater();
  // More than was lost: revisions alone say no longer that this log is another.
  for (let change = 0; change < 40; change += 1) {
    const labels = { change: String(change) };
    await api(older, "POST", "/v1/apply", { documents: [{ ...shop, metadata: { name: "shop", labels } }] });
  }
  const status: { items: { metadata: { resourceVersion: number } }[] } = JSON.parse(
    await api(older, "GET", "/v1/resources/Site"),
  );
  const own = Math.max(...status.items.map(({ metadata }) => metadata.resourceVersion));
  const held = Number(/"appliedRevision":(\d+)/.exec((await statusOf(older)).body.toString())?.[1]);
  t.ok(own > held, `the older log has come to ${own}, the edge holds ${held}`);
  await untilAnswer(() => statusOf(older), says("put back to before what is held"), "it is refused for what it is");
  t.ok(unsynced("OriginBehind")(await statusOf(older)), "and the edge says so");
  await isLater();
  await older.origin[Symbol.asyncDispose]();

  const { epoch, revision } = await restoreOrigin(first.dataDir, tools);
  t.equal(epoch, 2);
  t.ok(revision > 1_000_000_000, "revisions that no node has seen");
  await t.rejects(restoreOrigin(first.dataDir, tools, 2), { code: "config-invalid" }, "an epoch is begun once");
  const restored = await startCloud(t, first.dataDir, first);
  await untilAnswer(() => statusOf(restored), unsynced("ShrinkRefused"), "two of three sites would be gone");
  await isLater();
  await api(restored, "POST", "/v1/apply", {
    documents: [document("Tombstone", "site.news", { kind: "Site", name: "news" }), site("blog")],
  });
  await publish(restored, "shop", { "/index.html": "three" });
  await untilAnswer(() => get(content, "/"), hasBody("three"), "the restored log is taken");
  t.equal((await get(content, "/", { host: "news.example" })).status, 421, "what a tombstone names is gone");
  await untilAnswer(() => statusOf(restored), synced, "and the edge says so");
  t.match((await statusOf(restored)).body.toString(), /"epoch":2/);
});

t.test("a log restored after another authority took over is taken by who knows only the one before", async (t) => {
  const folder = testFolder(t);
  const first = await startCloud(t, join(folder, "origin"));
  await api(first, "POST", "/v1/apply", { documents: [shop] });
  await publish(first, "shop", { "/index.html": "one" });
  const edge = await startEdgeHere(t, await joinSettings(first, folder, "near-1"));
  const { content } = edge.addresses;
  await untilAnswer(() => get(content, "/"), hasBody("one"), "served");
  await api(first, "POST", "/v1/authority/rotation", {});
  await first.origin[Symbol.asyncDispose]();

  t.equal((await restoreOrigin(first.dataDir, tools)).epoch, 2);
  const restored = await startCloud(t, first.dataDir, first);
  await publish(restored, "shop", { "/index.html": "two" });
  await untilAnswer(() => get(content, "/"), hasBody("two"), "minted by the next");
  await untilAnswer(() => statusOf(restored), synced, "in sync");
  t.match((await statusOf(restored)).body.toString(), /"epoch":2/);
});

t.test(
  "what is deleted stays deleted for an edge that was away, also after compaction, and orders reach it",
  async (t) => {
    const folder = testFolder(t);
    // Kept house every second, by which what nobody may resume from is forgotten.
    const cloud = await startCloud(t, join(folder, "origin"), undefined, {
      logRevisionsKept: 100,
      housekeepingSeconds: 1,
    });
    const names = Array.from({ length: 6 }, (_, index) => `site-${index}`);
    await api(cloud, "POST", "/v1/apply", { documents: [shop, ...names.map(site)] });
    await publish(cloud, "shop", { "/index.html": "one" });
    const settings = await joinSettings(cloud, folder, "near-1");
    const edge = await startEdgeHere(t, settings);
    await untilAnswer(() => get(edge.addresses.content, "/"), hasBody("one"), "served");
    await edge[Symbol.asyncDispose]();
    const held: { revision: number } = JSON.parse(await api(cloud, "GET", "/v1/resources/Site"));
    const heldRevision = held.revision;

    for (const name of names) await api(cloud, "DELETE", `/v1/resources/Site/${name}`);
    const orders = [
      document("Purge", "shop.all", { site: "shop", match: { kind: "all" } }),
      document("Revocation", "lost", {
        subject: { kind: "node", name: "near-9" },
        reason: "stolen",
        subjectExpiresAtMs: systemClock.nowMs() + 86_400_000,
      }),
    ];
    await api(cloud, "POST", "/v1/apply", { documents: orders });
    for (let change = 0; change < 120; change += 1) {
      const labels = { change: String(change) };
      await api(cloud, "POST", "/v1/apply", { documents: [{ ...shop, metadata: { name: "shop", labels } }] });
    }
    const { items }: { items: unknown[] } = JSON.parse(await api(cloud, "GET", "/v1/resources/Tombstone"));
    t.equal(items.length, names.length, "a tombstone each");
    const compacted = async (): Promise<Answer> => {
      // The origin of this process keeps house between two looks.
      await api(cloud, "GET", "/v1/resources/Site/shop");
      using log = openSqliteLog(join(cloud.dataDir, "log.sqlite"));
      return { status: log.compactedRevision(), headers: {}, body: Buffer.from("compacted") };
    };
    await untilAnswer(compacted, ({ status }) => status > heldRevision, "what the edge held is compacted");
    await publish(cloud, "shop", { "/index.html": "two" });
    await cloud.origin[Symbol.asyncDispose]();
    const again = await startCloud(t, cloud.dataDir, cloud);
    const back = await startEdgeHere(t, settings);
    await untilAnswer(() => get(back.addresses.content, "/"), hasBody("two"), "the snapshot is taken");
    await untilAnswer(() => statusOf(again), synced, "in sync");
    for (const kind of ["Purge", "Revocation"]) {
      const text = await api(again, "GET", `/v1/resources/${kind}`);
      t.match(text, /"appliedBy":1/, `${kind}: applied`);
    }
  },
);
