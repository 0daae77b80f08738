/** What the end-to-end tests publish and pull: files of every size that matters, known byte for byte. */
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import type { Test } from "tap";
import { type Address, formatAddress } from "#platform/address.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { seededRandom } from "#platform/random.ts";

const SEED = 7;
/** Too large for the edges' memory tier's share of one object: read from the disk in many pieces. */
const LARGE_BYTES = 5 * 1_024 * 1_024;
const SMALL_FILES = 24;
export const VERSION_PATH = "/version.txt";

/** Bytes by request path. */
export type Content = ReadonlyMap<string, Buffer>;

/** Writes a release's folder: its number, a page, small files, one of each awkward kind, and a large one. */
export function writeContent(folder: string, release: number): Content {
  const random = seededRandom(SEED + release);
  const files = new Map<string, Buffer>([
    [VERSION_PATH, Buffer.from(String(release))],
    ["/index.html", Buffer.from(`<!doctype html><title>release ${release}</title>`)],
    ["/a/b/c/deep.css", Buffer.from(`body{order:${release}}`)],
    ["/empty.txt", Buffer.alloc(0)],
    ["/mit leer und ü.txt", Buffer.from("ü")],
    ["/media/large.bin", Buffer.from(random.bytes(LARGE_BYTES))],
  ]);
  for (let index = 0; index < SMALL_FILES; index += 1) {
    files.set(`/files/${index}.bin`, Buffer.from(random.bytes(1 + random.integer(60_000))));
  }
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), bytes);
  }
  return new Map([...files].map(([path, bytes]) => [encodeURI(path), bytes]));
}

export interface Upstream {
  readonly url: string;
  /** Requests answered, by path. */
  readonly asked: ReadonlyMap<string, number>;
  /** From now on nothing listens there. */
  close(): Promise<void>;
}

export const PULLED: Content = new Map(
  [10, 20_000, 300_000].map((bytes) => [`/pulled/${bytes}`, Buffer.from(seededRandom(bytes).bytes(bytes))]),
);
export const PULLED_UNCACHED = "/pulled/never";

/** An origin server whose answers may be stored for an hour, but for one that may not. */
export async function startUpstream(t: Pick<Test, "teardown">): Promise<Upstream> {
  const asked = new Map<string, number>();
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.set(path, (asked.get(path) ?? 0) + 1);
    const body = PULLED.get(path) ?? (path === PULLED_UNCACHED ? Buffer.from("now") : undefined);
    const cacheControl = path === PULLED_UNCACHED ? "no-store" : "max-age=3600";
    response.writeHead(body === undefined ? 404 : 200, { "cache-control": cacheControl }).end(body);
  });
  const address: Address = await listen(server, { host: "127.0.0.1", port: 0 });
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    server.closeAllConnections();
    await closeServer(server);
  };
  t.teardown(close);
  return { url: `http://${formatAddress(address)}`, asked, close };
}
