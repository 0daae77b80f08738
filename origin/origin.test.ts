/** The origin over loopback: first token, enrolment, distribution, decisions, delivery, and what it refuses. */
import { createHash } from "node:crypto";
import { request } from "node:https";
import { buffer } from "node:stream/consumers";
import type { MessageInitShape } from "@bufbuild/protobuf";
import t, { type Test } from "tap";
import { decodePoolBatch, toWatermark } from "#contracts/codec/pool-batch.ts";
import { Enrolment } from "#contracts/generated/perigee/v1/enrolment_pb.js";
import { type NodeMessageSchema, NodeSync, type OriginMessage } from "#contracts/generated/perigee/v1/node_pb.js";
import {
  type FactsMessage,
  type SchedulerMessageSchema,
  SchedulerSync,
} from "#contracts/generated/perigee/v1/scheduler_pb.js";
import { POOL_BATCH_CONTEXT, type PoolBatch } from "#domain/desired-state.ts";
import { systemClock } from "#platform/clock.ts";
import { BoundedQueue } from "#platform/concurrency/bounded-queue.ts";
import { loadConfig } from "#platform/config/load.ts";
import { createGrpcClient } from "#platform/grpc/client.ts";
import { createAuthority, createCertificateRequest, issueCertificate } from "#platform/identity/authority.ts";
import { formatPemChain, parseCertificate, pinOf } from "#platform/identity/certificates.ts";
import {
  checkSignature,
  exportPrivateKey,
  generateSigningKey,
  importPublicKey,
} from "#platform/identity/signatures.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { testFolder } from "#test/test-folder.ts";
import { originConfigSchema } from "./config.ts";
import { type RunningOrigin, startOrigin } from "./origin.ts";

const SERVER_NAME = "origin.origin.perigee.internal";
const tools = { clock: systemClock, random: systemRandom };
const document = (kind: string, name: string, spec: object) => ({
  apiVersion: "perigee.dev/v1",
  kind,
  metadata: { name },
  spec,
});
const shop = document("Site", "shop", { hostnames: ["shop.example"], publish: {} });
const cafe = document("Site", "cafe", { hostnames: ["cafe.example"], publish: {} });
const near = (region: string) => document("NodePool", "near", { region, coordinates: { latitude: 50, longitude: 8 } });
const steering = (pool: string) => document("SteeringTable", pool, { pool, edges: [] });

async function openOrigin(t: Test, dataDir = testFolder(t)) {
  const local = "127.0.0.1:0";
  const listen = { operatorApi: local, nodeRpc: local, enrolment: local, delivery: local, admin: local };
  const text = JSON.stringify({ dataDir, listen, logLevel: "silent" });
  const printed: string[] = [];
  const logger = createLogger({ program: "origin", level: "silent" });
  const print = (line: string) => void printed.push(line);
  const origin = await startOrigin(loadConfig(originConfigSchema, { text }), { ...tools, logger, print });
  t.teardown(() => origin[Symbol.asyncDispose]());
  const token = printed[0]?.split(": ")[1] ?? "";
  const api = async (method: string, path: string, body?: unknown): Promise<Response> =>
    fetch(`http://127.0.0.1:${origin.addresses.operatorApi.port}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  return { origin, printed, api, token, dataDir };
}

type Api = Awaited<ReturnType<typeof openOrigin>>["api"];

async function joinTokenOf(api: Api, role: string, name: string): Promise<{ token: string; pin: string }> {
  const pool = role === "scheduler" ? {} : { pool: "near" };
  if (role !== "scheduler") await api("POST", "/v1/apply", { documents: [near("eu")] });
  return JSON.parse(await (await api("POST", "/v1/join-tokens", { role, name, ...pool })).text());
}

async function enrol(origin: RunningOrigin, joinToken: string, nodeName: string, authoritiesPem: string) {
  const key = generateSigningKey();
  using client = createGrpcClient(Enrolment, {
    address: origin.addresses.enrolment,
    tls: { authoritiesPem, serverName: SERVER_NAME },
  });
  const certificateRequest = await createCertificateRequest(key);
  const signal = systemClock.deadline(10_000);
  const answer = await client.enrol({ joinToken, nodeName, certificateRequest }, { signal });
  const own = { keyPem: exportPrivateKey(key), chainPem: formatPemChain(answer.chain.map(parseCertificate)) };
  return { answer, tls: { authoritiesPem, serverName: SERVER_NAME, own } };
}

async function authorityOf(dataDir: string): Promise<string> {
  const { readFile } = await import("node:fs/promises");
  return readFile(`${dataDir}/identity/authority.crt`, "utf8");
}

async function* outgoing<T>(queue: BoundedQueue<T>, signal: AbortSignal): AsyncGenerator<T> {
  for (;;) yield await queue.take(signal);
}

interface NodeTls {
  readonly authoritiesPem: string;
  readonly serverName: string;
  readonly own: { readonly keyPem: string; readonly chainPem: string };
}

function getBlob(origin: RunningOrigin, tls: NodeTls, path: string, headers: Record<string, string> = {}) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const own = { key: tls.own.keyPem, cert: tls.own.chainPem, ca: tls.authoritiesPem, servername: SERVER_NAME };
    request({ ...origin.addresses.delivery, ...own, path, headers, agent: false }, (response) => {
      buffer(response).then((body) => resolve({ status: response.statusCode ?? 0, body: body.toString() }), reject);
    })
      .once("error", reject)
      .end();
  });
}

/** The next message of a case, passing over pings. */
async function nextOf<M extends OriginMessage | FactsMessage, C extends M["message"]["case"]>(
  messages: AsyncIterator<M>,
  wanted: C,
): Promise<Extract<M["message"], { case: C }>> {
  for (;;) {
    const { value, done } = await messages.next();
    if (done === true) throw new Error("the stream has ended");
    if (isCase<M, C>(value.message, wanted)) return value.message;
  }
}

function isCase<M extends OriginMessage | FactsMessage, C>(
  message: M["message"],
  wanted: C,
): message is Extract<M["message"], { case: C }> {
  return message.case === wanted;
}

t.test("the first token is printed once, and the state outlives a restart", async (t) => {
  const dataDir = testFolder(t);
  const first = await openOrigin(t, dataDir);
  t.match(first.printed[0], /first operator token/);
  t.equal((await first.api("POST", "/v1/apply", { documents: [shop] })).status, 200);
  await first.origin[Symbol.asyncDispose]();
  const again = await openOrigin(t, dataDir);
  t.same(again.printed, []);
  const url = `http://127.0.0.1:${again.origin.addresses.operatorApi.port}/v1/resources/Site/shop`;
  const answer = await fetch(url, { headers: { authorization: `Bearer ${first.token}` } });
  t.match(await answer.json(), { metadata: { resourceVersion: 1 } });
});

t.test("an edge enrols, gets its pool's set signed, then changes, and is seen", async (t) => {
  const { origin, api, dataDir } = await openOrigin(t);
  const authority = await authorityOf(dataDir);
  await api("POST", "/v1/apply", { documents: [shop] });
  const { token, pin } = await joinTokenOf(api, "edge", "near-1");
  const { answer, tls } = await enrol(origin, token, "near-1", authority);
  const anchor = answer.authorities[0] ?? new Uint8Array();
  t.equal(pinOf(parseCertificate(anchor)), pin);
  await t.rejects(enrol(origin, token, "near-1", authority), { code: "join-token-used" });
  const streamKeys = new Map(answer.streamKeys.map((key) => [key.keyId, importPublicKey(key.spki)]));

  const stop = new AbortController();
  using client = createGrpcClient(NodeSync, { address: origin.addresses.nodeRpc, tls });
  const connect = () => {
    const queue = new BoundedQueue<MessageInitShape<typeof NodeMessageSchema>>(16);
    const messages = client.connect(outgoing(queue, stop.signal), { signal: stop.signal });
    return { queue, messages: messages[Symbol.asyncIterator]() };
  };
  const nextBatch = async (messages: AsyncIterator<OriginMessage>): Promise<PoolBatch> => {
    const { value } = await nextOf(messages, "batch");
    const { payload, signature, keyId } = value;
    checkSignature({ context: POOL_BATCH_CONTEXT, bytes: payload, signature, keyId }, streamKeys);
    return decodePoolBatch(payload);
  };
  const hello = { incarnation: "one", softwareVersion: "0.1.0" };
  const { queue, messages } = connect();
  queue.push({ message: { case: "hello", value: hello } });
  const snapshot = await nextBatch(messages);
  t.match(snapshot, { pool: "near", snapshot: true, last: true, to: 3 });
  t.same(snapshot.rows.map((row) => row.name).sort(), ["near", "near-1", "shop"]);
  await api("POST", "/v1/apply", { documents: [near("us")] });
  const change = await nextBatch(messages);
  t.match(change, { from: 3, to: 4, snapshot: false, rows: [{ kind: "NodePool", name: "near" }] });

  const status = { incarnation: "one", softwareVersion: "0.1.0", appliedRevision: 4n };
  queue.push({ message: { case: "status", value: status } });
  const report = { id: "report-1", kind: "session-ended", atMs: 5n, json: Buffer.from("{}") };
  queue.push({ message: { case: "reports", value: { sequence: 7n, reports: [report, report] } } });
  t.equal((await nextOf(messages, "reportAck")).value.sequence, 7n);
  const nodes = JSON.parse(await (await api("GET", "/v1/nodes")).text());
  t.match(nodes.items[0], { metadata: { name: "near-1" }, status: { linkUp: true, status: { appliedRevision: 4 } } });
  const page = await (await fetch(`http://127.0.0.1:${origin.addresses.operatorApi.port}/`)).text();
  t.match(page, "near-1");
  t.match(page, "4 of 4");

  await api("POST", "/v1/apply", { documents: [cafe] });
  await nextBatch(messages);
  const again = connect();
  const watermark = toWatermark({ epoch: 1, revision: 4, setDigest: change.setDigest });
  again.queue.push({ message: { case: "hello", value: { ...hello, incarnation: "two", watermark } } });
  t.match(await nextBatch(again.messages), { from: 4, to: 5, snapshot: false, rows: [{ name: "cafe" }] });
  await t.rejects(nextOf(messages, "batch"), { code: "unavailable" });
  again.queue.push({ message: { case: "snapshotRequest", value: { reason: "test" } } });
  t.match(await nextBatch(again.messages), { snapshot: true, to: 5 });
  stop.abort(new Error("test over"));
});

t.test("a certificate of another authority gets nothing, nor does one of another role", async (t) => {
  const { origin, api, dataDir } = await openOrigin(t);
  const authority = await authorityOf(dataDir);
  const stranger = await createAuthority("stranger", tools);
  const key = generateSigningKey();
  const identity = { role: "edge" as const, pool: "near", name: "near-1" };
  const certificate = await issueCertificate(stranger, await createCertificateRequest(key), identity, {
    ...tools,
    lifetimeMs: 60_000,
  });
  const own = { keyPem: exportPrivateKey(key), chainPem: formatPemChain([certificate]) };
  const connect = async (tls: { authoritiesPem: string; serverName: string; own: typeof own }) => {
    using client = createGrpcClient(NodeSync, { address: origin.addresses.nodeRpc, tls });
    const signal = systemClock.deadline(5000);
    const queue = new BoundedQueue<MessageInitShape<typeof NodeMessageSchema>>(4);
    await nextOf(client.connect(outgoing(queue, signal), { signal })[Symbol.asyncIterator](), "batch");
  };
  const strange = { authoritiesPem: authority, serverName: SERVER_NAME, own };
  await t.rejects(connect(strange), { code: "certificate-untrusted", message: /no certificate of this installation/ });
  const { token } = await joinTokenOf(api, "scheduler", "sched");
  const scheduler = await enrol(origin, token, "sched", authority);
  await t.rejects(connect(scheduler.tls), { code: "certificate-untrusted" });
  t.equal((await getBlob(origin, strange, "/v1/blobs/x")).status, 403);
  const metrics = await (await fetch(`http://127.0.0.1:${origin.addresses.admin.port}/metrics`)).text();
  t.match(metrics, 'perigee_origin_calls_failed_total{code="certificate-untrusted"} 2');
  t.match(metrics, 'perigee_origin_delivery_refusals_total{code="certificate-untrusted"} 1');
});

t.test("a node that is revoked is cut at once, by its name or by its certificate", async (t) => {
  const { origin, api, dataDir } = await openOrigin(t);
  const authority = await authorityOf(dataDir);
  for (const name of ["near-1", "near-2"]) {
    const { token } = await joinTokenOf(api, "edge", name);
    const { answer, tls } = await enrol(origin, token, name, authority);
    using client = createGrpcClient(NodeSync, { address: origin.addresses.nodeRpc, tls });
    const signal = systemClock.deadline(10_000);
    const queue = new BoundedQueue<MessageInitShape<typeof NodeMessageSchema>>(4);
    const messages = client.connect(outgoing(queue, signal), { signal })[Symbol.asyncIterator]();
    queue.push({ message: { case: "hello", value: { incarnation: "one", softwareVersion: "0.1.0" } } });
    await nextOf(messages, "batch");
    const [leaf] = answer.chain.map(parseCertificate);
    const certificateSerial = leaf?.serialNumber.toLowerCase();
    const subject = { kind: "node", name, ...(name === "near-1" ? {} : { certificateSerial }) };
    const spec = { subject, reason: "stolen", subjectExpiresAtMs: 9_999_999_999_999 };
    await api("POST", "/v1/apply", { documents: [document("Revocation", `lost-${name}`, spec)] });
    let pings = 0;
    const untilCut = async () => {
      for (;;) pings += (await messages.next()).value.message.case === "ping" ? 1 : 0;
    };
    await t.rejects(untilCut(), { code: "permission-denied" }, name);
    t.equal(pings, 0, `${name} is cut before the next ping asks`);
    await t.rejects(nextOf(client.connect(outgoing(queue, signal), { signal })[Symbol.asyncIterator](), "batch"), {
      code: "permission-denied",
    });
  }
});

t.test("a scheduler sees every pool and writes only its own kinds, by compare-and-swap", async (t) => {
  const { origin, api, dataDir } = await openOrigin(t);
  await api("POST", "/v1/apply", { documents: [shop] });
  const { token } = await joinTokenOf(api, "scheduler", "sched");
  const { tls } = await enrol(origin, token, "sched", await authorityOf(dataDir));
  using client = createGrpcClient(SchedulerSync, { address: origin.addresses.nodeRpc, tls });
  const stop = new AbortController();
  const queue = new BoundedQueue<MessageInitShape<typeof SchedulerMessageSchema>>(16);
  const messages = client.connect(outgoing(queue, stop.signal), { signal: stop.signal })[Symbol.asyncIterator]();
  queue.push({ message: { case: "hello", value: { incarnation: "one", softwareVersion: "0.1.0" } } });
  t.match(decodePoolBatch((await nextOf(messages, "batch")).value.payload), { pool: "*", snapshot: true });
  await nextOf(messages, "observedComplete");
  t.equal((await nextOf(messages, "lease")).value.held, true);
  const decide = async (resource: object, expectedResourceVersion: bigint) => {
    const bytes = Buffer.from(JSON.stringify(resource));
    queue.push({ message: { case: "decision", value: { request: 1n, resource: bytes, expectedResourceVersion } } });
    return (await nextOf(messages, "decisionResult")).value;
  };
  t.match(await decide(steering("near"), 0n), { accepted: true, resourceVersion: 3n });
  t.match(await decide({ ...steering("near"), metadata: { name: "near", labels: { a: "b" } } }, 1n), {
    accepted: false,
    code: "resource-conflict",
    resourceVersion: 3n,
  });
  t.match(await decide(shop, 1n), { accepted: false, code: "permission-denied" });
  t.match(await decide({ kind: "SteeringTable" }, 0n), { accepted: false, code: "resource-invalid" });
  stop.abort(new Error("test over"));
});

t.test("blobs are delivered to edges, whole and in ranges", async (t) => {
  const { origin, api, dataDir, token: operator } = await openOrigin(t);
  await api("POST", "/v1/apply", { documents: [shop] });
  const bytes = Buffer.from("0123456789");
  const digest = createHash("sha256").update(bytes).digest("hex");
  const upload = await fetch(`http://127.0.0.1:${origin.addresses.operatorApi.port}/v1/sites/shop/blobs/${digest}`, {
    method: "PUT",
    body: bytes,
    headers: { authorization: `Bearer ${operator}`, "content-type": "application/octet-stream" },
  });
  t.equal(upload.status, 200);
  const { token } = await joinTokenOf(api, "edge", "near-1");
  const { tls } = await enrol(origin, token, "near-1", await authorityOf(dataDir));
  const get = (path: string, headers: Record<string, string> = {}) => getBlob(origin, tls, path, headers);
  const path = `/v1/blobs/${digest}`;
  t.same(await get(path), { status: 200, body: "0123456789" });
  t.same(await get(path, { range: "bytes=2-4" }), { status: 206, body: "234" });
  t.equal((await get(path, { range: "bytes=10-" })).status, 416);
  t.equal((await get(`/v1/blobs/${"0".repeat(64)}`)).status, 404);
  const revocation = document("Revocation", "stolen", {
    subject: { kind: "node", name: "near-1" },
    reason: "stolen",
    subjectExpiresAtMs: 9_999_999_999_999,
  });
  t.equal((await api("POST", "/v1/apply", { documents: [revocation] })).status, 200);
  t.equal((await get(path)).status, 403);
});
