import { mkdirSync, writeFileSync } from "node:fs";
import { connect as connectH2, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectTcp, createServer } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import t, { type Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { testFolder } from "#test/test-folder.ts";
import { createTestAuthority } from "#test/tls/certificates.ts";
import { findPebble, PEBBLE_MISSING, startPebble } from "#test/tls/pebble.ts";
import {
  api,
  type Cloud,
  document,
  joinSettings,
  publish,
  startCloud,
  startEdgeHere,
} from "../edge-origin/edge-and-origin.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const NAME = "shop.example.com";
/** Each is a handshake, or a call of the operator API. */
const TURNS_MAX = 20_000;
const program = findPebble();

/** One address for all edges, as a name in DNS has several: each connection goes to the next of them. */
async function startBalancer(t: Test) {
  const edges: number[] = [];
  const reached = new Set<number>();
  let next = 0;
  const server = createServer((socket) => {
    const port = edges[next % Math.max(1, edges.length)] ?? 0;
    next += 1;
    reached.add(port);
    const inner = connectTcp(port, LOCAL.host);
    socket.on("error", () => inner.destroy()).pipe(inner);
    inner.on("error", () => socket.destroy()).pipe(socket);
  });
  const { port } = await listen(server, LOCAL);
  t.teardown(() => closeServer(server));
  return { port, edges, reached };
}

interface Shown {
  readonly names: string | undefined;
  readonly serial: string | undefined;
  readonly content: string;
}

/** What an edge shows and answers to who asks for the name over TLS. */
function askOverTls(port: number): Promise<Shown> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ ...LOCAL, port, servername: NAME, rejectUnauthorized: false }, () => {
      const { subjectaltname: names, serialNumber: serial } = socket.getPeerCertificate();
      let content = "";
      socket.setEncoding("utf8").on("data", (chunk) => {
        content += chunk;
      });
      socket.on("end", () => resolve({ names, serial, content }));
      socket.write(`GET / HTTP/1.1\r\nHost: ${NAME}\r\nConnection: close\r\n\r\n`);
    });
    socket.once("error", reject);
  });
}

async function untilShown(port: number, isWanted: (shown: Shown | undefined) => boolean): Promise<Shown | undefined> {
  for (let turn = 0; turn < TURNS_MAX; turn += 1) {
    const shown = await askOverTls(port).catch(() => undefined);
    if (isWanted(shown)) return shown;
  }
  throw new Error("still not so");
}

async function startEdge(t: Test, cloud: Cloud, folder: string, name: string, pool: string) {
  const joined = await joinSettings(cloud, folder, name, { pool });
  const edge = { ...joined, settings: { ...joined.settings, tls: { listen: "127.0.0.1:0" } } };
  return { edge, running: await startEdgeHere(t, edge) };
}

async function resourcesOf(cloud: Cloud, kind: string) {
  const text = await api(cloud, "GET", `/v1/resources/${kind}`);
  const { items }: { items: { spec: { pool: string; keys: { node: string }[] } }[] } = JSON.parse(text);
  return { text, items };
}

t.test(
  "a site's certificate is ordered by the origin, proved by any edge, sealed to each, and there without the cloud",
  { skip: program === undefined && PEBBLE_MISSING, timeout: 120_000 },
  async (t) => {
    const folder = testFolder(t, { pebble: {}, origin: {}, edges: {} });
    const balancer = await startBalancer(t);
    const pebble = await startPebble({
      program: program ?? "",
      folder: join(folder, "pebble"),
      httpPort: balancer.port,
      nowMs: systemClock.nowMs(),
    });
    t.teardown(() => pebble[Symbol.asyncDispose]());
    const authorityFile = join(folder, "authority.pem");
    writeFileSync(authorityFile, pebble.trustedPem);
    const { directoryUrl } = pebble;
    const cloud = await startCloud(t, join(folder, "origin"), undefined, { acme: { directoryUrl, authorityFile } });
    const edges = join(folder, "edges");
    mkdirSync(edges, { recursive: true });
    const near = await startEdge(t, cloud, edges, "near-1", "near");
    const far = await startEdge(t, cloud, edges, "far-1", "far");
    balancer.edges.push(near.running.addresses.content.port, far.running.addresses.content.port);

    const site = document("Site", "shop", { hostnames: [NAME], publish: {}, acme: true });
    await api(cloud, "POST", "/v1/apply", { documents: [site] });
    await publish(cloud, "shop", { "/index.html": "hello" });
    const isServed = (shown: Shown | undefined) => shown?.names === `DNS:${NAME}` && shown.content.endsWith("hello");
    const first = await untilShown(near.running.addresses.tls?.port ?? 0, isServed);
    const other = await untilShown(far.running.addresses.tls?.port ?? 0, isServed);
    t.equal(other?.serial, first?.serial, "both pools have the one certificate");
    t.same(balancer.reached, new Set(balancer.edges), "the authority has asked both");

    const late = await startEdge(t, cloud, edges, "near-2", "near");
    t.equal(
      (await untilShown(late.running.addresses.tls?.port ?? 0, isServed))?.serial,
      first?.serial,
      "who joins later",
    );
    const certificates = await resourcesOf(cloud, "SiteCertificate");
    const nodes = Object.fromEntries(
      certificates.items.map(({ spec }) => [spec.pool, spec.keys.map(({ node }) => node).sort()]),
    );
    t.same(nodes, { near: ["near-1", "near-2"], far: ["far-1"] });
    t.notMatch(certificates.text, /PRIVATE/, "no key lies open in the log");
    t.same((await resourcesOf(cloud, "AcmeChallenge")).items, [], "no challenge is left");

    await cloud.origin[Symbol.asyncDispose]();
    await near.running[Symbol.asyncDispose]();
    const again = await startEdgeHere(t, near.edge);
    const cold = await untilShown(again.addresses.tls?.port ?? 0, isServed);
    t.equal(cold?.serial, first?.serial, "after a cold start without the cloud");

    const back = await startCloud(t, cloud.dataDir, cloud, { acme: { directoryUrl, authorityFile } });
    await api(back, "DELETE", "/v1/resources/Site/shop");
    await untilShown(again.addresses.tls?.port ?? 0, (shown) => shown === undefined);
    t.same((await resourcesOf(back, "SiteCertificate")).items, [], "with its site it is gone");
  },
);

t.test(
  "an edge serves its sites inside TLS from files, by both protocols, and takes new files when told",
  async (t) => {
    const folder = testFolder(t, { origin: {}, edges: {}, files: {} });
    const authority = await createTestAuthority(systemClock.nowMs());
    const writePair = async (name: string) => {
      const { certificatePem, keyPem } = await authority.issue([name]);
      writeFileSync(join(folder, "files", "a.crt"), certificatePem);
      writeFileSync(join(folder, "files", "a.key"), keyPem);
    };
    await writePair(NAME);
    const cloud = await startCloud(t, join(folder, "origin"));
    const joined = await joinSettings(cloud, join(folder, "edges"), "near-1");
    const tls = { listen: "127.0.0.1:0", folder: join(folder, "files") };
    const edge = await startEdgeHere(t, { ...joined, settings: { ...joined.settings, tls } });
    const port = edge.addresses.tls?.port ?? 0;
    await api(cloud, "POST", "/v1/apply", {
      documents: [document("Site", "shop", { hostnames: [NAME], publish: {} })],
    });
    await publish(cloud, "shop", { "/index.html": "hello" });
    const first = await untilShown(port, (shown) => shown?.content.endsWith("hello") === true);
    t.equal(first?.names, `DNS:${NAME}`);

    const session = connectH2(`https://127.0.0.1:${port}`, { ca: authority.authorityPem, servername: NAME });
    t.teardown(() => session.destroy());
    const ask = (fields: OutgoingHttpHeaders) =>
      new Promise((resolve, reject) => {
        const request = session.request({ ":path": "/", ":authority": NAME, ...fields });
        let answer = "";
        request.on("response", ({ ":status": status }) => {
          answer += `${status} `;
        });
        request.setEncoding("utf8").on("data", (chunk) => {
          answer += chunk;
        });
        request.on("error", reject).on("end", () => resolve(answer));
      });
    t.equal(await ask({}), "200 hello");
    t.match(await ask({ ":authority": "other.example" }), /^421 /, "another site's name on the same connection");
    t.match(await ask({ ":path": "/nothing" }), /^404 /);

    await writePair("new.example");
    edge.reload();
    const later = await untilShown(port, (shown) => shown?.names === "DNS:new.example");
    t.match(later?.content, /hello$/);
  },
);
