/** A cloud and its edges as processes of their own, and what happens to them: killed, cut off, started cold. */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Test } from "tap";
import { type ProgramSpec, type RunningProgram, spawnProgram, startProgram } from "#deploy/one-machine/program.ts";
import { bundleProgram } from "#deploy/programs/bundle.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { startTcpLink, type TcpLink } from "#platform/links/tcp-link.ts";
import { systemRandom } from "#platform/random.ts";
import { freeAddress } from "#test/free-ports.ts";

const LOOPBACK = "127.0.0.1";
const ROOT = join(import.meta.dirname, "..", "..");
const CLI = join(ROOT, "cli", "main.ts");
const BUNDLES = join(ROOT, ".bundle");
const EDGE_ENVIRONMENT = "deploy/programs/edge-node.env";
const COMMAND_MS_MAX = 60_000;
const START_MS_MAX = 60_000;
const LOG_SHOWN_CHARACTERS = 3_000;

export interface Member {
  readonly spec: ProgramSpec;
  running: RunningProgram | undefined;
}

export interface Edge extends Member {
  readonly name: string;
  readonly hostname: string;
  readonly content: Address;
  /** Its pool's render-agents. */
  readonly site: Address;
  readonly siteEnrolment: Address;
  readonly admin: Address;
  readonly dataDir: string;
  /** The edge's ways to the origin: enrolment, nodes, delivery. */
  readonly toCloud: readonly TcpLink[];
}

export interface Origin extends Member {
  readonly listen: Readonly<Record<"operatorApi" | "nodeRpc" | "enrolment" | "delivery" | "admin", Address>>;
  readonly dataDir: string;
  readonly operatorToken: string;
  readonly contextFile: string;
  /** Where its scheduler is to be reached. */
  readonly client: Address;
}

export interface Scheduler extends Member {
  readonly client: Address;
  readonly admin: Address;
}

/** What ends with the test, or with what is measured. */
export type Lasting = Pick<Test, "teardown">;

/** Where logs, configuration and data go. */
export interface Ground {
  readonly t: Lasting;
  readonly folder: string;
}

export function makeGround(t: Lasting): Ground {
  const folder = mkdtempSync(join(tmpdir(), "perigee-end-to-end-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return { t, folder };
}

export async function startOrigin({ t, folder }: Ground): Promise<Origin> {
  const [operatorApi, nodeRpc, enrolment, delivery, admin, client] = await freeAddresses(6);
  const addresses = { operatorApi, nodeRpc, enrolment, delivery, admin };
  const dataDir = join(folder, "origin");
  const tokenFile = join(folder, "operator-token");
  const spec = specOf(folder, "origin", "origin/main.ts", admin, {
    dataDir,
    firstTokenFile: tokenFile,
    listen: textsOf(addresses),
  });
  const contextFile = join(folder, "context.yaml");
  const urlOf = (address: Address): string => `http://${formatAddress(address)}`;
  writeFileSync(contextFile, JSON.stringify({ origin: urlOf(operatorApi), scheduler: urlOf(client), tokenFile }));
  const member: Member = { spec, running: undefined };
  await start({ t, folder }, member);
  const operatorToken = readFileSync(tokenFile, "utf8").trim();
  return Object.assign(member, { listen: addresses, dataDir, operatorToken, contextFile, client });
}

/** At the address that the context file has for it. `settings`: beside what every scheduler here has. */
export async function startScheduler(
  ground: Ground,
  origin: Origin,
  networks: string,
  settings: object = {},
): Promise<Scheduler> {
  const [admin] = await freeAddresses(1);
  const { scheduler }: { scheduler: string } = JSON.parse(readFileSync(origin.contextFile, "utf8"));
  const { hostname: host, port } = new URL(scheduler);
  const client = { host, port: Number(port) };
  const networksFile = join(ground.folder, "networks.yaml");
  writeFileSync(networksFile, networks);
  const { enrolment, nodeRpc } = textsOf(origin.listen);
  const spec = specOf(ground.folder, "scheduler", "scheduler/main.ts", admin, {
    dataDir: join(ground.folder, "scheduler"),
    name: "scheduler-1",
    join: await joinOf(ground, origin, ["--role", "scheduler", "--name", "scheduler-1"]),
    origin: { enrolment, nodeRpc },
    listen: textsOf({ client, admin }),
    clientUrl: scheduler,
    networksFile,
    geoip: false,
    ...settings,
  });
  const member: Member = { spec, running: undefined };
  await start(ground, member);
  return Object.assign(member, { client, admin });
}

export interface EdgeChoices {
  /** `POOL-1` where absent. */
  readonly name?: string;
  /** What `NAME.` comes before; `edge.test` where absent. */
  readonly domain?: string;
  /** Of its configuration, beside what every edge here has. */
  readonly settings?: object;
  /** What lies between it and its clients. They reach it itself, by its name, where absent. */
  readonly way?: Way | undefined;
}

/** Starts what leads from `at`, where clients come, to `target`. */
export type Way = (at: Address, target: Address) => Promise<void>;

/** One edge of the pool of that name, as it is deployed: its bundle. Its ways to the origin are links of no length. */
export async function startEdge(
  ground: Ground,
  origin: Origin,
  pool: string,
  choices: EdgeChoices = {},
): Promise<Edge> {
  const { t, folder } = ground;
  const { name = `${pool}-1`, domain = "edge.test" } = choices;
  const hostname = `${name}.${domain}`;
  const [content, site, siteEnrolment, admin, reached] = await freeAddresses(5);
  const cloud: Record<string, string> = {};
  const toCloud: TcpLink[] = [];
  for (const [part, target] of Object.entries(origin.listen)) {
    if (part === "operatorApi" || part === "admin") continue;
    const listenAt = { host: LOOPBACK, port: 0 };
    const link = await startTcpLink({ listen: listenAt, target, rttMs: 0, clock: systemClock, random: systemRandom });
    t.teardown(() => link[Symbol.asyncDispose]());
    cloud[part] = formatAddress(link.address);
    toCloud.push(link);
  }
  const main = await bundleProgram("edge-node", BUNDLES);
  await choices.way?.(reached, content);
  const spec = specOf(folder, name, main, admin, {
    dataDir: join(folder, name),
    name,
    join: await joinOf(ground, origin, ["--role", "edge", "--name", name, "--pool", pool]),
    origin: cloud,
    listen: textsOf({ content, site, siteEnrolment, admin }),
    contentUrl: `http://${choices.way === undefined ? `${hostname}:${content.port}` : formatAddress(reached)}`,
    hostname,
    ...choices.settings,
  });
  const member: Member = { spec: { ...spec, environmentFile: EDGE_ENVIRONMENT }, running: undefined };
  await start(ground, member);
  const listening = { content, site, siteEnrolment, admin };
  return Object.assign(member, { name, hostname, ...listening, toCloud, dataDir: join(folder, name) });
}

export interface Agent extends Member {
  readonly name: string;
}

/** The render-agent of an edge's pool, which renders as many sessions as the machine is found to hold. */
export async function startAgent(
  ground: Ground,
  origin: Origin,
  edge: Edge,
  { pool, way }: { readonly pool: string; readonly way?: Way | undefined },
): Promise<Agent> {
  const name = `${pool}-gpu-1`;
  const [websocket, admin, reached] = await freeAddresses(3);
  await way?.(reached, websocket);
  const { site: control, siteEnrolment: enrolment } = textsOf({ site: edge.site, siteEnrolment: edge.siteEnrolment });
  const spec = specOf(ground.folder, name, "render-agent/main.ts", admin, {
    dataDir: join(ground.folder, name),
    name,
    join: await joinOf(ground, origin, ["--role", "agent", "--name", name, "--pool", pool]),
    edges: [{ name: edge.name, control, enrolment }],
    listen: textsOf({ websocket, admin }),
    ...(way === undefined ? {} : { websocketUrl: `ws://${formatAddress(reached)}` }),
  });
  const member: Member = { spec, running: undefined };
  await start(ground, member);
  return Object.assign(member, { name });
}

/** Waits until it is ready. */
export async function start({ t }: Ground, member: Member): Promise<void> {
  keep(t, member, await startProgram(member.spec, systemClock, systemClock.deadline(START_MS_MAX)));
}

/** Does not wait. Gives the time of the start, by the monotonic clock. */
export function startCold({ t }: Ground, member: Member): number {
  const startedMs = systemClock.monotonicMs();
  keep(t, member, spawnProgram(member.spec, systemClock));
  return startedMs;
}

/** What runs still when this process ends before its tests do (a time limit, an interrupt). */
const leftRunning = new Set<RunningProgram>();
process.once("exit", () => {
  for (const program of leftRunning) program.kill();
});
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => process.exit(1));

function keep(t: Lasting, member: Member, program: RunningProgram): void {
  member.running = program;
  leftRunning.add(program);
  void program.ended.then(() => leftRunning.delete(program));
  t.teardown(() => program[Symbol.asyncDispose]());
}

/**
 * For how long the machine ran others while the member's main thread was ready to run, since its start: what a busy
 * machine adds to its times. 0 where the system does not say (proc(5), schedstat).
 */
export function withheldMs({ running }: { readonly running: { readonly pid: number } | undefined }): number {
  const file = `/proc/${running?.pid}/schedstat`;
  const [, waitedNs = "0"] = existsSync(file) ? readFileSync(file, "utf8").split(" ") : [];
  return Number(waitedNs) / 1e6;
}

/** `kill -9`. */
export async function kill(member: Member): Promise<void> {
  member.running?.kill();
  await member.running?.ended;
  member.running = undefined;
}

export type Perigee = (...words: string[]) => Promise<string>;

/** The command line, as an operator runs it; what it prints. Throws with its own words where it fails. */
export function perigeeOf({ contextFile }: Pick<Origin, "contextFile">): Perigee {
  return async (...words) => {
    const all = [CLI, "--context", contextFile, ...words];
    const { stdout } = await promisify(execFile)(process.execPath, all, { timeout: COMMAND_MS_MAX });
    return stdout;
  };
}

/** The end of a program's log, for a failure's message. */
export function endOfLog({ spec }: Member): string {
  return readFileSync(spec.logFile, "utf8").slice(-LOG_SHOWN_CHARACTERS);
}

async function joinOf({ folder }: Ground, origin: Origin, words: string[]): Promise<object> {
  const answer = await perigeeOf(origin)("join-token", ...words, "-o", "json");
  const { token, pin }: { token: string; pin: string } = JSON.parse(answer);
  const tokenFile = join(folder, `${words.at(3)}.token`);
  writeFileSync(tokenFile, token);
  return { tokenFile, pin };
}

function specOf(folder: string, name: string, main: string, admin: Address, settings: object): ProgramSpec {
  mkdirSync(folder, { recursive: true });
  const configFile = join(folder, `${name}.yaml`);
  writeFileSync(configFile, JSON.stringify(settings));
  return { name, main, configFile, adminUrl: `http://${formatAddress(admin)}`, logFile: join(folder, `${name}.log`) };
}

function textsOf<K extends string>(addresses: Readonly<Record<K, Address>>): Record<string, string> {
  const entries = Object.entries<Address>(addresses);
  return Object.fromEntries(entries.map(([name, address]) => [name, formatAddress(address)]));
}

/** Addresses that were free a moment ago; all are held until the last is found, so that none is given twice. */
export async function freeAddresses(count: 1): Promise<[Address]>;
export async function freeAddresses(count: 2): Promise<[Address, Address]>;
export async function freeAddresses(count: 3): Promise<[Address, Address, Address]>;
export async function freeAddresses(count: 4): Promise<[Address, Address, Address, Address]>;
export async function freeAddresses(count: 5): Promise<[Address, Address, Address, Address, Address]>;
export async function freeAddresses(count: 6): Promise<[Address, Address, Address, Address, Address, Address]>;
export async function freeAddresses(count: number): Promise<Address[]> {
  return Promise.all(Array.from({ length: count }, freeAddress));
}
