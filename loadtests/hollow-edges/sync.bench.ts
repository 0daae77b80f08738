/** Ten thousand edges on one origin: memory, idle bytes, how fast a change is everywhere, and everybody back at once. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { variablesIn } from "#deploy/one-machine/program.ts";
import { systemClock } from "#platform/clock.ts";
import { parseOptions } from "#test/bench/options.ts";
import { cpuSeconds, type Running, residentMb, startProcess } from "#test/bench/processes.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import { freePort } from "#test/free-ports.ts";
import { prepareFleet, siteName, siteSpec } from "./fleet-plan.ts";
import { HollowFleet } from "./hollow-fleet.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const LOCAL = "127.0.0.1";
const DEPLOYED_ENVIRONMENT = Object.fromEntries(
  variablesIn(join(ROOT, "deploy", "programs", "origin.env")).map((variable) => {
    const at = variable.indexOf("=");
    return [variable.slice(0, at), variable.slice(at + 1)];
  }),
);
const SITES = 20;
const POLL_MS = 100;
const SETTLE_MS = 5000;
/** Longer than the slowest return that would still be worth a number. */
const WAIT_MS_MAX = 240_000;

const HELP = `npm run bench:sync -- [options]: an origin with hollow edges on this machine
  --edges <count>          (10000)
  --pool <count>           edges of one pool (50)
  --processes <count>      that the edges are spread over (4)
  --changes <count>        to all edges, one after another (10)
  --idle-seconds <count>   that idle links are watched (20)
  --relays                 one edge of each pool hears the origin for its siblings; without it, all links are direct
  --smoke                  200 edges, small counts: shows that it runs, judges nothing
  --json                   the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  edges: { type: "string", default: "10000" },
  pool: { type: "string", default: "50" },
  processes: { type: "string", default: "4" },
  changes: { type: "string", default: "10" },
  "idle-seconds": { type: "string", default: "20" },
  relays: { type: "boolean", default: false },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});
const edges = options.smoke ? 200 : Number(options.edges);
const changes = options.smoke ? 2 : Number(options.changes);
const idleMs = options.smoke ? 1000 : Number(options["idle-seconds"]) * 1000;

interface World {
  readonly origin: Running;
  readonly fleet: HollowFleet;
  readonly nodeRpcPort: number;
  /** Changes a site that every pool has; gives the revision. */
  change(): Promise<number>;
}

const row = (name: string, value: number, unit: string, target: number | null): Row => {
  const rounded = Number(value.toFixed(value < 10 ? 3 : 1));
  return { row: name, value: rounded, unit, baseline: null, target: options.smoke ? null : target };
};

/** Everything is prepared before the origin runs: enrolling is not what is measured. */
async function start(folder: string, stack: AsyncDisposableStack): Promise<World> {
  const dataDir = join(folder, "origin");
  const [nodeRpcPort, apiPort] = [await freePort(), await freePort()];
  const shape = {
    edges,
    edgesPerPool: Number(options.pool),
    processes: options.smoke ? 1 : Number(options.processes),
    sites: SITES,
    hasRelays: options.relays,
  };
  const plans = await prepareFleet(dataDir, folder, `${LOCAL}:${nodeRpcPort}`, shape);
  const tokenFile = join(folder, "token");
  const settings = {
    dataDir,
    firstTokenFile: tokenFile,
    logLevel: "warn",
    "listen.nodeRpc": `${LOCAL}:${nodeRpcPort}`,
    "listen.operatorApi": `${LOCAL}:${apiPort}`,
    ...Object.fromEntries(["enrolment", "delivery", "admin"].map((name) => [`listen.${name}`, `${LOCAL}:0`])),
  };
  const words = Object.entries(settings).flatMap(([path, value]) => ["--set", `${path}=${value}`]);
  const origin = stack.use(
    await startProcess({
      command: process.execPath,
      words: [join(ROOT, "origin", "main.ts"), ...words],
      environment: DEPLOYED_ENVIRONMENT,
      ready: /authority pin/,
    }),
  );
  const fleet = stack.use(await HollowFleet.start(plans));
  const token = readFileSync(tokenFile, "utf8").trim();
  let changed = 0;
  return {
    origin,
    fleet,
    nodeRpcPort,
    async change() {
      changed += 1;
      const site = { apiVersion: "perigee.dev/v1", kind: "Site", metadata: { name: siteName(0) } };
      const response = await fetch(`http://${LOCAL}:${apiPort}/v1/apply`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({ documents: [{ ...site, spec: siteSpec(0, 60 + changed) }] }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`apply: ${response.status} ${text}`);
      const answer: { revision: number } = JSON.parse(text);
      return answer.revision;
    },
  };
}

/** Until every edge is linked and holds the revision; gives the milliseconds it took. */
async function untilCurrent({ fleet }: World, revision: number): Promise<number> {
  const begunMs = systemClock.monotonicMs();
  while (systemClock.monotonicMs() - begunMs < WAIT_MS_MAX) {
    const told = await fleet.tell({ do: "tell" });
    if (told.up === edges && told.revision >= revision) return systemClock.monotonicMs() - begunMs;
    await systemClock.sleep(POLL_MS);
  }
  const { up, revision: lowest, fault } = await fleet.tell({ do: "tell" });
  throw new Error(`${up} of ${edges} edges are linked, the lowest at revision ${lowest} of ${revision}: ${fault}`);
}

/** The origin's established connections, and bytes of their TCP payload, TLS records whole. */
function socketBytes(port: number): {
  readonly connections: number;
  readonly sent: number;
  readonly received: number;
} {
  const { stdout, error } = spawnSync("ss", ["-tinH", "state", "established", `sport = :${port}`], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (error !== undefined) throw new Error("ss counts the bytes of connections: install iproute2", { cause: error });
  const sum = (field: string) =>
    [...stdout.matchAll(new RegExp(`\\b${field}:(\\d+)`, "g"))].reduce((total, [, count]) => total + Number(count), 0);
  const connections = [...stdout.matchAll(/\bbytes_received:/g)].length;
  return { connections, sent: sum("bytes_acked"), received: sum("bytes_received") };
}

async function measureIdle(world: World): Promise<readonly Row[]> {
  const { origin, nodeRpcPort } = world;
  await systemClock.sleep(options.smoke ? 0 : SETTLE_MS);
  const [before, cpuBefore, begunMs] = [socketBytes(nodeRpcPort), cpuSeconds(origin.pid), systemClock.monotonicMs()];
  await systemClock.sleep(idleMs);
  const after = socketBytes(nodeRpcPort);
  const seconds = (systemClock.monotonicMs() - begunMs) / 1000;
  const kilobits = (bytes: number) => (bytes * 8) / 1000 / seconds / edges;
  return [
    row("idle, origin to edge", kilobits(after.sent - before.sent), "kbit/s per edge", 0.25),
    row("idle, edge to origin", kilobits(after.received - before.received), "kbit/s per edge", 0.25),
    row("connections to the origin, idle", after.connections, "connections", null),
    row("idle, origin's processor", ((cpuSeconds(origin.pid) - cpuBefore) / seconds) * 100, "% of a core", null),
  ];
}

async function measureChanges({ fleet, origin, change }: World): Promise<readonly Row[]> {
  const waits: number[] = [];
  const cpuBefore = cpuSeconds(origin.pid);
  for (let round = 0; round < changes; round += 1) {
    await fleet.tell({ do: "await", revision: Number.MAX_SAFE_INTEGER });
    const { revision } = await fleet.tell({ do: "tell" });
    await fleet.tell({ do: "await", revision: revision + 1 });
    const committingAtMs = performance.timeOrigin + performance.now();
    await change();
    let told = await fleet.tell({ do: "tell" });
    while (told.appliedAtMs.length < edges) {
      await systemClock.sleep(POLL_MS);
      told = await fleet.tell({ do: "tell" });
    }
    waits.push(...told.appliedAtMs.map((atMs) => atMs - committingAtMs));
  }
  waits.sort((a, b) => a - b);
  const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))] ?? 0;
  const cpuMs = ((cpuSeconds(origin.pid) - cpuBefore) * 1000) / changes;
  return [
    row("a change to all, commit to applied, p50", at(0.5) / 1000, "s", null),
    row("a change to all, commit to applied, p99", at(0.99) / 1000, "s", 2),
    row("a change to all, slowest edge", at(1) / 1000, "s", null),
    row("a change to all, origin's processor", (cpuMs * 1000) / edges, "µs per edge", null),
  ];
}

async function measureReturn(world: World): Promise<readonly Row[]> {
  const { fleet, change, origin } = world;
  await fleet.tell({ do: "disconnect" });
  let revision = 0;
  for (let count = 0; count < changes; count += 1) revision = await change();
  const fleetSeconds = () => fleet.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = { origin: cpuSeconds(origin.pid), fleet: fleetSeconds() };
  await fleet.tell({ do: "connect" });
  const returnedMs = await untilCurrent(world, revision);
  const spent = { origin: cpuSeconds(origin.pid) - before.origin, fleet: fleetSeconds() - before.fleet };
  await systemClock.sleep(options.smoke ? 0 : 2 * SETTLE_MS);
  const { downs } = await fleet.tell({ do: "tell" });
  return [
    row("all return at once, all current", returnedMs / 1000, "s", 60),
    row("links lost while or after all returned", downs, "links", 0),
    row("all return at once, origin's processor", (spent.origin * 1000) / edges, "ms per edge", null),
    row("all return at once, hollow edges' processor", (spent.fleet * 1000) / edges, "ms per edge", null),
  ];
}

function peakMb({ pid }: Running): number {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return (Number(kibibytes) * 1024) / 1e6;
}

async function run(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "perigee-sync-"));
  const say = (text: string) => void (options.json || console.log(text));
  const stack = new AsyncDisposableStack();
  try {
    say(`preparing ${edges} edges`);
    const world = await start(folder, stack);
    const emptyMb = residentMb(world.origin.pid);
    await world.fleet.tell({ do: "connect" });
    const firstMs = await untilCurrent(world, await world.change());
    say(`all are linked after ${(firstMs / 1000).toFixed(1)} s`);
    const rows = [row("all connect first, with nothing, all current", firstMs / 1000, "s", null)];
    rows.push(...(await measureIdle(world)));
    const linkedMb = residentMb(world.origin.pid);
    rows.push(...(await measureChanges(world)));
    rows.push(...(await measureReturn(world)));
    const { connections } = socketBytes(world.nodeRpcPort);
    rows.push(row("connections to the origin after all returned", connections, "connections", null));
    rows.push(
      row("origin's resident memory, all linked, idle", linkedMb, "MB", options.relays ? 500 : 1500),
      row("of it per edge", ((linkedMb - emptyMb) * 1000) / edges, "kB", null),
      row("origin's resident memory, highest", peakMb(world.origin), "MB", null),
      row(
        "a hollow edge's resident memory",
        (world.fleet.pids.reduce((sum, pid) => sum + residentMb(pid), 0) * 1000) / edges,
        "kB",
        null,
      ),
    );
    return printReport(reportOf("sync", rows), options.json);
  } finally {
    await stack.disposeAsync();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
