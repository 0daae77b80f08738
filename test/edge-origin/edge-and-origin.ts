/** A real origin in this process, its operator API, and edges joined to it, in this process or as processes of their own. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Test } from "tap";
import { Enrolment } from "#contracts/generated/perigee/v1/enrolment_pb.js";
import { type SchedulerMessageSchema, SchedulerSync } from "#contracts/generated/perigee/v1/scheduler_pb.js";
import { edgeConfigSchema } from "#edge-node/config.ts";
import { type RunningEdge, startEdge } from "#edge-node/edge.ts";
import type { OpenSessionDoor } from "#edge-node/session-port.ts";
import { originConfigSchema } from "#origin/config.ts";
import { type RunningOrigin, startOrigin } from "#origin/origin.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import { type Clock, systemClock } from "#platform/clock.ts";
import { BoundedQueue } from "#platform/concurrency/bounded-queue.ts";
import { loadConfig } from "#platform/config/load.ts";
import { createGrpcClient } from "#platform/grpc/client.ts";
import { openNodeIdentity } from "#platform/identity/node-identity.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { freeAddress } from "#test/free-ports.ts";
import { ownLoopback } from "../etcd/loopback.ts";

const LOCAL = "127.0.0.1:0";
const MARK_KEPT_MS = 3_600_000;
const EVENT_MS_MAX = 20_000;
const ROOT = join(import.meta.dirname, "..", "..");

export const document = (kind: string, name: string, spec: object) => ({
  apiVersion: "perigee.dev/v1",
  kind,
  metadata: { name },
  spec,
});
export const shop = document("Site", "shop", { hostnames: ["shop.example"], publish: {} });

/** An origin as its operator reaches it. */
export interface OperatorApi {
  readonly origin: { readonly addresses: { readonly operatorApi: Address } };
  readonly operatorToken: string;
}

export interface Cloud extends OperatorApi {
  readonly origin: RunningOrigin;
  readonly dataDir: string;
  /** For another start of the same origin: the addresses it had. */
  readonly listen: Record<string, string>;
}

/** `again`: the origin of an earlier start, at its old addresses. `more`: of its configuration. */
export async function startCloud(t: Test, dataDir: string, again?: Cloud, more: object = {}): Promise<Cloud> {
  // Where it comes back to, no outgoing connection has taken its ports meanwhile.
  const own = `${ownLoopback()}:0`;
  const local = { operatorApi: own, nodeRpc: own, enrolment: own, delivery: own, admin: own };
  const text = JSON.stringify({ dataDir, listen: again?.listen ?? local, logLevel: "silent", ...more });
  const printed: string[] = [];
  const origin = await startOrigin(loadConfig(originConfigSchema, { text }), {
    clock: systemClock,
    random: systemRandom,
    logger: createLogger({ program: "origin", level: "silent" }),
    print: (line) => void printed.push(line),
  });
  t.teardown(() => origin[Symbol.asyncDispose]());
  const listen = Object.fromEntries(
    Object.entries(origin.addresses).map(([name, address]) => [name, formatAddress(address)]),
  );
  const operatorToken = again?.operatorToken ?? printed[0]?.split(": ")[1] ?? "";
  return { origin, dataDir, listen, operatorToken };
}

export async function api(cloud: OperatorApi, method: string, path: string, body?: object | Buffer): Promise<string> {
  const isRaw = Buffer.isBuffer(body);
  const type = isRaw ? "application/octet-stream" : "application/json";
  const response = await fetch(`http://${formatAddress(cloud.origin.addresses.operatorApi)}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${cloud.operatorToken}`,
      ...(body === undefined ? {} : { "content-type": type }),
    },
    ...(body === undefined ? {} : { body: isRaw ? new Uint8Array(body) : JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text;
}

/** A change that every pool gets at once: whoever has its revision has all that was written before. */
export async function markForAll(cloud: OperatorApi): Promise<number> {
  const name = `mark-${randomUUID()}`;
  const subject = { kind: "token", id: name };
  const spec = { subject, reason: "nobody has it", subjectExpiresAtMs: systemClock.nowMs() + MARK_KEPT_MS };
  const text = await api(cloud, "POST", "/v1/apply", { documents: [document("Revocation", name, spec)] });
  const { revision }: { revision: number } = JSON.parse(text);
  return revision;
}

export const digestOf = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Uploads and releases; gives the generation. */
export async function publish(
  cloud: OperatorApi,
  site: string,
  files: Readonly<Record<string, string | Buffer>>,
  more: object = {},
): Promise<number> {
  const described: Record<string, object> = {};
  for (const [path, content] of Object.entries(files)) {
    const digest = digestOf(content);
    await api(cloud, "PUT", `/v1/sites/${site}/blobs/${digest}`, Buffer.from(content));
    described[path] = { digest, mediaType: path.endsWith(".html") ? "text/html" : "application/octet-stream" };
  }
  const text = await api(cloud, "POST", `/v1/sites/${site}/releases`, { files: described, ...more });
  const result: { generation: number } = JSON.parse(text);
  return result.generation;
}

/** One that is there stays as it is. */
export async function makePool(cloud: OperatorApi, name: string): Promise<void> {
  const { items }: { items: { metadata: { name: string } }[] } = JSON.parse(
    await api(cloud, "GET", "/v1/resources/NodePool"),
  );
  if (items.some(({ metadata }) => metadata.name === name)) return;
  const spec = { region: name, coordinates: { latitude: 0, longitude: 0 } };
  await api(cloud, "POST", "/v1/apply", { documents: [document("NodePool", name, spec)] });
}

export interface EdgeSettings {
  readonly dataDir: string;
  readonly name: string;
  readonly settings: object;
}

/** A join token in a file, and what an edge needs to use it. */
export async function joinSettings(
  cloud: OperatorApi & Pick<Cloud, "listen">,
  folder: string,
  name: string,
  { bound = name, pool = "near" } = {},
): Promise<EdgeSettings> {
  await makePool(cloud, pool);
  const answer: { token: string; pin: string } = JSON.parse(
    await api(cloud, "POST", "/v1/join-tokens", { role: "edge", name: bound, pool }),
  );
  mkdirSync(folder, { recursive: true });
  const tokenFile = join(folder, `${name}.token`);
  writeFileSync(tokenFile, answer.token);
  const { enrolment, nodeRpc, delivery } = cloud.listen;
  const dataDir = join(folder, name);
  const settings = {
    dataDir,
    name,
    join: { tokenFile, pin: answer.pin },
    origin: { enrolment, nodeRpc, delivery },
    listen: { content: LOCAL, site: LOCAL, siteEnrolment: LOCAL, admin: LOCAL },
    contentUrl: `http://${name}.edge.test:7420`,
    hostname: `${name}.edge.test`,
    store: { diskBytesMax: 512 * 1024 * 1024, memoryBytesMax: 16 * 1024 * 1024 },
    logLevel: "silent",
  };
  return { dataDir, name, settings };
}

export async function startEdgeHere(
  t: Test,
  { settings }: EdgeSettings,
  openDoor?: OpenSessionDoor,
  clock: Clock = systemClock,
): Promise<RunningEdge> {
  const config = loadConfig(edgeConfigSchema, { text: JSON.stringify(settings) });
  const tools = {
    clock,
    random: systemRandom,
    logger: createLogger({ program: "edge-node", level: "silent" }),
    softwareVersion: "0.1.0",
    signal: systemClock.deadline(EVENT_MS_MAX),
  };
  const edge = await startEdge(config, tools, openDoor);
  t.teardown(() => edge[Symbol.asyncDispose]());
  return edge;
}

export interface EdgeProcess {
  readonly child: ChildProcess;
  readonly content: Address;
  readonly admin: Address;
  readonly site: Address;
  readonly siteEnrolment: Address;
}

/** `node edge-node/main.ts` with ports that were free a moment ago; clients reach it where it listens. `preload`: before. */
export async function spawnEdge(t: Test, { settings, dataDir }: EdgeSettings, preload?: string): Promise<EdgeProcess> {
  const [content, admin, site, siteEnrolment] = await Promise.all(Array.from({ length: 4 }, freeAddress));
  if (content === undefined || admin === undefined || site === undefined || siteEnrolment === undefined) {
    throw new Error("four addresses");
  }
  const addresses = { content, admin, site, siteEnrolment };
  const listenAt = Object.fromEntries(
    Object.entries(addresses).map(([name, address]) => [name, formatAddress(address)]),
  );
  const file = `${dataDir}.yaml`;
  const contentUrl = `http://${formatAddress(content)}`;
  writeFileSync(file, JSON.stringify({ ...settings, listen: listenAt, contentUrl, logLevel: "silent" }));
  const before = preload === undefined ? [] : ["--import", preload];
  const child = spawn(process.execPath, [...before, join(ROOT, "edge-node", "main.ts"), "--config", file], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  t.teardown(() => kill(child));
  return { child, ...addresses };
}

export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

export interface Asked {
  readonly host?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export function get(address: Address, path: string, asked: Asked = {}): Promise<Answer> {
  const { host = "shop.example", method = "GET", headers = {} } = asked;
  return new Promise((resolve, reject) => {
    request({ ...address, path, method, headers: { ...headers, host }, agent: false }, (response) => {
      const { statusCode: status = 0, headers: answered } = response;
      buffer(response).then((body) => resolve({ status, headers: answered, body }), reject);
    })
      .once("error", reject)
      .end();
  });
}

/** Asks until the answer is as wanted; gives it. */
export async function untilAnswer(
  ask: () => Promise<Answer>,
  isWanted: (answer: Answer) => boolean,
  what: string,
): Promise<Answer> {
  const limit = systemClock.deadline(EVENT_MS_MAX);
  let last: Answer | undefined;
  while (!limit.aborted) {
    last = await ask().catch(() => undefined);
    if (last !== undefined && isWanted(last)) return last;
  }
  throw new Error(`still not so: ${what}; last ${last?.status} ${last?.body.toString().slice(0, 200)}`);
}

export const hasBody = (text: string | Buffer) => (answer: Answer) =>
  answer.status === 200 && answer.body.equals(Buffer.from(text));

interface NodeApi extends OperatorApi {
  readonly origin: { readonly addresses: Readonly<Record<"operatorApi" | "enrolment" | "nodeRpc", Address>> };
}

/** Writes resources as the scheduler that holds the lease. */
export async function decide(cloud: NodeApi, folder: string, resource: object): Promise<void> {
  const answer: { token: string; pin: string } = JSON.parse(
    await api(cloud, "POST", "/v1/join-tokens", { role: "scheduler", name: "sched" }),
  );
  const tokenFile = join(folder, "sched.token");
  writeFileSync(tokenFile, answer.token);
  const signal = systemClock.deadline(EVENT_MS_MAX);
  await using identity = await openNodeIdentity({
    folder: join(folder, "sched"),
    role: "scheduler",
    name: "sched",
    join: { tokenFile, pin: answer.pin },
    enrolment: [cloud.origin.addresses.enrolment],
    connect: (address, tls) => createGrpcClient(Enrolment, { address, tls }),
    clock: systemClock,
    random: systemRandom,
    logger: createLogger({ program: "scheduler", level: "silent" }),
    signal,
  });
  const tls = identity.clientTls("origin.origin.perigee.internal");
  using client = createGrpcClient(SchedulerSync, { address: cloud.origin.addresses.nodeRpc, tls });
  const queue = new BoundedQueue<MessageInitShape<typeof SchedulerMessageSchema>>(4);
  const outgoing = async function* () {
    for (;;) yield await queue.take(signal);
  };
  queue.push({ message: { case: "hello", value: { incarnation: "one", softwareVersion: "0.1.0" } } });
  for await (const { message } of client.connect(outgoing(), { signal })) {
    if (message.case === "lease" && message.value.held) {
      const value = { request: 1n, resource: Buffer.from(JSON.stringify(resource)), expectedResourceVersion: 0n };
      queue.push({ message: { case: "decision", value } });
    }
    if (message.case !== "decisionResult") continue;
    if (!message.value.accepted) throw new Error(message.value.message);
    return;
  }
}
