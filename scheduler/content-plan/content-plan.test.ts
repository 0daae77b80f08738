import fc from "fast-check";
import t from "tap";
import { parseResourceInput, parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import type { ContentPolicySpec } from "#domain/policy/content-policy.ts";
import { type AnyResource, API_VERSION, type Kind, type SpecByKind } from "#domain/resource.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { viewOf } from "../facts/desired-view.ts";
import { Fleet } from "../facts/fleet.ts";
import { planAssignments } from "./assignments.ts";
import { ContentDemand } from "./content-demand.ts";
import { SlowLoop, STEERING_TABLE_MS_MIN } from "./slow-loop.ts";
import { ENTRIES_MAX, planSteeringTables } from "./steering-tables.ts";

let versions = 0;

function resource<K extends Kind>(kind: K, name: string, spec: SpecByKind[K], labels = {}): [string, AnyResource] {
  versions += 1;
  const metadata = { name, labels, generation: 1, resourceVersion: versions, createdAtMs: 0 };
  const json = JSON.stringify({ apiVersion: API_VERSION, kind, metadata, spec });
  return [`${kind}/${name}`, parseStoredResource(json)];
}

const pool = (name: string, longitude: number, labels = {}) =>
  resource(
    "NodePool",
    name,
    { region: "eu", coordinates: { latitude: 0, longitude }, autonomyDurationSeconds: 60, relay: true },
    labels,
  );
const node = (name: string, of: string, role: "edge" | "agent", changes = {}) =>
  resource("Node", name, { role, pool: of, cordoned: false, draining: false, ...changes });
const published = resource("Site", "shop", {
  hostnames: ["shop.test"],
  publish: { keepReleases: 5, indexDocument: "index.html" },
});
const pulled = resource("Site", "wiki", {
  hostnames: ["wiki.test"],
  pull: { upstream: "http://wiki.test", connectTimeoutMs: 10, responseTimeoutMs: 10 },
});
const app = resource("RenderApp", "hall", {
  bundle: { site: "shop", path: "/hall.json" },
  needs: { gpuShareRatio: 0.5, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 1 },
  classes: [{ name: "small", eyeWidthPixels: 512, eyeHeightPixels: 512, frameRateHz: 72 }],
});
const three = [pool("a", 0, { zone: "eu" }), pool("b", 1, { zone: "eu" }), pool("c", 5, { zone: "us" })];

function assigned(resources: readonly [string, AnyResource][], policies: readonly Partial<ContentPolicySpec>[] = []) {
  const made = policies.map((policy, at) =>
    resource("ContentPolicy", `p${at}`, { sites: ["shop"], prefetch: "all", ...policy }),
  );
  const plan = planAssignments(viewOf(new Map([...resources, ...made])));
  return Object.fromEntries(plan.map(({ pool, sites, apps }) => [pool, [...sites, ...apps].join(" ")]));
}

t.test("published sites are held everywhere unless a policy says less; pulled ones are not held ahead", async (t) => {
  const resources = [...three, published, pulled];
  t.same(assigned(resources), { a: "shop", b: "shop", c: "shop" });
  t.same(assigned(resources, [{ residency: { zone: "eu" } }]), { a: "shop", b: "shop", c: "" });
  t.same(assigned(resources, [{ residency: { zone: "eu" } }, { residency: { zone: "us" } }]), { a: "", b: "", c: "" });
  t.same(assigned(resources, [{ prefetch: "none" }, {}]), { a: "", b: "", c: "" }, "the strictest counts");
  const two = Object.values(assigned(resources, [{ replicas: 2 }, { replicas: 3 }]));
  t.equal(two.filter((held) => held === "shop").length, 2);
});

t.test("apps go to the pools that have agents and that the policy permits", async (t) => {
  const agents = [node("ga", "a", "agent"), node("gc", "c", "agent"), node("eb", "b", "edge")];
  t.same(assigned([...three, app, ...agents]), { a: "hall", b: "", c: "hall" });
  const policy = resource("PlacementPolicy", "eu", {
    apps: ["hall"],
    sites: [],
    latencyBudgetMs: {},
    constraints: [{ label: "zone", operator: "In", values: ["eu"] }],
    preferences: [],
    capacityReserveRatio: 0,
    onNoFit: "queue",
    sessionSecondsMax: 60,
    stickinessMs: 2,
  });
  t.same(assigned([...three, app, ...agents, policy]), { a: "hall", b: "", c: "" });
});

t.test("an app is on its pools whatever the windows of its scene: sessions wait for no window", async (t) => {
  const windows = [{ from: "03:00", to: "03:01" }];
  const policy = { prefetch: { windows }, replicas: 1 };
  const agents = [node("ga", "a", "agent"), node("gc", "c", "agent")];
  const plan = assigned([...three, app, published, ...agents], [policy]);
  t.match(plan, { a: /hall$/, c: /hall$/ });
});

t.test("one pool more moves little of what has a number of replicas", async (t) => {
  const names = Array.from({ length: 12 }, (_, at) => `pool-${at}`);
  const holds = fc.property(fc.integer({ min: 1, max: 11 }), (replicas) => {
    const policy = resource("ContentPolicy", "p", { sites: ["shop"], prefetch: "all", replicas });
    const holders = (count: number) => {
      const pools = names.slice(0, count).map((name) => pool(name, 0));
      const plan = planAssignments(viewOf(new Map([...pools, published, policy])));
      return plan.filter(({ sites }) => sites.length > 0).map(({ pool }) => pool);
    };
    const before = holders(11);
    const after = new Set(holders(12));
    return before.length === replicas && before.filter((name) => !after.has(name)).length <= 1;
  });
  t.doesNotThrow(() => fc.assert(holds));
});

function fleetOf(resources: readonly [string, AnyResource][]): Fleet {
  const fleet = new Fleet();
  fleet.setDesired(new Map(resources));
  for (const name of fleet.listEdgeNames()) observe(fleet, name);
  return fleet;
}

function observe(fleet: Fleet, name: string): void {
  const counts = { epoch: 1, appliedRevision: 1, storeBytesUsed: 0, storeBytesMax: 0, certificateExpiresAtMs: 0 };
  const lists = { conditions: [], sites: [], agents: [] };
  const address = { contentUrl: `http://${name}.test`, hostname: `${name}.test` };
  const status = { incarnation: "1", softwareVersion: "0.1.0", ...address, ...counts, ...lists };
  fleet.setObserved({ node: name, linkUp: true, status });
}

t.test(
  "a pool's table has its own edges, then those of the nearest pools, none dead, cordoned or draining",
  async (t) => {
    const edges = [
      node("a1", "a", "edge"),
      node("b1", "b", "edge"),
      node("b2", "b", "edge", { cordoned: true }),
      node("b3", "b", "edge"),
      node("c1", "c", "edge"),
    ];
    const fleet = fleetOf([...three, ...edges]);
    fleet.setStanding("b3", { state: "dead", isHeard: false });
    const tables = planSteeringTables(fleet.listPools());
    const names = Object.fromEntries(
      tables.map((table) => [table.pool, table.edges.map((edge) => edge.node).join(" ")]),
    );
    t.same(names, { a: "a1 b1 c1", b: "b1 a1 c1", c: "c1 b1 a1" });
    const many = Array.from({ length: 50 }, (_, at) => node(`n${at}`, "a", "edge"));
    t.equal(planSteeringTables(fleetOf([...three, ...many]).listPools())[1]?.edges.length, ENTRIES_MAX);
  },
);

function startLoop(resources: [string, AnyResource][]) {
  const clock = new VirtualClock();
  const fleet = fleetOf(resources);
  const written: { request: number; key: string; expected: number; sites: unknown }[] = [];
  const demand = new ContentDemand(clock);
  const loop = new SlowLoop({
    clock,
    fleet,
    demand,
    write(request, resource, expected) {
      const parsed = parseResourceInput(resource);
      if (parsed.kind === "invalid") throw new Error(JSON.stringify(parsed.faults));
      const { kind, metadata, spec } = parsed.input;
      const sites = "sites" in spec ? spec.sites : undefined;
      written.push({ request, key: `${kind}/${metadata.name}`, expected, sites });
      return true;
    },
    events: { planWritten: () => undefined, fillsPlanned: () => undefined },
  });
  /** The origin takes the last write of a resource and tells of it. */
  const accept = ([key, row]: [string, AnyResource]): void => {
    const request = written.findLast((write) => write.key === key)?.request ?? 0;
    loop.decided({ request, accepted: true, resourceVersion: row.metadata.resourceVersion, code: "" });
    resources.push([key, row]);
    fleet.setDesired(new Map(resources));
  };
  return { clock, fleet, written, loop, accept, resources, demand };
}

function tableOf(fleet: Fleet): [string, AnyResource] {
  const [table] = planSteeringTables(fleet.listPools());
  if (table === undefined) throw new Error("a pool has a table");
  return resource("SteeringTable", table.pool, table);
}

t.test(
  "without the lease nothing is written; with it what differs, once, with the version that was read",
  async (t) => {
    const { clock, fleet, written, loop, accept } = startLoop([pool("a", 0), published, node("a1", "a", "edge")]);
    await clock.advance(5_000);
    t.equal(written.length, 0);
    loop.setActive(true);
    const keys = () => written.map(({ key, expected }) => `${key} ${expected}`);
    t.same(keys(), ["Assignment/a 0", "SteeringTable/a 0"]);
    await clock.advance(4_000);
    t.equal(written.length, 2, "the answer is awaited");
    accept(resource("Assignment", "a", { pool: "a", sites: ["shop"], apps: [] }));
    accept(tableOf(fleet));
    await clock.advance(60_000);
    t.equal(written.length, 2, "what is as planned is left alone");
    loop[Symbol.dispose]();
  },
);

t.test("the loop assigns a site with replicas to the pools whose clients ask most", async (t) => {
  const policy = resource("ContentPolicy", "p", { sites: ["shop"], prefetch: "all", replicas: 1 });
  const { written, loop, demand, fleet, resources } = startLoop([...three, published, policy]);
  for (let client = 0; client < 30; client += 1) demand.asked("shop", [{ pool: "c", rttMs: 5 }]);
  loop.setActive(true);
  t.same(
    written.map(({ sites }) => sites),
    [[], [], ["shop"]],
  );
  loop.setActive(false);
  const assignment = (pool: string, sites: string[]) => resource("Assignment", pool, { pool, sites, apps: [] });
  resources.push(assignment("a", []), assignment("b", ["shop"]), assignment("c", []));
  fleet.setDesired(new Map(resources));
  loop.setActive(true);
  t.same(
    written.slice(3).map(({ key, sites }) => [key, sites]),
    [["Assignment/c", ["shop"]]],
    "it stays at b, where another replica had it assigned, until it is whole at c",
  );
});

t.test("a refused write is planned again from what is held then, an unanswered one after its time", async (t) => {
  const { clock, written, loop } = startLoop([pool("a", 0), published]);
  loop.setActive(true);
  t.equal(written.length, 1);
  loop.decided({ request: 1, accepted: false, resourceVersion: 0, code: "resource-conflict" });
  await clock.advance(2_000);
  t.equal(written.length, 2);
  await clock.advance(8_000);
  t.equal(written.length, 2);
  await clock.advance(4_000);
  t.equal(written.length, 3);
});

t.test("a pool's table is written at most once a minute", async (t) => {
  const { clock, fleet, written, loop, accept, resources } = startLoop([pool("a", 0), node("a1", "a", "edge")]);
  loop.setActive(true);
  const tables = () => written.filter(({ key }) => key === "SteeringTable/a").length;
  t.equal(tables(), 1);
  accept(tableOf(fleet));
  resources.push(node("a2", "a", "edge"));
  fleet.setDesired(new Map(resources));
  observe(fleet, "a2");
  await clock.advance(STEERING_TABLE_MS_MIN - 4_000);
  t.equal(tables(), 1);
  await clock.advance(6_000);
  t.equal(tables(), 2);
});
