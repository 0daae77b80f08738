/** What benchmarks of a deployed edge begin with: a published site and a pulled one, all of it served once. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Content, PULLED, startUpstream, type Upstream, writeContent } from "#test/end-to-end/content.ts";
import {
  type Edge,
  type Ground,
  kill,
  type Origin,
  perigeeOf,
  startEdge,
  startOrigin,
} from "#test/end-to-end/fleet.ts";
import { type Answer, ask } from "#test/end-to-end/http-client.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";

export const SHOP = { name: "shop", host: "shop.example" };
export const NEWS = { name: "news", host: "news.example" };
export const OBJECT_BYTES = 10_000;

export interface Prepared {
  readonly edge: Edge;
  /** Of the published site. */
  readonly content: Content;
  readonly origin: Origin;
  readonly upstream: Upstream;
}

/** Publishes so many objects of 10 kB beside the end-to-end tests' content. */
export async function prepareEdge(ground: Ground, objects: number, settings: object = {}): Promise<Prepared> {
  const upstream = await startUpstream(ground.t);
  const origin = await startOrigin(ground);
  const perigee = perigeeOf(origin);
  const document = (kind: string, name: string, spec: object) =>
    JSON.stringify({ apiVersion: "perigee.dev/v1", kind, metadata: { name }, spec });
  const resources = [
    document("NodePool", "here", { region: "here", coordinates: { latitude: 0, longitude: 0 } }),
    document("Site", SHOP.name, { hostnames: [SHOP.host], publish: {} }),
    document("Site", NEWS.name, { hostnames: [NEWS.host], pull: { upstream: upstream.url } }),
    document("ContentPolicy", "all", { sites: [SHOP.name, NEWS.name], prefetch: "all" }),
  ];
  const file = join(ground.folder, "resources.yaml");
  writeFileSync(file, resources.join("\n---\n"));
  await perigee("apply", "-f", file);
  const edge = await startEdge(ground, origin, "here", { settings });
  const folder = join(ground.folder, "release");
  const content = new Map([...writeContent(folder, 1), ...writeObjects(folder, objects)]);
  await perigee("publish", folder, "--site", SHOP.name);
  for (const [site, files] of [
    [SHOP, content],
    [NEWS, PULLED],
  ] as const) {
    for (const [path, bytes] of files) await untilSo(`${path} is served`, () => get(edge, site, path), holds(bytes));
  }
  return { edge, content, origin, upstream };
}

export async function stopCloud({ origin, upstream }: Prepared): Promise<void> {
  await kill(origin);
  await upstream.close();
}

export async function untilStarted({ admin }: Edge): Promise<void> {
  await untilSo(
    "the edge has started",
    () => ask(admin, "/healthz"),
    ({ status }) => status === 200,
  );
}

export function get({ content }: Edge, { host }: { readonly host: string }, path: string): Promise<Answer> {
  return ask(content, path, { headers: { host } });
}

export function holds(wanted: Buffer | undefined): (answer: Answer) => boolean {
  return ({ status, body }) => status === 200 && wanted !== undefined && body.equals(wanted);
}

function writeObjects(folder: string, count: number): Content {
  mkdirSync(join(folder, "objects"), { recursive: true });
  const objects = Array.from({ length: count }, (_, index) => {
    const bytes = Buffer.alloc(OBJECT_BYTES, `perigee ${index} `);
    writeFileSync(join(folder, "objects", `${index}`), bytes);
    return [`/objects/${index}`, bytes] as const;
  });
  return new Map(objects);
}
