/** What operators and users of the simulated installation do: writes of several kinds, purges, compaction, backups, reports. */
import type { LocalLog, LogRow } from "#origin/log/resource-log.ts";
import { type Written, writeResource } from "#origin/log/resources.ts";
import { tombstoneWrites } from "#origin/log/tombstones.ts";
import type { Random } from "#platform/random.ts";
import { LOG_FILE } from "./simulated-origin.ts";
import { POOLS, type World } from "./world.ts";

const PAUSE_MS_MAX = 2400;
/** Few, so that a name is written again, also after a restore. */
const NAMES = 5;
/** Of the changes to a pool that may have relays: the others take them away, until the next. */
const RELAY_RATIO = 0.8;

type Action = (world: World, serial: number) => void;

const ACTIONS: readonly { readonly weight: number; readonly act: Action }[] = [
  { weight: 3, act: writePolicy },
  { weight: 3, act: assign },
  { weight: 1, act: labelPool },
  { weight: 2, act: remove },
  { weight: 4, act: purge },
  { weight: 1, act: writeTogether },
  { weight: 1, act: compact },
  { weight: 1, act: backUp },
  { weight: 6, act: report },
];
const WEIGHTS = ACTIONS.reduce((sum, { weight }) => sum + weight, 0);

/** Goes on until it is disposed of. */
export function startWorkload(world: World): Disposable {
  const { random, time } = world;
  let serial = 0;
  let pending: Disposable;
  const next = (): void => {
    pending = time.timer(random.ratio() * PAUSE_MS_MAX, () => {
      serial += 1;
      pick(random)(world, serial);
      next();
    });
  };
  next();
  return { [Symbol.dispose]: () => pending[Symbol.dispose]() };
}

/** What every edge of every pool has to hear of. */
export function writeLast(world: World): void {
  purge(world, -1);
  assign(world, -1);
}

function pick(random: Random): Action {
  let left = random.integer(WEIGHTS);
  for (const { weight, act } of ACTIONS) {
    left -= weight;
    if (left < 0) return act;
  }
  return report;
}

function one(world: World, written: Written): void {
  world.operate((log, nowMs) => [writeResource(log, written, nowMs)]);
}

function nameFrom(random: Random, prefix: string): string {
  return `${prefix}-${random.integer(NAMES)}`;
}

function poolFrom(random: Random): string {
  return POOLS[random.integer(POOLS.length)] ?? POOLS[0];
}

function policyOf(random: Random, serial: number): Written {
  const spec = { sites: [`site-${serial}`], prefetch: "none" } as const;
  return { kind: "ContentPolicy", metadata: { name: nameFrom(random, "policy"), labels: {} }, spec };
}

function writePolicy(world: World, serial: number): void {
  one(world, policyOf(world.random, Math.max(serial, 0)));
}

/** May move from one pool to the other, and so leave a set. */
function assign(world: World, serial: number): void {
  const { random } = world;
  const spec = { pool: poolFrom(random), sites: [`site-${Math.abs(serial)}`], apps: [] };
  one(world, { kind: "Assignment", metadata: { name: nameFrom(random, "assignment"), labels: {} }, spec });
}

function labelPool(world: World, serial: number): void {
  const { random } = world;
  const name = poolFrom(random);
  const relay = world.hasRelays && random.ratio() < RELAY_RATIO;
  world.operate((log, nowMs) => {
    const spec = {
      region: `region-${serial}`,
      coordinates: { latitude: 0, longitude: 0 },
      autonomyDurationSeconds: 3600,
      relay,
    };
    return [writeResource(log, { kind: "NodePool", metadata: { name, labels: {} }, spec }, nowMs)];
  });
}

function remove(world: World): void {
  const { random } = world;
  const [kind, prefix] =
    random.integer(2) === 0 ? (["ContentPolicy", "policy"] as const) : (["Assignment", "assignment"] as const);
  const name = nameFrom(random, prefix);
  world.operate((log, nowMs) => {
    if (log.find(kind, name) === undefined) return [];
    return log.write([{ kind, name, render: () => undefined }, ...tombstoneWrites(log, kind, name, nowMs)]);
  });
}

/** No two are of one path: what an edge has purged is told by it. */
function purge(world: World, serial: number): void {
  const { random } = world;
  const name = nameFrom(random, "purge");
  world.operate((log, nowMs) => {
    const spec = { site: "site", match: { kind: "paths", paths: [`/${serial}`] }, soft: false, atMs: nowMs } as const;
    return [writeResource(log, { kind: "Purge", metadata: { name, labels: {} }, spec }, nowMs)];
  });
}

/** Several at one instant, which edges hear of in one batch. */
function writeTogether(world: World, serial: number): void {
  const { random } = world;
  const count = 2 + random.integer(3);
  world.operate((log, nowMs) =>
    Array.from({ length: count }, (_, index) => namedPurge(log, random, `/${serial}.${index}`, nowMs)),
  );
}

function namedPurge(log: LocalLog, random: Random, path: string, nowMs: number): LogRow {
  const spec = { site: "site", match: { kind: "paths", paths: [path] }, soft: true, atMs: nowMs } as const;
  return writeResource(log, { kind: "Purge", metadata: { name: nameFrom(random, "purge"), labels: {} }, spec }, nowMs);
}

/** As housekeeping does it. */
function compact(world: World): void {
  const { random, origin, stale } = world;
  const kept = random.integer(20);
  if (stale !== undefined) return;
  world.operate((log) => {
    origin.running?.distribution.advance();
    log.compact(Math.max(log.compactedRevision(), log.revision() - kept));
    return [];
  });
}

function backUp(world: World): void {
  const { origin, stale } = world;
  if (origin.running === undefined || stale !== undefined) return;
  world.backup = { contents: origin.disk.backup(LOG_FILE), revision: world.history.revision };
}

function report(world: World, serial: number): void {
  const { random, edges } = world;
  const edge = edges[random.integer(edges.length)];
  edge?.report({ serial });
}
