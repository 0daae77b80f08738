/** What an origin sends for a release to a pool: all well, with the relay killed half-way, and stopped once the pool has it. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rankMembers } from "#domain/placement/bounded-load-hash.ts";
import { formatAddress, parseAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { parseOptions } from "#test/bench/options.ts";
import { residentMb } from "#test/bench/processes.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import {
  api,
  decide,
  digestOf,
  document,
  joinSettings,
  markForAll,
  publish,
} from "#test/edge-origin/edge-and-origin.ts";
import { freeAddresses, kill, type Origin, startOrigin } from "#test/end-to-end/fleet.ts";
import { ask } from "#test/end-to-end/http-client.ts";
import { blobPath, type HostedEdge, hasBlob, startAlone, startHosts } from "./edges.ts";

const POOL = "near";
const SITE = { name: "shop", host: "shop.example" };
const LOCAL = "127.0.0.1:0";
const SMALL_FILES = 25;
const WAIT_MS_MAX = 600_000;
const POLL_MS = 100;
const RATIO_MAX = 1.05;
/** Of a release that only shows who fetches, and what its list of files takes of it at most. */
const WHOLE_BYTES = 1_000_000;
const LIST_BYTES_MAX = 10_000;
/** 3 MiB that an edge may have that no sibling has, of 8 MB. */
const SMOKE_KILLED_RATIO_MAX = 1.4;

const HELP = `npm run bench:egress -- [options]: a real origin and whole edges of one pool on this machine, several edges to a process
  --edges <count>       (50)
  --megabytes <count>   of a release (100): one file of half of them, ${SMALL_FILES} of the rest
  --processes <count>   that the edges are spread over (4), beside the relay's own
  --smoke               6 edges, 8 MB: a relay that dies costs a larger share of so little
Three releases: all well; the edge that fetches the large file killed when it has half of it; the origin killed once the edges have all of it between them.
  --json                the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  edges: { type: "string", default: "50" },
  megabytes: { type: "string", default: "100" },
  processes: { type: "string", default: "4" },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});
const edgeCount = options.smoke ? 6 : Number(options.edges);
const releaseBytes = (options.smoke ? 8 : Number(options.megabytes)) * 1_000_000;

interface Release {
  readonly files: Readonly<Record<string, Buffer>>;
  readonly digests: readonly string[];
  readonly large: string;
}

interface World {
  readonly folder: string;
  readonly origin: Origin;
  readonly edges: HostedEdge[];
  readonly say: (text: string) => void;
  readonly stack: AsyncDisposableStack;
}

const row = (name: string, value: number, unit: string, target: number | null): Row => {
  const rounded = Number(value.toFixed(value < 10 ? 4 : 1));
  return { row: name, value: rounded, unit, baseline: null, target };
};

/** Each edge's data is in the folder of its name. */
const dataOf = ({ folder }: World, name: string) => join(folder, name);
const nameOf = (index: number) => `edge-${index}`;
const names = Array.from({ length: edgeCount }, (_, index) => nameOf(index));

function makeRelease(turn: number | string, bytes = releaseBytes): Release {
  const largeBytes = Math.floor(bytes / 2);
  const files: Record<string, Buffer> = { "/large.bin": Buffer.from(systemRandom.bytes(largeBytes)) };
  const smallBytes = Math.floor((bytes - largeBytes) / SMALL_FILES);
  for (let at = 0; at < SMALL_FILES; at += 1) {
    files[`/${turn}/${at}.bin`] = Buffer.from(systemRandom.bytes(smallBytes));
  }
  const digests = Object.values(files).map(digestOf);
  return { files, digests, large: digests[0] ?? "" };
}

async function waitFor(what: string, isSo: () => boolean | Promise<boolean>, pollMs = POLL_MS): Promise<number> {
  const begunMs = systemClock.monotonicMs();
  while (!(await isSo())) {
    if (systemClock.monotonicMs() - begunMs > WAIT_MS_MAX) throw new Error(`still not so: ${what}`);
    await systemClock.sleep(pollMs);
  }
  return systemClock.monotonicMs() - begunMs;
}

async function numberIn(admin: string, pattern: RegExp): Promise<number> {
  const { body } = await ask(parseAddress(admin), "/metrics");
  return Number(pattern.exec(body.toString())?.[1] ?? 0);
}

const sentBy = ({ listen }: Origin) =>
  numberIn(formatAddress(listen.admin), /^perigee_origin_delivered_bytes_total (\d+)$/m);

const cloudOf = (origin: Origin) => {
  const { listen, operatorToken } = origin;
  const texts = Object.entries(listen).map(([name, address]) => [name, formatAddress(address)]);
  return { origin: { addresses: listen }, operatorToken, listen: Object.fromEntries(texts) };
};

/** Gives each edge's configuration file, by name. */
async function configure(folder: string, origin: Origin, alone: string): Promise<ReadonlyMap<string, string>> {
  const cloud = cloudOf(origin);
  const site = document("Site", SITE.name, { hostnames: [SITE.host], publish: {} });
  const files = new Map<string, string>();
  const [fixed] = await freeAddresses(1);
  for (const name of names) {
    // The one that runs alone says by its log where it listens; started again, it is where its siblings look for it.
    const [logLevel, listen] = name === alone ? ["info", formatAddress(fixed)] : ["error", LOCAL];
    const { settings } = await joinSettings(cloud, folder, name, { pool: POOL });
    const file = join(folder, `${name}.yaml`);
    const store = { diskBytesMax: 16 * releaseBytes, memoryBytesMax: 8 * 1024 * 1024 };
    writeFileSync(file, JSON.stringify({ ...settings, store, peer: { listen }, logLevel }));
    files.set(name, file);
  }
  await api(cloud, "POST", "/v1/apply", { documents: [site] });
  await decide(cloud, folder, document("Assignment", POOL, { pool: POOL, sites: [SITE.name], apps: [] }));
  return files;
}

/** Every edge has in its set where all of them listen. */
async function untilAllKnow({ origin, edges }: World): Promise<void> {
  const cloud = cloudOf(origin);
  await waitFor("every edge has said where it listens", async () => {
    const { items }: { items: { spec: { peerAddress?: string } }[] } = JSON.parse(
      await api(cloud, "GET", "/v1/resources/Node"),
    );
    return items.filter(({ spec }) => spec.peerAddress !== undefined).length === edgeCount;
  });
  const revision = await markForAll(cloud);
  for (const { name, admin } of edges) {
    await waitFor(`${name} has all that was written`, async () => {
      return (await numberIn(admin, /^perigee_edge_node_applied_revision (\d+)$/m)) >= revision;
    });
  }
}

function completeOf(world: World, { digests }: Release): readonly HostedEdge[] {
  return world.edges.filter(({ name }) => digests.every((digest) => hasBlob(dataOf(world, name), digest)));
}

/** Has all objects, verified, and serves the release. */
async function countServing(world: World, release: Release): Promise<number> {
  const complete = completeOf(world, release);
  const size = release.files["/large.bin"]?.length;
  const answers = complete.map(async ({ content }) => {
    const fields = { host: SITE.host, range: "bytes=0-0" };
    const { status, headers } = await ask(parseAddress(content), "/large.bin", { headers: fields });
    return status === 206 && headers["etag"]?.includes(release.large) === true && size !== undefined;
  });
  return (await Promise.all(answers)).filter(Boolean).length;
}

const untilComplete = (world: World, release: Release) =>
  waitFor("all edges are complete", () => completeOf(world, release).length === world.edges.length);

async function measurePlain(world: World, release: Release): Promise<readonly Row[]> {
  const before = await sentBy(world.origin);
  await publish(cloudOf(world.origin), SITE.name, release.files);
  const tookMs = await untilComplete(world, release);
  const sent = (await sentBy(world.origin)) - before;
  world.say(`a release was complete everywhere after ${(tookMs / 1000).toFixed(1)} s`);
  return [
    row("origin's bytes over the release's", sent / releaseBytes, "ratio", RATIO_MAX),
    row("edges complete", await untilServing(world, release), "count", null),
    row("published to complete everywhere", tookMs / 1000, "s", null),
  ];
}

async function untilServing(world: World, release: Release): Promise<number> {
  await waitFor("all that are complete serve it", async () => {
    return (await countServing(world, release)) === completeOf(world, release).length;
  });
  return await countServing(world, release);
}

interface Relay {
  readonly name: string;
  readonly configFile: string;
  readonly running: HostedEdge & AsyncDisposable & { readonly pid: number };
}

async function measureKill(world: World, release: Release, relay: Relay): Promise<readonly Row[]> {
  const { edges, origin, say, stack } = world;
  const killedMax = options.smoke ? SMOKE_KILLED_RATIO_MAX : RATIO_MAX;
  const part = `${blobPath(dataOf(world, relay.name), release.large)}.part`;
  const half = (release.files["/large.bin"]?.length ?? 0) / 2;
  const before = await sentBy(origin);
  await publish(cloudOf(origin), SITE.name, release.files);
  await waitFor("the relay has half of the large file", () => sizeOf(part) >= half, 2);
  process.kill(relay.running.pid, "SIGKILL");
  const had = sizeOf(part);
  say(`${relay.name} was killed with ${had} of ${2 * half} bytes`);
  edges.splice(0, edges.length, ...edges.filter(({ name }) => name !== relay.name));
  const tookMs = await untilComplete(world, release);
  const others = await untilServing(world, release);
  edges.push(stack.use(await startAlone(relay.name, relay.configFile)));
  await untilComplete(world, release);
  const sent = (await sentBy(origin)) - before;
  return [
    row("the relay killed half-way: origin's bytes over the release's", sent / releaseBytes, "ratio", killedMax),
    row("  of the large file it had then", had / (2 * half), "ratio", null),
    row("  other edges complete", others, "count", null),
    row("  published to complete at all others", tookMs / 1000, "s", null),
    row("  edges complete, the relay started again", await untilServing(world, release), "count", null),
  ];
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** An edge that failed is passed by for some seconds, and what it is to fetch is fetched by another too: what a kill costs. */
async function untilWhole(world: World): Promise<void> {
  let turn = 0;
  await waitFor("the pool fetches each object once again", async () => {
    const small = makeRelease(`whole-${turn}`, WHOLE_BYTES);
    turn += 1;
    const before = await sentBy(world.origin);
    await publish(cloudOf(world.origin), SITE.name, small.files);
    await untilComplete(world, small);
    return (await sentBy(world.origin)) - before <= WHOLE_BYTES + LIST_BYTES_MAX;
  });
}

async function measureStop(world: World, release: Release): Promise<readonly Row[]> {
  const { origin, edges } = world;
  await untilWhole(world);
  const before = await sentBy(origin);
  await publish(cloudOf(origin), SITE.name, release.files);
  const isHeld = (digest: string) => edges.some(({ name }) => hasBlob(dataOf(world, name), digest));
  await waitFor("the edges have every object between them", () => release.digests.every(isHeld), 10);
  const sent = (await sentBy(origin)) - before;
  await kill(origin);
  const already = completeOf(world, release).length;
  const tookMs = await untilComplete(world, release);
  return [
    row("the origin killed once the pool has all: edges complete then", already, "count", null),
    row("  origin's bytes over the release's", sent / releaseBytes, "ratio", RATIO_MAX),
    row("  edges complete in the end, short of all", edgeCount - (await untilServing(world, release)), "count", 0),
    row("  killed to complete everywhere", tookMs / 1000, "s", null),
  ];
}

async function run(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "perigee-egress-"));
  const say = (text: string) => void (options.json || console.log(text));
  const stack = new AsyncDisposableStack();
  try {
    const ground = { folder, t: { teardown: (end: () => unknown) => stack.defer(async () => void (await end())) } };
    const origin = await startOrigin(ground);
    const killed = makeRelease(2);
    const [relayName = ""] = rankMembers(killed.large, names);
    const configs = await configure(folder, origin, relayName);
    const relayFile = configs.get(relayName) ?? "";
    say(`${edgeCount} whole edges: ${edgeCount - 1} in ${options.processes} processes, ${relayName} in its own`);
    const relay = stack.use(await startAlone(relayName, relayFile));
    const otherFiles = [...configs].filter(([name]) => name !== relayName).map(([, file]) => file);
    const hosts = stack.use(await startHosts(otherFiles, Number(options.processes)));
    const world: World = { folder, origin, edges: [...hosts.edges, relay], say, stack };
    await untilAllKnow(world);
    say("all know one another");
    const rows = [
      ...(await measurePlain(world, makeRelease(1))),
      ...(await measureKill(world, killed, { name: relayName, configFile: relayFile, running: relay })),
      ...(await measureStop(world, makeRelease(3))),
    ];
    const hostMb = hosts.pids.reduce((sum, pid) => sum + residentMb(pid), 0);
    rows.push(row("resident memory of the processes of edges", hostMb, "MB", null));
    return printReport(reportOf("egress", rows), options.json);
  } finally {
    await stack.disposeAsync();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
