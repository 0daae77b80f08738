/** A release comes to a pool over real sockets: once from the origin, then from edge to edge, whoever lies or is gone. */
import { dirname } from "node:path";
import t, { type Test } from "tap";
import { seededRandom } from "#platform/random.ts";
import {
  api,
  type Cloud,
  decide,
  digestOf,
  document,
  get,
  publish,
  shop,
  untilAnswer,
} from "../edge-origin/edge-and-origin.ts";
import { metricOf, startTierWorld, type TierEdge, type TierWorld } from "./tier-world.ts";

const LARGE_BYTES = 6 * 1024 * 1024;
const random = seededRandom(1);
const files: Record<string, Buffer> = { "/large.bin": Buffer.from(random.bytes(LARGE_BYTES)) };
for (let index = 0; index < 30; index += 1) files[`/small/${index}.bin`] = Buffer.from(random.bytes(20_000));
const FILE_BYTES = Object.values(files).reduce((sum, { length }) => sum + length, 0);

async function startPool(t: Test, edges: number): Promise<TierWorld> {
  const world = await startTierWorld(t, { near: { edges } });
  await api(world.cloud, "POST", "/v1/apply", { documents: [shop] });
  const assignment = document("Assignment", "near", { pool: "near", sites: ["shop"], apps: [] });
  await decide(world.cloud, dirname(world.cloud.dataDir), assignment);
  return world;
}

/** An assigned release is served once every object of it is there. */
async function untilComplete(edges: readonly TierEdge[]): Promise<void> {
  for (const edge of edges) {
    const isServed = () => get(edge.running.addresses.content, "/large.bin");
    await untilAnswer(isServed, ({ status }) => status === 200, `${edge.name} has the release`);
  }
}

async function originBytes(cloud: Cloud): Promise<number> {
  const text = (await get(cloud.origin.addresses.admin, "/metrics")).body.toString();
  return Number(/^perigee_origin_delivered_bytes_total (\d+)$/m.exec(text)?.[1] ?? 0);
}

async function sumOf(edges: readonly TierEdge[], name: string, labels?: string): Promise<number> {
  const counts = await Promise.all(edges.map((edge) => metricOf(edge, name, labels)));
  return counts.reduce((sum, count) => sum + count, 0);
}

t.test("the origin sends a release once for a pool of three, and each edge serves all of it", async (t) => {
  const { cloud, edges } = await startPool(t, 3);
  await publish(cloud, "shop", files);
  await untilComplete(edges);
  for (const edge of edges) {
    for (const path of ["/large.bin", "/small/0.bin", "/small/29.bin"]) {
      const { body } = await get(edge.running.addresses.content, path);
      t.equal(digestOf(body), digestOf(files[path] ?? ""), `${edge.name} ${path}`);
    }
  }
  const fromOrigin = await sumOf(edges, "fill_bytes_total", 'from="origin"');
  const fromSiblings = await sumOf(edges, "fill_bytes_total", 'from="sibling"');
  t.equal(await originBytes(cloud), fromOrigin, "both ends count the same");
  t.ok(fromOrigin < FILE_BYTES * 1.01, `${fromOrigin} bytes for ${FILE_BYTES}, with the manifest`);
  t.equal(fromSiblings, 2 * fromOrigin, "two edges have every byte from another");
  t.equal(await sumOf(edges, "sibling_sent_bytes_total"), fromSiblings);
  t.equal(await sumOf(edges, "fill_bodies_refused_total"), 0);
});
