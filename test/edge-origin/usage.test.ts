/** What users got of two sites through an edge of two processes, its link cut and the edge stopped in between, is what operators read. */
import { createServer } from "node:http";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { RunningEdge } from "#edge-node/edge.ts";
import { formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { startTcpLink } from "#platform/links/tcp-link.ts";
import { systemRandom } from "#platform/random.ts";
import { askOnOneConnection } from "#test/front/one-connection.ts";
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

const LOCAL = { host: "127.0.0.1", port: 0 };
const LARGE = Buffer.alloc(300_000, "x");
const FRONT = "front.example";
const SHOP = "shop.example";

interface Item {
  readonly site: string;
  readonly requests: number;
  readonly byCache: Readonly<Record<string, number>>;
  readonly byStatus: Readonly<Record<string, number>>;
  readonly sentBytes: number;
  readonly upstreamBytes: number;
  readonly originBytes: number;
}

/** What users saw. */
class Seen {
  requests = 0;
  bytes = 0;
  /** Before it has a release an edge answers 503. */
  readonly byStatus: Record<string, number> = { "2xx": 0, "4xx": 0, "5xx": 0 };

  note({ status, body }: Answer): void {
    this.requests += 1;
    this.bytes += body.byteLength;
    const name = `${Math.floor(status / 100)}xx`;
    this.byStatus[name] = (this.byStatus[name] ?? 0) + 1;
  }
}

async function startWorld(t: Test) {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  const upstream = { bytes: 0 };
  const server = createServer((request, response) => {
    const body = request.url === "/large" ? LARGE : Buffer.from(`of ${request.url}`);
    upstream.bytes += body.byteLength;
    response.writeHead(request.url === "/none" ? 404 : 200, { "cache-control": "max-age=600" }).end(body);
  });
  const address = await listen(server, LOCAL);
  t.teardown(() => closeServer(server));
  const front = { hostnames: [FRONT], pull: { upstream: `http://${formatAddress(address)}` } };
  await api(cloud, "POST", "/v1/apply", { documents: [shop, document("Site", "front", front)] });
  await publish(cloud, "shop", { "/index.html": "page", "/large": LARGE });
  const target = cloud.origin.addresses.nodeRpc;
  const wire = await startTcpLink({ listen: LOCAL, target, rttMs: 0, clock: systemClock, random: systemRandom });
  t.teardown(() => wire[Symbol.asyncDispose]());
  const joined = await joinSettings(cloud, folder, "near-1");
  const { enrolment = "", delivery = "" } = cloud.listen;
  const origin = { enrolment, delivery, nodeRpc: formatAddress(wire.address) };
  return { cloud, wire, upstream, settings: { ...joined, settings: { ...joined.settings, origin, processes: 2 } } };
}

/** The users of one edge, one life of it after the other. */
class Users {
  readonly seen: Readonly<Record<string, Seen>> = { [FRONT]: new Seen(), [SHOP]: new Seen() };
  #connections: ReturnType<typeof askOnOneConnection>[] = [];

  /** Connections that go on, for the fast lane; so many that no process is without. */
  connect(t: Test, { addresses }: RunningEdge): void {
    this.#connections = Array.from({ length: 8 }, () => askOnOneConnection(t, addresses.content));
  }

  async ask(host: string, path: string, method = "GET", headers = {}): Promise<Answer> {
    const connection = this.#connections.shift();
    if (connection === undefined) throw new Error("a connection");
    this.#connections.push(connection);
    const { status = 0, ...answer } = await connection(path, { host, ...headers }, method);
    // Before it has the set it knows of no site.
    if (status !== 421) this.seen[host]?.note({ status, ...answer });
    return { status, ...answer };
  }

  async askForAll(turns: number): Promise<void> {
    for (let turn = 0; turn < turns; turn += 1) {
      for (const host of [FRONT, SHOP]) {
        for (const path of ["/", "/large", "/none"]) await this.ask(host, path);
        await this.ask(host, "/large", "GET", { range: "bytes=0-99" });
        await this.ask(host, "/", "HEAD");
      }
    }
  }
}

/** A test that runs over midnight gets two days of each. */
async function sumsOf(cloud: Cloud, site: string) {
  const { items }: { items: Item[] } = JSON.parse(await api(cloud, "GET", `/v1/usage?per=day&site=${site}`));
  const sum = (of: (item: Item) => number | undefined) => items.reduce((all, item) => all + (of(item) ?? 0), 0);
  return {
    requests: sum(({ requests }) => requests),
    hits: sum(({ byCache }) => byCache["hit"]),
    byStatus: Object.fromEntries(["2xx", "4xx", "5xx"].map((name) => [name, sum(({ byStatus }) => byStatus[name])])),
    sentBytes: sum(({ sentBytes }) => sentBytes),
    upstreamBytes: sum((item) => item.upstreamBytes),
    originBytes: sum(({ originBytes }) => originBytes),
  };
}

t.test("what users got is what operators read, cut off or not, each request once", async (t) => {
  const { cloud, wire, upstream, settings } = await startWorld(t);
  const users = new Users();
  let edge = await startEdgeHere(t, settings);
  users.connect(t, edge);
  await untilAnswer(() => users.ask(FRONT, "/"), hasBody("of /"), "pulled");
  await untilAnswer(() => users.ask(SHOP, "/large"), hasBody(LARGE), "published");
  const frontHits = async () => {
    await users.askForAll(1);
    return get(edge.addresses.admin, "/metrics");
  };
  await untilAnswer(frontHits, ({ body }) => /front_hits_total [1-9]\d/.test(body.toString()), "both processes hit");
  wire.cut();
  await users.askForAll(3);
  for (let life = 0; life < 2; life += 1) {
    await edge[Symbol.asyncDispose]();
    edge = await startEdgeHere(t, settings);
    users.connect(t, edge);
    await users.askForAll(3);
  }
  await edge[Symbol.asyncDispose]();
  wire.restore();
  await startEdgeHere(t, settings);
  const wanted = Object.values(users.seen).reduce((sum, { requests }) => sum + requests, 0);
  const arrived = async () => {
    const status = (await sumsOf(cloud, "front")).requests + (await sumsOf(cloud, "shop")).requests;
    return { status, headers: {}, body: Buffer.alloc(0) };
  };
  await untilAnswer(arrived, ({ status }) => status >= wanted, `${wanted} requests are known of`);
  for (const [site, host] of [
    ["front", FRONT],
    ["shop", SHOP],
  ] as const) {
    const { requests, bytes, byStatus } = users.seen[host] ?? new Seen();
    const sums = await sumsOf(cloud, site);
    t.match(sums, { requests, byStatus, sentBytes: bytes }, site);
    t.ok(sums.hits > requests / 2, `${sums.hits} hits of ${site}`);
  }
  t.equal((await sumsOf(cloud, "front")).upstreamBytes, upstream.bytes);
  t.ok((await sumsOf(cloud, "shop")).originBytes >= LARGE.byteLength);
  t.equal((await sumsOf(cloud, "shop")).upstreamBytes, 0);
});
