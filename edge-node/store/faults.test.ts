import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { until } from "#test/simulation/until.ts";
import { testFolder } from "#test/test-folder.ts";
import { startStandalone } from "../standalone-proxy.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const MIB = 1024 * 1024;
/** Less than is asked for in a round. */
const MEMORY_BYTES = 3 * MIB;
const SMALL_BYTES = 30_000;
/** Too large for memory: read from its file, slice by slice. */
const LARGE_BYTES = 3 * MIB;

const HIT_MS_MAX = 15_000;

const bytesOf = (path: string) => (path.startsWith("/large") ? LARGE_BYTES : SMALL_BYTES);
const bodyOf = (path: string) => Buffer.alloc(bytesOf(path), `${path} `);

/** One that counts what it is asked for. */
async function startUpstream(t: Test) {
  const asked: string[] = [];
  const server = createServer(({ url = "" }, response) => {
    asked.push(url);
    response.writeHead(200, { "cache-control": "max-age=3600", "content-length": bytesOf(url) }).end(bodyOf(url));
  });
  const { port } = await listen(server, LOCAL);
  t.teardown(() => closeServer(server));
  return { asked, port };
}

async function startEdge(t: Test, upstreamPort: number, folder: string) {
  const edge = await startStandalone({
    listen: LOCAL,
    upstream: new URL(`http://127.0.0.1:${upstreamPort}`),
    memoryBytesMax: MEMORY_BYTES,
    disk: { folder, bytesMax: 64 * MIB },
    random: systemRandom,
    clock: systemClock,
    logger: createLogger({ program: "edge", level: "silent" }),
  });
  t.teardown(() => edge[Symbol.asyncDispose]());
  /** Fails the test for anything but a 200 with all of the right bytes; answers the Cache-Status. */
  const ask = async (t: Test, path: string): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${edge.address.port}${path}`);
    const body = Buffer.from(await answer.arrayBuffer());
    const cacheStatus = answer.headers.get("cache-status") ?? "";
    if (answer.status !== 200 || !body.equals(bodyOf(path)))
      t.fail(`${path}: ${answer.status}, ${body.byteLength} bytes, ${cacheStatus}`);
    return cacheStatus;
  };
  /** It is stored behind the answer. */
  const untilHit = async (t: Test, path: string): Promise<void> => {
    const limit = systemClock.deadline(HIT_MS_MAX);
    while (!(await ask(t, path)).includes("hit")) limit.throwIfAborted();
  };
  return { edge, ask, untilHit };
}

function filesIn(folder: string): readonly string[] {
  const entries = readdirSync(join(folder, "bodies"), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** A disk of one megabyte; `undefined` where this user may not have one. */
function smallDisk(t: Test): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "perigee-disk-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]);
  if (status !== 0) return undefined;
  t.teardown(() => void spawnSync("umount", ["-l", folder]));
  return folder;
}

const UNMOUNTABLE = "a disk of one megabyte needs root and mount(8)";

t.test("on a disk that is full everything is answered, right, and what fits is stored", async (t) => {
  const folder = smallDisk(t);
  if (folder === undefined) return void t.comment(UNMOUNTABLE);
  const { asked, port } = await startUpstream(t);
  const { ask } = await startEdge(t, port, folder);
  const paths = Array.from({ length: 150 }, (_, index) => `/small-${index}`);
  for (let round = 0; round < 3; round += 1) {
    for (let at = 0; at < paths.length; at += 10)
      await Promise.all(paths.slice(at, at + 10).map((path) => ask(t, path)));
    await ask(t, `/large-${round}`);
  }
  t.ok(asked.length > 150, `${asked.length} of 453 were misses`);
});

t.test("an edge starts on a full disk, answers, and stores once there is room at a later start", async (t) => {
  const folder = smallDisk(t);
  if (folder === undefined) return void t.comment(UNMOUNTABLE);
  const ballast = join(folder, "ballast");
  t.throws(() => writeFileSync(ballast, Buffer.alloc(2 * MIB)), { code: "ENOSPC" });
  const store = join(folder, "store");
  const { port } = await startUpstream(t);
  const first = await startEdge(t, port, store);
  for (let index = 0; index < 20; index += 1) await first.ask(t, `/small-${index}`);
  await first.edge[Symbol.asyncDispose]();
  rmSync(ballast);
  const second = await startEdge(t, port, store);
  await second.untilHit(t, "/small-1");
  // A hit may come out of memory, while the file is still being written.
  const limit = systemClock.deadline(HIT_MS_MAX);
  while (filesIn(store).length === 0) {
    limit.throwIfAborted();
    await second.ask(t, "/small-1");
  }
  t.equal(filesIn(store).length, 1);
});

t.test("a body that is gone, cut, changed or cannot be read is a miss, small or large", async (t) => {
  const damages: Readonly<Record<string, (path: string) => void>> = {
    gone: (path) => rmSync(path),
    cut: (path) => truncateSync(path, 1000),
    empty: (path) => truncateSync(path, 0),
    changed: (path) => writeFileSync(path, Buffer.alloc(path.includes("large") ? LARGE_BYTES : SMALL_BYTES, "x")),
    "a folder that cannot be read as a file": (path) => {
      rmSync(path);
      mkdirSync(path);
    },
  };
  for (const [name, damage] of Object.entries(damages)) {
    const folder = join(testFolder(t), "store");
    const { asked, port } = await startUpstream(t);
    const first = await startEdge(t, port, folder);
    for (const path of ["/small", "/large"]) await first.untilHit(t, path);
    await first.edge[Symbol.asyncDispose]();
    const { ask, edge, untilHit } = await startEdge(t, port, folder);
    for (const path of filesIn(folder)) damage(path);
    asked.length = 0;
    for (const path of ["/small", "/large"]) await ask(t, path);
    t.strictSame(asked.toSorted(), ["/large", "/small"], `${name}: both are asked for again`);
    for (const path of ["/small", "/large"]) await untilHit(t, path);
    await edge[Symbol.asyncDispose]();
  }
});

t.test("an index that is overwritten while it is used costs misses, and the next start begins it again", async (t) => {
  const folder = join(testFolder(t), "store");
  const { port } = await startUpstream(t);
  const { ask, edge, untilHit } = await startEdge(t, port, folder);
  const paths = Array.from({ length: 60 }, (_, index) => `/small-${index}`);
  for (const path of paths) await untilHit(t, path);
  for (const name of ["index.sqlite", "index.sqlite-wal"])
    writeFileSync(join(folder, name), Buffer.alloc(2 * MIB, "x"), { flag: "r+" });
  for (const path of paths) await ask(t, path);
  await edge[Symbol.asyncDispose]();
  const again = await startEdge(t, port, folder);
  for (const path of paths) await again.untilHit(t, path);
  await until(() => filesIn(folder).length === paths.length, "what no row names is removed");
  t.equal(filesIn(folder).length, paths.length);
});
