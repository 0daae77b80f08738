/** Several edges of one or two pools in front of one upstream that counts, joined to a real origin over links that can be held. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import type { Test } from "tap";
import type { RunningEdge } from "#edge-node/edge.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { type Link, startTcpLink } from "#platform/links/tcp-link.ts";
import { systemRandom } from "#platform/random.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  type Answer,
  api,
  type Cloud,
  document,
  type EdgeProcess,
  type EdgeSettings,
  get,
  joinSettings,
  markForAll,
  spawnEdge,
  startCloud,
  startEdgeHere,
  untilAnswer,
} from "../edge-origin/edge-and-origin.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
export const FRONT = "front.example";

export interface Upstream {
  readonly url: string;
  /** Targets in the order in which they were asked for. */
  readonly asked: string[];
  /** What it says; a test may change it between requests. */
  respond: (incoming: IncomingMessage, response: ServerResponse) => void;
}

export interface TierEdge {
  readonly name: string;
  readonly running: RunningEdge;
  readonly settings: EdgeSettings;
  /** Its stream to the origin. */
  readonly link: Link;
  ask(path: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
}

export interface TierWorld {
  readonly cloud: Cloud;
  readonly upstream: Upstream;
  readonly edges: readonly TierEdge[];
}

/** Stored for ten minutes, and told from one another by how often it was asked. */
const answerCounted = (asked: readonly string[]) => (incoming: IncomingMessage, response: ServerResponse) => {
  const times = asked.filter((target) => target === incoming.url).length;
  response.writeHead(200, { "cache-control": "max-age=600", "cache-tag": "page" }).end(`${incoming.url} ${times}`);
};

export async function startUpstream(t: Test): Promise<Upstream> {
  const asked: string[] = [];
  const upstream = { url: "", asked, respond: answerCounted(asked) };
  const server = createServer((incoming, response) => {
    asked.push(incoming.url ?? "");
    upstream.respond(incoming, response);
  });
  upstream.url = `http://${formatAddress(await listen(server, LOCAL))}`;
  t.teardown(() => closeServer(server));
  return upstream;
}

/** `pools` has how many edges each; resolves when every edge knows all others that it may ask. */
export async function startTierWorld(
  t: Test,
  pools: Readonly<Record<string, { readonly edges: number; readonly parent?: string }>>,
): Promise<TierWorld> {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  const upstream = await startUpstream(t);
  const front = { hostnames: [FRONT], pull: { upstream: upstream.url } };
  const spec = { coordinates: { latitude: 0, longitude: 0 } };
  const documents = Object.entries(pools).map(([name, { parent }]) =>
    document("NodePool", name, { ...spec, region: name, ...(parent === undefined ? {} : { parent }) }),
  );
  await api(cloud, "POST", "/v1/apply", { documents: [document("Site", "front", front), ...documents] });
  const edges: TierEdge[] = [];
  for (const [pool, { edges: count }] of Object.entries(pools)) {
    for (let index = 1; index <= count; index += 1) edges.push(await startTierEdge(t, cloud, `${pool}-${index}`, pool));
  }
  await untilAllKnow(cloud, edges);
  return { cloud, upstream, edges };
}

async function startTierEdge(t: Test, cloud: Cloud, name: string, pool: string): Promise<TierEdge> {
  const target = cloud.origin.addresses.nodeRpc;
  const link = await startTcpLink({ listen: LOCAL, target, rttMs: 0, clock: systemClock, random: systemRandom });
  t.teardown(() => link[Symbol.asyncDispose]());
  const settings = await peerSettings(cloud, name, pool, formatAddress(link.address));
  return tierEdgeOf(await startEdgeHere(t, settings), settings, link);
}

async function peerSettings(cloud: Cloud, name: string, pool: string, nodeRpc: string): Promise<EdgeSettings> {
  const joined = await joinSettings(cloud, join(cloud.dataDir, ".."), name, { pool });
  const { enrolment, delivery } = cloud.listen;
  const settings = {
    ...joined.settings,
    origin: { enrolment, delivery, nodeRpc },
    peer: { listen: formatAddress(LOCAL) },
  };
  return { ...joined, settings };
}

/** One more edge of the pool `near`, as a process of its own. */
export async function spawnTierEdge(t: Test, cloud: Cloud, name: string): Promise<EdgeProcess> {
  return await spawnEdge(t, await peerSettings(cloud, name, "near", cloud.listen["nodeRpc"] ?? ""));
}

export function tierEdgeOf(running: RunningEdge, settings: EdgeSettings, link: Link): TierEdge {
  const ask = (path: string, headers = {}) => get(running.addresses.content, path, { host: FRONT, headers });
  return { name: settings.name, running, settings, link, ask };
}

/** Every edge has in its set where all of them listen: these, and those that are processes of their own. */
export async function untilAllKnow(cloud: Cloud, edges: readonly TierEdge[], count = edges.length): Promise<void> {
  const nodes = async () => {
    const text = await api(cloud, "GET", "/v1/resources/Node");
    const { items }: { items: { spec: { peerAddress?: string } }[] } = JSON.parse(text);
    const listening = items.filter(({ spec }) => spec.peerAddress !== undefined).length;
    return { status: listening, headers: {}, body: Buffer.from(text) };
  };
  await untilAnswer(nodes, ({ status }) => status >= count, "every edge has said where it listens");
  await untilApplied(cloud, edges);
}

/** Every edge holds all that the log has now. */
export async function untilApplied(cloud: Cloud, edges: readonly TierEdge[]): Promise<void> {
  const revision = await markForAll(cloud);
  await Promise.all(edges.map((edge) => untilMetric(edge.running.addresses.admin, "applied_revision", revision)));
}

async function untilMetric(admin: Address, name: string, atLeast: number): Promise<void> {
  await untilAnswer(
    () => get(admin, "/metrics"),
    ({ body }) => metricIn(body.toString(), name) >= atLeast,
    `${name} is ${atLeast}`,
  );
}

/** The sum of a metric over its labels, or over those with `labels`. */
export function metricIn(text: string, name: string, labels = ""): number {
  const lines = text
    .split("\n")
    .filter((line) => line.startsWith(`perigee_edge_node_${name}`) && line.includes(labels));
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

export async function metricOf({ running }: TierEdge, name: string, labels?: string): Promise<number> {
  return metricIn((await get(running.addresses.admin, "/metrics")).body.toString(), name, labels);
}

export async function purge(cloud: Cloud, name: string, match: object, more: object = {}): Promise<void> {
  const spec = { site: "front", match, ...more };
  await api(cloud, "POST", "/v1/apply", { documents: [document("Purge", name, spec)] });
}
