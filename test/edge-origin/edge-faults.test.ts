/** What an edge does when its link, its upstream or a certificate fails, with a real origin. */
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import t from "tap";
import { decodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { POOL_SET_MIGRATIONS } from "#edge-node/desired-state/pool-set.ts";
import { REPORT_QUEUE_MIGRATIONS } from "#edge-node/reports/report-queue.ts";
import type { SessionPorts } from "#edge-node/session-port.ts";
import { RECORDS_MIGRATIONS } from "#origin/records/records.ts";
import { formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { startTcpLink } from "#platform/links/tcp-link.ts";
import { systemRandom } from "#platform/random.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  api,
  digestOf,
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

const LINK_UP = "perigee_edge_node_origin_link_up";
const local = { host: "127.0.0.1", port: 0 };

t.test(
  "a link that goes silent is noticed within 10 s, served through, and made again; both are reported once",
  async (t) => {
    const folder = testFolder(t);
    const cloud = await startCloud(t, join(folder, "origin"));
    await api(cloud, "POST", "/v1/apply", { documents: [shop] });
    await publish(cloud, "shop", { "/index.html": "one" });
    const target = cloud.origin.addresses.nodeRpc;
    const wire = await startTcpLink({ listen: local, target, rttMs: 0, clock: systemClock, random: systemRandom });
    t.teardown(() => wire[Symbol.asyncDispose]());
    const settings = await joinSettings(cloud, folder, "near-1");
    const origin = { ...cloud.listen, nodeRpc: formatAddress(wire.address) };
    const { enrolment, nodeRpc, delivery } = { enrolment: "", delivery: "", ...origin };
    const edge = await startEdgeHere(t, {
      ...settings,
      settings: { ...settings.settings, origin: { enrolment, nodeRpc, delivery } },
    });
    const { content, admin } = edge.addresses;
    await untilAnswer(() => get(content, "/"), hasBody("one"), "served");
    const isLink = (up: 0 | 1) =>
      untilAnswer(
        () => get(admin, "/metrics"),
        ({ body }) => body.includes(`\n${LINK_UP} ${up}\n`),
        `link ${up}`,
      );
    await isLink(1);
    wire.halfOpen();
    const cutAtMs = systemClock.monotonicMs();
    await isLink(0);
    const noticedMs = systemClock.monotonicMs() - cutAtMs;
    t.ok(noticedMs < 11_000, `noticed after ${noticedMs} ms`);
    t.ok(hasBody("one")(await get(content, "/")));
    wire.restore();
    await publish(cloud, "shop", { "/index.html": "two" });
    await untilAnswer(() => get(content, "/"), hasBody("two"), "what was published meanwhile is served");
    await isLink(1);
    const records = openDatabase(join(cloud.dataDir, "records.sqlite"), {
      migrations: RECORDS_MIGRATIONS,
      durability: "normal",
    });
    t.teardown(() => records.close());
    const kinds = () =>
      records
        .prepare("SELECT kind FROM records WHERE node = 'near-1'")
        .all()
        .map((row) => row["kind"]);
    const arrived = async () => ({ status: kinds().length, headers: {}, body: (await get(admin, "/healthz")).body });
    await untilAnswer(arrived, ({ status }) => status >= 3, "the reports arrive");
    t.same(kinds().sort(), ["link-down", "link-up", "link-up"]);
  },
);

t.test("a pulled site is cached, purged by order, and served from disk with upstream and origin gone", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  let asked = 0;
  const upstream = createServer((_request, response) => {
    asked += 1;
    response.writeHead(200, { "cache-control": "max-age=600" }).end(`answer ${asked}`);
  });
  const address = await listen(upstream, local);
  t.teardown(() => closeServer(upstream));
  const front = {
    hostnames: ["front.example"],
    pull: { upstream: `http://${formatAddress(address)}` },
    cache: { maxStaleSeconds: 3600 },
  };
  await api(cloud, "POST", "/v1/apply", { documents: [document("Site", "front", front)] });
  const settings = await joinSettings(cloud, folder, "near-1");
  const first = await startEdgeHere(t, settings);
  const ask = (edge: typeof first) => get(edge.addresses.content, "/page", { host: "front.example" });
  await untilAnswer(() => ask(first), hasBody("answer 1"), "pulled");
  t.match((await ask(first)).headers, { "cache-status": /hit/ });
  const purge = {
    site: "front",
    match: { kind: "paths", paths: ["/page"] },
    soft: false,
    atMs: systemClock.nowMs() + 1,
  };
  await api(cloud, "POST", "/v1/apply", { documents: [document("Purge", "p1", purge)] });
  await untilAnswer(() => ask(first), hasBody("answer 2"), "pulled again after the purge");
  await first[Symbol.asyncDispose]();
  await cloud.origin[Symbol.asyncDispose]();
  await closeServer(upstream);
  const cold = await startEdgeHere(t, settings);
  t.equal((await ask(cold)).body.toString(), "answer 2", "also the purge is not applied twice");
});

t.test(
  "an origin restored from an older backup is refused, which status and readiness say, and the newest is served",
  async (t) => {
    const folder = testFolder(t);
    const dataDir = join(folder, "origin");
    const cloud = await startCloud(t, dataDir);
    await api(cloud, "POST", "/v1/apply", { documents: [shop] });
    await publish(cloud, "shop", { "/index.html": "one" });
    const edge = await startEdgeHere(t, await joinSettings(cloud, folder, "near-1"));
    const { content, admin } = edge.addresses;
    await untilAnswer(() => get(content, "/"), hasBody("one"), "served");
    await cloud.origin[Symbol.asyncDispose]();
    const backup = join(folder, "backup");
    cpSync(dataDir, backup, { recursive: true });
    const second = await startCloud(t, dataDir, cloud);
    await publish(second, "shop", { "/index.html": "two" });
    await untilAnswer(() => get(content, "/"), hasBody("two"), "the second is served");
    await second.origin[Symbol.asyncDispose]();
    rmSync(dataDir, { recursive: true });
    cpSync(backup, dataDir, { recursive: true });
    const restored = await startCloud(t, dataDir, cloud);
    const nodes = async () => {
      const body = await api(restored, "GET", "/v1/nodes");
      return { status: body.includes("OriginBehind") ? 200 : 0, headers: {}, body: Buffer.from(body) };
    };
    const told = await untilAnswer(nodes, ({ status }) => status === 200, "the node's status says that it refuses");
    t.match(told.body.toString(), /a batch to revision \d+, after \d+ of the same epoch/);
    const ready = await get(admin, "/readyz");
    t.match(
      [ready.status, ready.body.toString()],
      [200, /OriginBehind: a batch to revision/],
      "it serves, and says so there too",
    );
    t.match((await get(admin, "/metrics")).body.toString(), /batches_refused_total\{code="epoch-regressed"\} [1-9]/);
    t.ok(hasBody("two")(await get(content, "/")));
  },
);

t.test("a stranger's origin with the edge's address learns nothing and changes nothing", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  await api(cloud, "POST", "/v1/apply", { documents: [shop] });
  await publish(cloud, "shop", { "/index.html": "ours" });
  const settings = await joinSettings(cloud, folder, "near-1");
  const first = await startEdgeHere(t, settings);
  await untilAnswer(() => get(first.addresses.content, "/"), hasBody("ours"), "served");
  await first[Symbol.asyncDispose]();
  await cloud.origin[Symbol.asyncDispose]();
  const stranger = await startCloud(t, join(folder, "stranger"));
  await api(stranger, "POST", "/v1/apply", { documents: [shop] });
  await publish(stranger, "shop", { "/index.html": "theirs" });
  const { enrolment, nodeRpc, delivery } = { enrolment: "", nodeRpc: "", delivery: "", ...stranger.listen };
  const misled = { ...settings, settings: { ...settings.settings, origin: { enrolment, nodeRpc, delivery } } };
  const edge = await startEdgeHere(t, misled);
  for (let turn = 0; turn < 20; turn += 1) t.ok(hasBody("ours")(await get(edge.addresses.content, "/")));
  const nodes: { items: { status?: { linkUp?: boolean } }[] } = JSON.parse(await api(stranger, "GET", "/v1/nodes"));
  t.same(nodes.items, []);
  const failures = /origin_link_failures_total\{code="unavailable"\} [1-9]/;
  await untilAnswer(
    () => get(edge.addresses.admin, "/metrics"),
    ({ body }) => failures.test(body.toString()),
    "each refusal is counted",
  );
});

t.test(
  "a revoked edge gets no more from the origin, which is counted at both, and goes on with what it holds",
  async (t) => {
    const folder = testFolder(t);
    const cloud = await startCloud(t, join(folder, "origin"));
    await api(cloud, "POST", "/v1/apply", { documents: [shop] });
    await publish(cloud, "shop", { "/index.html": "one" });
    const edge = await startEdgeHere(t, await joinSettings(cloud, folder, "near-1"));
    const { content, admin } = edge.addresses;
    await untilAnswer(() => get(content, "/"), hasBody("one"), "served");
    const subject = { kind: "node", name: "near-1" };
    const revocation = document("Revocation", "stolen", { subject, reason: "stolen", subjectExpiresAtMs: 9e12 });
    await api(cloud, "POST", "/v1/apply", { documents: [revocation] });
    await publish(cloud, "shop", { "/index.html": "two" });
    const counted = (code: string) => new RegExp(`_failure.*_total\\{code="${code}"\\} [1-9]`);
    await untilAnswer(
      () => get(admin, "/metrics"),
      ({ body }) => counted("permission-denied").test(body.toString()),
      "the edge knows why",
    );
    const origin = await get(cloud.origin.addresses.admin, "/metrics");
    t.match(origin.body.toString(), /perigee_origin_calls_failed_total\{code="permission-denied"\} [1-9]/);
    t.ok(hasBody("one")(await get(content, "/")));
  },
);

t.test(
  "an edge whose databases are damaged starts, counts it, serves what verifies, and is mended by a snapshot",
  async (t) => {
    const folder = testFolder(t);
    const cloud = await startCloud(t, join(folder, "origin"));
    await api(cloud, "POST", "/v1/apply", { documents: [shop] });
    await publish(cloud, "shop", { "/index.html": "one" });
    const settings = await joinSettings(cloud, folder, "near-1");
    const first = await startEdgeHere(t, settings);
    await untilAnswer(() => get(first.addresses.content, "/"), hasBody("one"), "served");
    await first[Symbol.asyncDispose]();
    for (const name of ["reports", "purges", "releases"]) {
      writeFileSync(join(settings.dataDir, `${name}.sqlite`), "not a database ".repeat(1000));
    }
    const options = { migrations: POOL_SET_MIGRATIONS, durability: "full" } as const;
    const desired = openDatabase(join(settings.dataDir, "desired.sqlite"), options);
    desired.exec("UPDATE envelope SET payload = x'00' WHERE position = (SELECT max(position) FROM envelope)");
    desired.close();
    const again = await startEdgeHere(t, settings);
    const { content, admin } = again.addresses;
    await untilAnswer(() => get(content, "/"), hasBody("one"), "served again");
    const metrics = (await get(admin, "/metrics")).body.toString();
    for (const what of ["desired", "reports", "purges", "releases"]) {
      t.match(metrics, `perigee_edge_node_stored_state_damaged_total{what="${what}"} 1`);
    }
    await untilAnswer(
      () => get(admin, "/readyz?offline"),
      ({ status }) => status === 200,
      "whole again",
    );
  },
);

t.test("reports that cannot be read any more cost the edge neither its link nor its life", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  await api(cloud, "POST", "/v1/apply", { documents: [shop] });
  await publish(cloud, "shop", { "/index.html": "one" });
  const settings = await joinSettings(cloud, folder, "near-1");
  const edge = await startEdgeHere(t, settings);
  const { content, admin } = edge.addresses;
  await untilAnswer(() => get(content, "/"), hasBody("one"), "served");
  const reports = openDatabase(join(settings.dataDir, "reports.sqlite"), {
    migrations: REPORT_QUEUE_MIGRATIONS,
    durability: "full",
  });
  reports.exec("DROP TABLE report");
  reports.close();
  await cloud.origin[Symbol.asyncDispose]();
  const again = await startCloud(t, cloud.dataDir, cloud);
  await publish(again, "shop", { "/index.html": "two" });
  await untilAnswer(() => get(content, "/"), hasBody("two"), "the next release is served");
  const metrics = (await get(admin, "/metrics")).body.toString();
  t.match(metrics, /storage_failures_total\{code="storage-failed"\} [1-9]/);
  t.match(metrics, new RegExp(`^${LINK_UP} 1$`, "m"));
});

t.test(
  "the door to the agents takes its requests, gets batches and objects, and its agents are reported",
  async (t) => {
    const folder = testFolder(t);
    const cloud = await startCloud(t, join(folder, "origin"));
    await api(cloud, "POST", "/v1/apply", { documents: [shop] });
    const passed: number[] = [];
    let ports: SessionPorts | undefined;
    const agent = { agent: "gpu-1", incarnation: "one", ready: true, reasons: [], slots: [], sessions: [] };
    const edge = await startEdgeHere(t, await joinSettings(cloud, folder, "near-1"), async (given) => {
      ports = given;
      const nowhere = { host: "127.0.0.1", port: 0 };
      return {
        addresses: { site: nowhere, siteEnrolment: nowhere },
        handle(incoming, response) {
          if (incoming.url?.startsWith("/.perigee/") !== true) return false;
          response.end("door");
          return true;
        },
        agentStatuses: () => [agent],
        passOn: ({ payload }) => void passed.push(decodePoolBatch(payload).to),
        [Symbol.asyncDispose]: async () => undefined,
      };
    });
    const { content } = edge.addresses;
    t.equal((await get(content, "/.perigee/v1/probe", { host: "anything" })).body.toString(), "door");
    await publish(cloud, "shop", { "/index.html": "a scene" });
    await untilAnswer(() => get(content, "/"), hasBody("a scene"), "served");
    t.ok(passed.length >= 2, `${passed}`);
    t.equal(ports?.isCutOff(), false);
    const object = await ports?.openObject(digestOf("a scene"), 2);
    if (object === undefined) throw new Error("the door was opened");
    t.equal(object.sizeBytes, 7);
    t.equal((await buffer(object.bytes)).toString(), "scene");
    await t.rejects(Promise.resolve(ports?.openObject(digestOf("other"), 0)), { code: "not-found" });
    const nodes = async () => {
      const text = await api(cloud, "GET", "/v1/nodes");
      return { status: text.includes("gpu-1") ? 200 : 0, headers: {}, body: Buffer.from(text) };
    };
    await untilAnswer(nodes, ({ status }) => status === 200, "the agent is seen at the origin");
  },
);
