/** The faults of a simulated run: which kinds there are, what each does, and which of them a seed chooses. */

import { EVERY_NAME, TOMBSTONE_KINDS } from "#domain/fleet/tombstone.ts";
import { CHAIN_ENVELOPES_MAX } from "#edge-node/desired-state/pool-set.ts";
import { writeResource } from "#origin/log/resources.ts";
import { tombstoneWrites } from "#origin/log/tombstones.ts";
import type { Random } from "#platform/random.ts";
import { SET_FILE, type SimulatedEdge } from "./simulated-edge.ts";
import { ORIGIN, type Path } from "./simulated-network.ts";
import { LOG_FILE } from "./simulated-origin.ts";
import type { World } from "./world.ts";

export const FAULT_KINDS = [
  "delay",
  "loss",
  "cut",
  "half-open",
  "black-hole",
  "slow-disk",
  "full-disk",
  "edge-crash",
  "origin-crash",
  "crash-at-commit",
  "clock-skew",
  "restore",
  "churn",
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

/** Tells what is wrong from now on; `end` mends it. `undefined` where it is not possible now. */
interface Fault {
  readonly what: string;
  /** Where the plan's would be too short for it. */
  readonly durationMs?: number;
  readonly end: () => void;
}

type Begin = (world: World, random: Random) => Fault | undefined;

export interface PlannedFault {
  readonly atMs: number;
  readonly durationMs: number;
  readonly kind: FaultKind;
}

const DELAY_MS_MAX = 900;
const JITTER_MS_MAX = 400;
/** Far below a ping's period: a disk that takes longer makes a process that is as good as dead. */
const COMMIT_MS_MAX = 120;
const SKEW_MS_MAX = 3_600_000;
const COMMITS_MAX = 6;
const DURATION_MS_MIN = 300;
const DURATION_MS_MAX = 25_000;
const FAULTS_MIN = 2;
const FAULTS_MAX = 9;
/** Long enough for an edge to come back and say what it refuses. */
const STALE_MS = 30_000;

/** It takes as long as ten other runs. */
const CHURN_RATIO = 0.02;
/** Longer than the chain of batches that an edge keeps: it must ask for a snapshot instead. */
const CHURN_WRITES = CHAIN_ENVELOPES_MAX + 40;
const CHURN_PAUSE_MS = 4;

/** Some kinds, some of each, spread over the time. */
export function planFaults(random: Random, kinds: readonly FaultKind[], spanMs: number): readonly PlannedFault[] {
  const isChurned = kinds.includes("churn") && random.ratio() < CHURN_RATIO;
  const churn: readonly PlannedFault[] = isChurned
    ? [{ kind: "churn", atMs: random.ratio() * spanMs, durationMs: 0 }]
    : [];
  const others = kinds.filter((kind) => kind !== "churn");
  if (others.length === 0) return churn;
  const chosen = others.filter(() => random.ratio() < 0.5);
  const from = chosen.length > 0 ? chosen : others;
  const count = FAULTS_MIN + random.integer(FAULTS_MAX - FAULTS_MIN + 1);
  const planned = Array.from({ length: count }, (): PlannedFault => {
    const kind = from[random.integer(from.length)] ?? "delay";
    const atMs = random.ratio() * spanMs;
    // Short ones are as likely as long ones, on a scale of doublings.
    const durationMs = DURATION_MS_MIN * (DURATION_MS_MAX / DURATION_MS_MIN) ** random.ratio();
    return { kind, atMs, durationMs: Math.min(durationMs, spanMs - atMs) };
  });
  return [...churn, ...planned];
}

/** What has begun and not ended is ended by disposing. */
export function startFaults(world: World, plan: readonly PlannedFault[]): Disposable {
  const running = new Set<Fault>();
  const end = (fault: Fault): void => {
    if (!running.delete(fault)) return;
    world.tell(`mended: ${fault.what}`);
    fault.end();
  };
  const timers = plan.map(({ kind, atMs, durationMs }) =>
    world.time.timer(atMs, () => {
      const fault = BEGIN[kind](world, world.random);
      if (fault === undefined) return;
      const lastsMs = Math.round(fault.durationMs ?? durationMs);
      world.tell(`fault: ${fault.what}, ${lastsMs} ms`);
      running.add(fault);
      world.time.timer(lastsMs, () => end(fault));
    }),
  );
  return {
    [Symbol.dispose]: () => {
      for (const timer of timers) timer[Symbol.dispose]();
      for (const fault of [...running]) end(fault);
    },
  };
}

const BEGIN: Readonly<Record<FaultKind, Begin>> = {
  delay(world, random) {
    const { paths, of } = pathsFrom(world, random);
    const before = paths.map((path) => [path, path.delay] as const);
    const delay = { delayMs: random.ratio() * DELAY_MS_MAX, jitterMs: random.ratio() * JITTER_MS_MAX };
    for (const path of paths) path.delay = delay;
    const end = (): void => {
      for (const [path, as] of before) path.delay = as;
    };
    return { what: `${of} is ${Math.round(delay.delayMs)} ms away`, end };
  },
  loss(world, random) {
    const { paths, of } = pathsFrom(world, random);
    for (const connection of world.network.over(paths)) connection.reset("too much was lost");
    return { what: `what is connected breaks: ${of}`, end: () => undefined };
  },
  cut(world, random) {
    const { paths, of } = pathsFrom(world, random);
    for (const path of paths) path.state = "refusing";
    for (const connection of world.network.over(paths)) connection.reset("cut");
    return { what: `${of} is cut off`, end: () => open(paths) };
  },
  "half-open"(world, random) {
    const { paths, of } = pathsFrom(world, random);
    const way = (["up", "down", "both"] as const)[random.integer(3)] ?? "both";
    for (const connection of world.network.over(paths)) connection.set(way, "swallowing", "half-open");
    return { what: `${of} is half-open, ${way}`, end: () => undefined };
  },
  "black-hole"(world, random) {
    const { paths, of } = pathsFrom(world, random);
    for (const path of paths) path.state = "stalled";
    for (const connection of world.network.over(paths)) connection.set("both", "stalled", "black hole");
    const end = (): void => {
      open(paths);
      for (const connection of world.network.over(paths)) connection.set("both", "flowing", "black hole");
    };
    return { what: `${of} is in a black hole`, end };
  },
  "slow-disk"(world, random) {
    const machine = machineFrom(world, random);
    machine.disk.commitMs = 1 + random.ratio() * COMMIT_MS_MAX;
    return { what: `a slow disk, ${Math.round(machine.disk.commitMs)} ms`, end: () => (machine.disk.commitMs = 0) };
  },
  "full-disk"(world, random) {
    const edge = edgeFrom(world, random);
    const ratio = 0.4 + 0.6 * random.ratio();
    edge.disk.isFull = () => random.ratio() < ratio;
    return { what: `the disk of ${edge.name} is full`, end: () => (edge.disk.isFull = () => false) };
  },
  "edge-crash"(world, random) {
    const edge = edgeFrom(world, random);
    const isPower = random.integer(2) === 0;
    if (isPower) losePower(world, edge.name);
    edge.kill();
    return { what: `${edge.name} ${isPower ? "loses its power" : "is killed"}`, end: () => startIfDown(edge) };
  },
  "origin-crash"(world, random) {
    const isPower = random.integer(2) === 0;
    if (isPower) losePower(world, ORIGIN);
    world.origin.kill();
    return { what: `the origin ${isPower ? "loses its power" : "is killed"}`, end: () => startIfDown(world.origin) };
  },
  "crash-at-commit"(world, random) {
    const machine = machineFrom(world, random);
    const when = random.integer(2) === 0 ? "before" : "after";
    machine.disk.crashAt({ commits: 1 + random.integer(COMMITS_MAX), when });
    const end = (): void => {
      machine.disk.heal();
      startIfDown(machine);
    };
    return { what: `a crash ${when} a commit to come`, end };
  },
  "clock-skew"(world, random) {
    const machine = machineFrom(world, random);
    machine.skewMs = Math.round((random.ratio() * 2 - 1) * SKEW_MS_MAX);
    return { what: `a clock is ${machine.skewMs} ms off`, end: () => (machine.skewMs = 0) };
  },
  restore: beginRestore,
  churn(world) {
    let [count, pending]: [number, Disposable | undefined] = [0, undefined];
    const next = (): void => {
      writeAgain(world, count);
      count += 1;
      pending = count < CHURN_WRITES ? world.time.timer(CHURN_PAUSE_MS, next) : undefined;
    };
    next();
    const what = `one resource is written ${CHURN_WRITES} times`;
    return { what, end: () => pending?.[Symbol.dispose](), durationMs: CHURN_WRITES * CHURN_PAUSE_MS };
  },
};

/** Its connections are not reset: nobody is there who could. */
function losePower({ network }: World, machine: string): void {
  for (const connection of network.connections)
    if (connection.peer.name === machine || connection.to === machine)
      connection.set("both", "swallowing", "power cut");
}

function open(paths: readonly Path[]): void {
  for (const path of paths) path.state = "open";
}

/** Which of an edge's paths: where siblings relay, also those between them. */
function pathsFrom(world: World, random: Random): { readonly paths: readonly Path[]; readonly of: string } {
  const edge = edgeFrom(world, random);
  const { network, hasRelays } = world;
  const toOrigin = network.pathBetween(edge.name, ORIGIN);
  const siblings = world.edges.filter(({ name, peer }) => peer.pool === edge.peer.pool && name !== edge.name);
  const which = hasRelays && siblings.length > 0 ? random.integer(3) : 0;
  if (which === 0) return { paths: [toOrigin], of: edge.name };
  if (which === 1) {
    const { name } = siblings[random.integer(siblings.length)] ?? edge;
    return { paths: [network.pathBetween(edge.name, name)], of: `${edge.name} from ${name}` };
  }
  const toSiblings = siblings.map(({ name }) => network.pathBetween(edge.name, name));
  return { paths: [toOrigin, ...toSiblings], of: `${edge.name} from all` };
}

function writeAgain(world: World, count: number): void {
  const spec = { sites: [`site-${count}`], prefetch: "none" } as const;
  const written = { kind: "ContentPolicy", metadata: { name: "policy-churn", labels: {} }, spec } as const;
  world.operate((log, nowMs) => [writeResource(log, written, nowMs)]);
}

/** The log is put back to a backup; at once with another epoch, or first without, which edges that hold more must refuse. */
function beginRestore(world: World, random: Random): Fault | undefined {
  const { origin, backup, history } = world;
  if (backup === undefined || world.stale !== undefined) return undefined;
  origin.kill();
  origin.disk.restore(LOG_FILE, backup.contents);
  const isStaleFirst = random.integer(2) === 0;
  const ahead = world.edges.filter((edge) => isAhead(edge, backup.revision, history.epoch));
  world.stale = { sinceMs: world.nowMs, revision: backup.revision, ahead: new Set(ahead) };
  if (isStaleFirst) origin.start();
  const isFork = isStaleFirst && ahead.length === world.edges.length;
  if (isFork) outgrow(world, history.revision);
  const end = (): void => {
    origin.kill();
    origin.disk.restore(LOG_FILE, backup.contents);
    const beginsAt = backup.revision + REVISIONS_SKIPPED;
    history.raise(backup.revision, beginsAt);
    // What `raiseEpoch` does to a file.
    origin.disk.change(LOG_FILE, `UPDATE facts SET value = ${history.epoch} WHERE name = 'epoch'`);
    origin.disk.change(LOG_FILE, `UPDATE facts SET value = ${beginsAt} WHERE name = 'compacted'`);
    world.stale = undefined;
    world.backup = undefined;
    origin.start();
    giveUpLost(world);
  };
  const how = `${isStaleFirst ? " without another epoch" : ""}${isFork ? ", and goes on from there" : ""}`;
  const what = `the log is restored to ${backup.revision}${how}`;
  return isStaleFirst ? { what, end, durationMs: STALE_MS } : { what, end };
}

/** Writes until revisions alone do not tell the log from the one that edges hold. */
function outgrow({ origin, nowMs }: World, revision: number): void {
  const log = origin.running?.log;
  if (log === undefined) return;
  while (log.revision() <= revision) {
    const spec = { sites: [`site-${log.revision()}`], prefetch: "none" } as const;
    writeResource(
      log,
      { kind: "ContentPolicy", metadata: { name: "policy-fork", labels: {} }, spec },
      Math.floor(nowMs),
    );
  }
}

/** More than a run writes: what a node holds of the epoch before is older than whatever is said in the next. */
const REVISIONS_SKIPPED = 100_000;

/** As `perigee tombstone --all` says it: what was written after the backup may go. */
function giveUpLost(world: World): void {
  world.operate((log, nowMs) =>
    log.write(TOMBSTONE_KINDS.flatMap((kind) => tombstoneWrites(log, kind, EVERY_NAME, nowMs))),
  );
}

/** By what it has on its disk, whether it runs or not. */
function isAhead(edge: SimulatedEdge, revision: number, epoch: number): boolean {
  const [floor] = edge.disk.read(SET_FILE, "SELECT epoch, revision FROM floor");
  return floor?.["epoch"] === epoch && Number(floor["revision"]) > revision;
}

interface Machine {
  readonly disk: SimulatedEdge["disk"];
  readonly running: object | undefined;
  skewMs: number;
  start(): void;
}

function startIfDown(machine: Pick<Machine, "running" | "start">): void {
  if (machine.running === undefined) machine.start();
}

function edgeFrom({ edges }: World, random: Random): SimulatedEdge {
  const edge = edges[random.integer(edges.length)];
  if (edge === undefined) throw new Error("a world has edges");
  return edge;
}

function machineFrom(world: World, random: Random): Machine {
  return random.integer(3) === 0 ? world.origin : edgeFrom(world, random);
}
