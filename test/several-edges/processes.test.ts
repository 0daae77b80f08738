/** An edge of several processes that is joined to an origin: purges and settings are in force in all when it says so. */
import { join } from "node:path";
import t, { type Test } from "tap";
import { formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { startTcpLink } from "#platform/links/tcp-link.ts";
import { systemRandom } from "#platform/random.ts";
import type { RawConnection } from "#test/front/raw-connection.ts";
import { childrenOf, isRunning, openAt, untilCopied } from "#test/processes/several-processes.ts";
import { until } from "#test/simulation/until.ts";
import { testFolder } from "#test/test-folder.ts";
import { api, document, joinSettings, publish, startCloud, startEdgeHere } from "../edge-origin/edge-and-origin.ts";
import { FRONT, metricOf, purge, startUpstream, type TierEdge, tierEdgeOf, untilApplied } from "./tier-world.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const FRONTS = 2;
const RELEASE_MS_MAX = 60_000;
/** Copies are lent again by then. */
const ACTIVATED_AFTER_MS = 6_000;

async function startWorld(t: Test) {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  const upstream = await startUpstream(t);
  const site = { hostnames: [FRONT], pull: { upstream: upstream.url } };
  const pool = { coordinates: { latitude: 0, longitude: 0 }, region: "near" };
  await api(cloud, "POST", "/v1/apply", {
    documents: [document("Site", "front", site), document("NodePool", "near", pool)],
  });
  const target = cloud.origin.addresses.nodeRpc;
  const link = await startTcpLink({ listen: LOCAL, target, rttMs: 0, clock: systemClock, random: systemRandom });
  t.teardown(() => link[Symbol.asyncDispose]());
  const joined = await joinSettings(cloud, folder, "near-1", { pool: "near" });
  const { enrolment, delivery } = cloud.listen;
  const origin = { enrolment, delivery, nodeRpc: formatAddress(link.address) };
  const settings = { ...joined, settings: { ...joined.settings, origin, processes: 1 + FRONTS } };
  const before = new Set(childrenOf(process.pid));
  const edge = tierEdgeOf(await startEdgeHere(t, settings), settings, link);
  await untilApplied(cloud, [edge]);
  const fronts = () => childrenOf(process.pid).filter((pid) => !before.has(pid));
  const open = async (pid: number) => {
    const connection = await openAt(pid, edge.running.addresses.content.port);
    t.teardown(() => connection[Symbol.dispose]());
    return connection;
  };
  return { cloud, upstream, site, link, edge, fronts, open };
}

async function ask(connection: RawConnection, path: string): Promise<string> {
  connection.write(`GET ${path} HTTP/1.1\r\nHost: ${FRONT}\r\n\r\n`);
  return (await connection.answer()).toString("latin1");
}

const copied = (edge: TierEdge, connection: RawConnection, path: string) =>
  untilCopied(
    () => ask(connection, path),
    () => metricOf(edge, "front_hits_total"),
  );

t.test("a purge is applied once no process answers with what it named", async (t) => {
  const { cloud, upstream, edge, fronts, open } = await startWorld(t);
  const orders: readonly [name: string, match: object, soft: boolean][] = [
    ["by-url", { kind: "paths", paths: ["/shop/page"] }, false],
    ["by-tag", { kind: "tags", tags: ["page"] }, false],
    ["by-prefix", { kind: "prefix", prefix: "/shop/" }, false],
    ["of-all", { kind: "all" }, false],
    ["soft", { kind: "tags", tags: ["page"] }, true],
  ];
  t.equal(fronts().length, FRONTS);
  const connections = await Promise.all([process.pid, ...fronts()].map(open));
  for (const [name, match, soft] of orders) {
    for (const connection of connections.slice(1)) await copied(edge, connection, "/shop/page");
    const before = upstream.asked.length;
    await purge(cloud, name, match, { soft });
    await untilApplied(cloud, [edge]);
    for (const answer of await Promise.all(connections.map((connection) => ask(connection, "/shop/page")))) {
      const times = Number(/\/shop\/page (\d+)/.exec(answer)?.[1]);
      t.ok(times > before, `${name}: ${times} is of after the purge, ${before} were before`);
    }
  }
});

t.test("a purge does not wait for a process that stands still: it is killed, and started again", async (t) => {
  const { cloud, edge, fronts, open } = await startWorld(t);
  const [still = 0, other = 0] = fronts();
  const [lost, connection] = [await open(still), await open(other)];
  for (const one of [lost, connection]) await copied(edge, one, "/page");
  process.kill(still, "SIGSTOP");
  await purge(cloud, "while-still", { kind: "all" });
  await untilApplied(cloud, [edge]);
  t.notOk(fronts().includes(still), "what would have answered of old is gone");
  t.match(await ask(connection, "/page"), /\/page 2/);
  await lost.rest();
  await until(() => fronts().length === FRONTS, "another takes its place");
  t.notOk(isRunning(still));
  const [again = 0] = fronts().filter((pid) => pid !== other);
  const back = await open(again);
  await copied(edge, back, "/page");
  t.match(await ask(back, "/page"), /\/page 2/);
});

t.test("settings of a site are applied once no process answers by the old ones", async (t) => {
  const { cloud, site, edge, fronts, open } = await startWorld(t);
  const connections = await Promise.all([process.pid, ...fronts()].map(open));
  for (const connection of connections.slice(1)) await copied(edge, connection, "/page");
  const bypassing = { ...site, cache: { rules: [{ path: "/page", bypass: true }] } };
  await api(cloud, "POST", "/v1/apply", { documents: [document("Site", "front", bypassing)] });
  await untilApplied(cloud, [edge]);
  for (const connection of connections) t.match(await ask(connection, "/page"), /fwd=bypass/);
  await api(cloud, "POST", "/v1/apply", { documents: [document("Site", "front", site)] });
  await untilApplied(cloud, [edge]);
  for (const connection of connections.slice(1)) await copied(edge, connection, "/page");
  const elsewhere = { ...site, hostnames: ["elsewhere.example"] };
  await api(cloud, "POST", "/v1/apply", { documents: [document("Site", "front", elsewhere)] });
  await untilApplied(cloud, [edge]);
  for (const connection of connections) t.match(await ask(connection, "/page"), /^HTTP\/1\.1 421 /);
});

t.test("a node that is cut off answers by its policy in every process", async (t) => {
  const { cloud, link, edge, fronts, open } = await startWorld(t);
  const policy = { sites: ["front"], offline: { denyAfterSeconds: 0 } };
  await api(cloud, "POST", "/v1/apply", { documents: [document("ContentPolicy", "strict", policy)] });
  await untilApplied(cloud, [edge]);
  const connections = await Promise.all(fronts().map(open));
  for (const connection of connections) await copied(edge, connection, "/page");
  link.cut();
  for (const connection of connections) {
    let answer = "";
    for (let tries = 0; !answer.startsWith("HTTP/1.1 503") && tries < 50_000; tries += 1)
      answer = await ask(connection, "/page");
    t.match(answer, /^HTTP\/1\.1 503 /);
  }
  link.restore();
});

t.test("a file of a release is answered by every process alike, and another release is answered by all", async (t) => {
  const { cloud, edge, fronts, open } = await startWorld(t);
  const host = "files.example";
  const site = { hostnames: [host], publish: {} };
  await api(cloud, "POST", "/v1/apply", { documents: [document("Site", "files", site)] });
  const page = "first ".repeat(400);
  await publish(cloud, "files", { "/index.html": page });
  const [main, ...others] = await Promise.all([process.pid, ...fronts()].map(open));
  const askFor = async (connection: RawConnection | undefined, method: string, ...lines: readonly string[]) => {
    connection?.write([`${method} / HTTP/1.1`, `Host: ${host}`, ...lines, "", ""].join("\r\n"));
    const answer = await connection?.answer({ isHead: method === "HEAD" });
    return answer?.toString("latin1").replace(/\r\nDate: [^\r]*/, "");
  };
  const limit = systemClock.deadline(RELEASE_MS_MAX);
  const untilAll = async (text: string) => {
    for (const connection of [main, ...others])
      while (!(await askFor(connection, "GET"))?.includes(text)) limit.throwIfAborted();
  };
  await untilAll("first");
  const frontHits = () => metricOf(edge, "front_hits_total");
  const conditions = ["GET", "HEAD"].flatMap((method) => [
    [method],
    [method, "Accept-Encoding: br"],
    [method, 'If-None-Match: "other"', "Accept-Encoding: br"],
    [method, "If-None-Match: *"],
    [method, "If-Modified-Since: Tue, 24 Nov 2126 08:49:30 GMT"],
  ]);
  for (const connection of others) {
    for (const [method = "", ...lines] of conditions) {
      await untilCopied(() => askFor(connection, method, ...lines), frontHits);
      t.equal(await askFor(connection, method, ...lines), await askFor(main, method, ...lines), lines.join());
    }
  }
  const activateAtMs = systemClock.nowMs() + ACTIVATED_AFTER_MS;
  await publish(cloud, "files", { "/index.html": "second" }, { activateAtMs });
  await untilApplied(cloud, [edge]);
  for (const connection of others) await untilCopied(() => askFor(connection, "GET"), frontHits);
  t.ok(systemClock.nowMs() < activateAtMs, "copies of the old one are there when the new one is activated");
  await untilAll("second");
  for (const connection of [main, ...others]) t.match(await askFor(connection, "GET"), /second$/, "and stays so");
});
