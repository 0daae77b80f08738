/** The edge of a pool by which its siblings hear the origin dies, or falls silent: they go on by the next, and miss nothing. */
import { relaysBefore } from "#edge-node/relay/relay-order.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { api, document, markForAll } from "#test/edge-origin/edge-and-origin.ts";
import {
  type Edge,
  freeAddresses,
  kill,
  type Origin,
  start,
  startEdge,
  startOrigin,
  startScheduler,
} from "#test/end-to-end/fleet.ts";
import { ask } from "#test/end-to-end/http-client.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { apply, metricOf, operatorOf, untilApplied } from "./edge-words.ts";
import type { Fault, Finding, Trial } from "./fault.ts";

const POOL = "here";
/** Sockets that close are seen at once; the last in the pool's order waits 2 s for each of the three before it. */
const KILLED_MS_MAX = 10_000;
/** Silence is seen within 10 s; then the silent one is given 3 s to answer, and those before are waited for as above. */
const SILENT_MS_MAX = 20_000;
/** Who has gone to the origin itself looks for a relay after 15 to 30 s. */
const ONE_LINK_MS_MAX = 40_000;
/** Who comes back first in the order asks nobody, and who relays stays: two relays cost a connection. */
const LINKS_BACK_MAX = 2;
const POLL = { pauseMs: 50, limitMs: 60_000 };

interface NodeSeen {
  readonly name: string;
  readonly liveness: string;
  readonly linkUp: boolean;
  readonly relayedBy: string | undefined;
}

interface Pool {
  readonly origin: Origin;
  readonly edges: readonly Edge[];
}

interface NodeItem {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly role: string; readonly peerAddress?: string };
  readonly status: { readonly liveness: string; readonly linkUp?: boolean; readonly relayedBy?: string };
}

async function edgesOf(origin: Origin): Promise<readonly NodeItem[]> {
  const { items }: { items: readonly NodeItem[] } = JSON.parse(await api(operatorOf(origin), "GET", "/v1/nodes"));
  return items.filter(({ spec }) => spec.role === "edge");
}

/** As the origin has them. */
async function seenBy(origin: Origin): Promise<readonly NodeSeen[]> {
  return (await edgesOf(origin)).map(({ metadata: { name }, status: { liveness, linkUp, relayedBy } }) => ({
    ...{ name, liveness, relayedBy },
    linkUp: linkUp === true,
  }));
}

const isDirect = ({ linkUp, relayedBy }: NodeSeen): boolean => linkUp && relayedBy === undefined;

/** The one that the others are heard by, where all of these are linked, and only one of them by a stream of its own. */
function relayOf(seen: readonly NodeSeen[], edges: readonly Edge[]): string | undefined {
  const own = seen.filter(({ name }) => edges.some((edge) => edge.name === name));
  const [relay, ...others] = own.filter(isDirect);
  const isRelayed = own.every(
    ({ name, linkUp, relayedBy }) => linkUp && (name === relay?.name || relayedBy === relay?.name),
  );
  return own.length === edges.length && others.length === 0 && isRelayed ? relay?.name : undefined;
}

/** As origin and edges have it, each by its own word; the origin has no other link. */
async function untilOneRelays({ origin, edges }: Pool): Promise<Edge> {
  const relay = await untilSo(
    "one of the pool is linked, and relays for all others",
    async () => {
      const [seen, links] = await Promise.all([seenBy(origin), linksAt(origin)]);
      const counts = await Promise.all(
        edges.map(async (edge) => ({
          name: edge.name,
          siblings: await metricOf(edge, "relayed_siblings"),
          isRelayed: await metricOf(edge, "origin_link_relayed"),
        })),
      );
      return { name: relayOf(seen, edges), links, counts, seen };
    },
    ({ name: relay, links, counts }) =>
      relay !== undefined &&
      links === edges.length &&
      counts.every(({ name, siblings, isRelayed }) =>
        name === relay ? siblings === edges.length - 1 && isRelayed === 0 : siblings === 0 && isRelayed === 1,
      ),
    POLL,
  );
  const found = edges.find(({ name }) => name === relay.name);
  if (found === undefined) throw new Error(`${relay.name} is none of them`);
  return found;
}

/** Edges that the origin counts as linked, by its metric. */
async function linksAt({ listen }: Origin): Promise<number> {
  const { body } = await ask(listen.admin, "/metrics");
  return Number(/^perigee_origin_links\{.*role="edge".*\} (\d+)$/m.exec(body.toString())?.[1]);
}

/** Links that stand before siblings are known are direct: who starts again knows them. */
async function prepare(trial: Trial): Promise<Pool> {
  const origin = await startOrigin(trial);
  await apply(origin, [document("NodePool", POOL, { region: POOL, coordinates: { latitude: 0, longitude: 0 } })]);
  const [one, two, three, four] = await freeAddresses(4);
  const startOne = (index: number, address: Address) => {
    const peer = { listen: formatAddress(address) };
    return startEdge(trial, origin, POOL, { name: `${POOL}-${index}`, settings: { peer } });
  };
  // It makes the bundle that the others run.
  const edges = [await startOne(1, one)];
  const [, ...others] = await Promise.all([
    startScheduler(trial, origin, ""),
    startOne(2, two),
    startOne(3, three),
    startOne(4, four),
  ]);
  edges.push(...others);
  const hasAll = (items: readonly NodeItem[]) => items.filter(({ spec }) => spec.peerAddress).length === edges.length;
  await untilSo("all have said where they listen", () => edgesOf(origin), hasAll);
  await Promise.all(edges.map((edge) => untilApplied(edge, origin)));
  const first = edges.find(({ name }) => isFirst(name, edges));
  const later = edges.filter((edge) => edge !== first);
  await Promise.all(later.map(kill));
  await Promise.all(later.map((edge) => start(trial, edge)));
  return { origin, edges };
}

function isFirst(self: string, edges: readonly Edge[]): boolean {
  const names = edges.map(({ name }) => name).filter((name) => name !== self);
  const siblings = names.map((name) => ({ name, pool: POOL, address: "" }));
  return relaysBefore(POOL, { self, isMember: true, siblings, parents: [], childPools: new Set() }).length === 0;
}

/** Which of them the origin has called dead, by the scheduler's word, at any of the looks at it. */
function watchForDead(origin: Origin, edges: readonly Edge[]) {
  const dead = new Set<string>();
  let looks = 0;
  const looking = systemClock.every(POLL.pauseMs, async () => {
    const seen = await seenBy(origin);
    looks += 1;
    for (const { name, liveness } of seen)
      if (liveness === "dead" && edges.some((edge) => edge.name === name)) dead.add(name);
  });
  return {
    /** Throws where nothing was looked at. */
    count(): number {
      if (looks === 0) throw new Error("the origin was never asked who is dead");
      return dead.size;
    },
    [Symbol.dispose]: () => looking[Symbol.dispose](),
  };
}

interface Way {
  /** Until every sibling has a change that was made while the relay was gone. */
  readonly boundMs: number;
  readonly lose: (relay: Edge) => Promise<void>;
  readonly bringBack: (relay: Edge) => Promise<void>;
}

async function run(trial: Trial, { boundMs, lose, bringBack }: Way): Promise<readonly Finding[]> {
  const { origin, edges } = await prepare(trial);
  const relay = await untilOneRelays({ origin, edges });
  const living = edges.filter((edge) => edge !== relay);
  using watch = watchForDead(origin, living);
  const lostMs = systemClock.monotonicMs();
  const passed = (): number => systemClock.monotonicMs() - lostMs;
  await lose(relay);
  const revision = await markForAll(operatorOf(origin));
  const changed = await Promise.all(living.map((edge) => untilAt(edge, revision).then(passed)));
  const next = await untilOneRelays({ origin, edges: living });
  const oneLinkMs = passed();
  trial.note(`${relay.name} was lost, ${next.name} relays`);
  await bringBack(relay);
  await Promise.all(edges.map((edge) => untilApplied(edge, origin)));
  const isLinked = (seen: readonly NodeSeen[]) => seen.every(({ linkUp }) => linkUp);
  const back = await untilSo("all are linked", () => seenBy(origin), isLinked, POLL);
  return [
    { what: "a change is at every sibling", value: Math.max(...changed), unit: "ms", bound: boundMs },
    { what: "one link again", value: oneLinkMs, unit: "ms", bound: ONE_LINK_MS_MAX },
    { what: "living ones called dead", value: watch.count(), unit: "count", bound: 0 },
    { what: "links with it back", value: back.filter(isDirect).length, unit: "count", bound: LINKS_BACK_MAX },
  ];
}

async function untilAt(edge: Edge, revision: number): Promise<void> {
  const look = () => metricOf(edge, "applied_revision");
  await untilSo(`${edge.name} has revision ${revision}`, look, (applied) => applied >= revision, POLL);
}

function signalled({ running, name }: Edge, signal: "SIGSTOP" | "SIGCONT"): void {
  if (running === undefined) throw new Error(`${name} does not run`);
  process.kill(running.pid, signal);
}

export const watchRelayLost: readonly Fault[] = [
  {
    name: "watch-relay-killed",
    what: "the edge that relays the watch for its pool is killed while something is changed",
    run: (trial) => run(trial, { boundMs: KILLED_MS_MAX, lose: kill, bringBack: (relay) => start(trial, relay) }),
  },
  {
    name: "watch-relay-silent",
    what: "the edge that relays the watch is stopped: its sockets stand, and nothing comes",
    run: (trial) =>
      run(trial, {
        boundMs: SILENT_MS_MAX,
        lose: async (relay) => {
          // What is stopped takes no other signal than the one that kills.
          trial.t.teardown(() => kill(relay));
          signalled(relay, "SIGSTOP");
        },
        bringBack: async (relay) => signalled(relay, "SIGCONT"),
      }),
  },
];
