/** The two sites of a run: one published, whose bytes are known by digest, and one pulled from an upstream in this process. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type PublishedFile, pulledBody, pulledBytes } from "../plan.ts";
import { type LoopbackServer, serveOnLoopback } from "./loopback-server.ts";
import type { Perigee } from "./perigee.ts";

export const PUBLISHED = { site: "loadtest", hostname: "loadtest.localhost" } as const;
export const PULLED = { site: "loadtest-pull", hostname: "loadtest-pull.localhost" } as const;

const KIBIBYTE = 1_024;
/** Small files are many, as on the Web; 40 files, 3.3 MiB. */
const HOT_FILES: readonly { readonly count: number; readonly bytes: number }[] = [
  { count: 20, bytes: KIBIBYTE },
  { count: 14, bytes: 16 * KIBIBYTE },
  { count: 5, bytes: 128 * KIBIBYTE },
  { count: 1, bytes: 2 * 1_024 * KIBIBYTE },
];
const COLD_BYTES = 24 * KIBIBYTE;
const FRESH_SECONDS = 3_600;

export interface PublishedFiles {
  readonly hot: readonly PublishedFile[];
  readonly cold: readonly PublishedFile[];
}

/** Adds both sites, publishes, and gives what was published. */
export async function addSites(perigee: Perigee, upstream: string, coldFiles: number): Promise<PublishedFiles> {
  const folder = mkdtempSync(join(tmpdir(), "perigee-loadtest-site-"));
  try {
    const resources = join(folder, "sites.yaml");
    writeFileSync(
      resources,
      siteResources(upstream)
        .map((resource) => JSON.stringify(resource))
        .join("\n---\n"),
    );
    await perigee("apply", "-f", resources);
    const content = join(folder, "content");
    const hotSizes = HOT_FILES.flatMap(({ count, bytes }) => Array.from({ length: count }, () => bytes));
    const files = {
      hot: hotSizes.map((bytes, index) => makeFile(content, `/hot/${index}.bin`, bytes)),
      cold: Array.from({ length: coldFiles }, (_, index) => makeFile(content, `/cold/${index}.bin`, COLD_BYTES)),
    };
    await perigee("publish", content, "--site", PUBLISHED.site);
    return files;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function siteResources(upstream: string): readonly object[] {
  const document = (kind: string, name: string, spec: object) => ({
    apiVersion: "perigee.dev/v1",
    kind,
    metadata: { name },
    spec,
  });
  return [
    document("Site", PUBLISHED.site, { hostnames: [PUBLISHED.hostname], publish: {} }),
    document("Site", PULLED.site, { hostnames: [PULLED.hostname], pull: { upstream } }),
    // Brought on demand: what the run asks for first is cold.
    document("ContentPolicy", PUBLISHED.site, { sites: [PUBLISHED.site, PULLED.site], prefetch: "none" }),
  ];
}

/** Random, so that nothing on the way makes it smaller, and different in each run, so that no edge holds it. */
function makeFile(folder: string, path: string, bytes: number): PublishedFile {
  const content = crypto.getRandomValues(new Uint8Array(KIBIBYTE));
  const whole = Buffer.alloc(bytes, content);
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, whole);
  return { path, bytes, digest: createHash("sha256").update(whole).digest("hex") };
}

/** An origin server whose every answer may be stored, and says which path it belongs to. */
export async function startUpstream(): Promise<LoopbackServer> {
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    const bytes = pulledBytes(path);
    if (bytes === undefined) return void response.writeHead(404).end();
    response
      .writeHead(200, { "content-type": "text/plain", "cache-control": `public, max-age=${FRESH_SECONDS}` })
      .end(pulledBody(path, bytes));
  });
  return await serveOnLoopback(server);
}
