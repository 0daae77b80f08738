import t from "tap";
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import type { SiteStatus } from "#domain/fleet/node.ts";
import type { ContentPolicySpec } from "#domain/policy/content-policy.ts";
import { type AnyResource, API_VERSION, type Kind, type SpecByKind } from "#domain/resource.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { Fleet } from "../facts/fleet.ts";
import { planAssignments } from "./assignments.ts";
import { ContentDemand } from "./content-demand.ts";
import { FILL_BUDGET, SITE_PLAN_MS, SitePlan } from "./site-plan.ts";

const POOLS = ["a", "b", "c", "d"];
const MEBIBYTE = 1024 ** 2;

function resource<K extends Kind>(kind: K, name: string, spec: SpecByKind[K], labels = {}): [string, AnyResource] {
  const metadata = { name, labels, generation: 1, resourceVersion: 1, createdAtMs: 0 };
  return [`${kind}/${name}`, parseStoredResource(JSON.stringify({ apiVersion: API_VERSION, kind, metadata, spec }))];
}

const site = (name: string) =>
  resource("Site", name, {
    hostnames: [`${name}.test`],
    publish: { keepReleases: 5, indexDocument: "index.html" },
  });

interface Parts {
  readonly policy?: Partial<ContentPolicySpec>;
  readonly sites?: readonly string[];
  readonly storeBytesMax?: number;
}

class World {
  readonly clock = new VirtualClock();
  readonly fleet = new Fleet();
  readonly demand = new ContentDemand(this.clock);
  readonly plan = new SitePlan(this);
  readonly resources: Map<string, AnyResource>;
  readonly #storeBytesMax: number;

  constructor({ policy, sites = ["shop"], storeBytesMax = 0 }: Parts) {
    this.#storeBytesMax = storeBytesMax;
    const pools = POOLS.map((pool, at) => {
      const coordinates = { latitude: 0, longitude: 20 * at };
      const spec = { region: "eu", coordinates, autonomyDurationSeconds: 60, relay: true };
      return resource("NodePool", pool, spec, { zone: pool < "c" ? "eu" : "us" });
    });
    const nodes = POOLS.map((pool) =>
      resource("Node", `${pool}1`, { role: "edge", pool, cordoned: false, draining: false }),
    );
    this.resources = new Map([...pools, ...nodes, ...sites.map(site)]);
    if (policy !== undefined) this.setPolicy(policy);
    this.fleet.setDesired(this.resources);
  }

  setPolicy(policy: Partial<ContentPolicySpec>): void {
    this.resources.set(...resource("ContentPolicy", "p", { sites: ["shop"], prefetch: "all", ...policy }));
    this.fleet.setDesired(this.resources);
  }

  /** What the pool's edge says of each site: bytes of its release, and whether it has them. */
  report(pool: string, sites: Readonly<Record<string, { bytes: number; isWhole: boolean }>>): void {
    const statuses = Object.entries(sites).map(
      ([name, { bytes, isWhole }]): SiteStatus => ({
        ...{ site: name, activeGeneration: 1, desiredGeneration: 1 },
        ...{ objectsMissing: isWhole ? 0 : 3, releaseBytes: bytes },
      }),
    );
    const counts = { epoch: 1, appliedRevision: 1, storeBytesUsed: 0, certificateExpiresAtMs: 0 };
    const node = `${pool}1`;
    const address = { contentUrl: `http://${node}.test`, hostname: `${node}.test` };
    const lists = { conditions: [], sites: statuses, agents: [] };
    const store = { storeBytesMax: this.#storeBytesMax };
    const status = { incarnation: "1", softwareVersion: "0.1.0", ...address, ...counts, ...store, ...lists };
    this.fleet.setObserved({ node, linkUp: true, status });
  }

  ask(name: string, clients: Readonly<Record<string, number>>): void {
    for (const [pool, count] of Object.entries(clients)) {
      for (let client = 0; client < count; client += 1) this.demand.asked(name, [{ pool, rttMs: 5 }]);
    }
  }

  assigned(name = "shop"): string {
    const specs = planAssignments(this.fleet.view, this.plan.turn());
    return specs.flatMap(({ pool, sites }) => (sites.includes(name) ? [pool] : [])).join("");
  }
}

t.test("a site with two replicas goes to the pools whose clients ask most, of those that may hold it", async (t) => {
  const world = new World({ policy: { replicas: 2 } });
  world.ask("shop", { b: 50, d: 60, c: 30 });
  t.equal(world.assigned(), "bd");
  const resident = new World({ policy: { replicas: 1, residency: { zone: "eu" } } });
  resident.ask("shop", { a: 20, b: 25, d: 600 });
  t.equal(resident.assigned(), "b");
});

t.test("what no policy and no store limits is held everywhere, asked for or not", async (t) => {
  const world = new World({ sites: ["shop", "wiki"], storeBytesMax: 1000 * MEBIBYTE });
  world.ask("shop", { b: 50 });
  for (const pool of POOLS) world.report(pool, { shop: { bytes: MEBIBYTE, isWhole: true } });
  t.same([world.assigned("shop"), world.assigned("wiki"), world.plan.turn().size], ["abcd", "abcd", 0]);
});

t.test("a copy that moves is dropped where it was only once it is whole where it goes", async (t) => {
  const world = new World({ policy: { replicas: 2 } });
  world.ask("shop", { a: 50, b: 40 });
  t.equal(world.assigned(), "ab");
  world.report("a", { shop: { bytes: MEBIBYTE, isWhole: true } });
  world.report("b", { shop: { bytes: MEBIBYTE, isWhole: true } });
  world.ask("shop", { d: 500 });
  t.equal(world.assigned(), "ab", "planned again after a while");
  await world.clock.advance(SITE_PLAN_MS);
  t.match(world.assigned(), /^ab.*d$|^abd$/);
  world.report("d", { shop: { bytes: MEBIBYTE, isWhole: false } });
  t.equal(world.assigned(), "abd", "some of it is missing there");
  world.report("d", { shop: { bytes: MEBIBYTE, isWhole: true } });
  t.equal(world.assigned().length, 2);
  t.match(world.assigned(), /d$/);
});

t.test("a policy that comes to forbid a pool is followed at once", async (t) => {
  const world = new World({ policy: { replicas: 2 } });
  world.ask("shop", { c: 50, d: 40 });
  t.equal(world.assigned(), "cd");
  world.setPolicy({ replicas: 1, residency: { zone: "eu" } });
  t.equal(world.assigned(), "b", "the nearest that may");
});

t.test("what a replica of the scheduler planned before stays, though this one knows of no demand", async (t) => {
  const world = new World({ policy: { replicas: 2 } });
  for (const pool of POOLS) {
    const sites = pool === "b" || pool === "d" ? ["shop"] : [];
    world.resources.set(...resource("Assignment", pool, { pool, sites, apps: [] }));
  }
  world.fleet.setDesired(world.resources);
  t.equal(world.assigned(), "bd");
  world.resources.set(...resource("Assignment", "a", { pool: "a", sites: ["shop"], apps: [] }));
  world.resources.set(...resource("Assignment", "b", { pool: "b", sites: [], apps: [] }));
  world.fleet.setDesired(world.resources);
  world.plan.reset();
  t.equal(world.assigned(), "ad", "another had the lease meanwhile");
});

t.test("where the stores have no room for all, each holds what its clients ask for", async (t) => {
  const world = new World({ sites: ["one", "two", "three"], storeBytesMax: 100 * MEBIBYTE });
  const sizes = { bytes: 27 * MEBIBYTE, isWhole: false };
  for (const pool of POOLS) world.report(pool, { one: sizes, two: sizes, three: sizes });
  world.ask("one", { a: 50, b: 90 });
  world.ask("two", { a: 90, c: 50 });
  world.ask("three", { c: 90, d: 50 });
  const holders = { one: world.assigned("one"), two: world.assigned("two"), three: world.assigned("three") };
  for (const pool of POOLS) {
    const held = Object.values(holders).filter((pools) => pools.includes(pool));
    t.equal(held.length, 2, `pool ${pool} has room for two of 27 MiB in 80 % of 100 MiB`);
  }
  t.match(holders.one, /^ab/);
  t.match(holders.two, /^a.*c/);
  t.match(holders.three, /cd$/);
});

t.test("fills of the plan wait for the link", async (t) => {
  const names = ["one", "two", "three"];
  const world = new World({ sites: names, policy: { sites: names, replicas: 1 } });
  const sizes = { bytes: FILL_BUDGET.burstBytes, isWhole: false };
  world.report("d", { one: sizes, two: sizes, three: sizes });
  for (const name of names) world.ask(name, { a: 100 });
  const filled = () => names.filter((name) => world.assigned(name) === "a").length;
  t.equal(filled(), 1, "the first takes all that is given at once");
  await world.clock.advance(1000);
  t.equal(filled(), 2);
  await world.clock.advance(30_000);
  t.equal(filled(), 2, "the second is not through yet");
  await world.clock.advance((FILL_BUDGET.burstBytes / FILL_BUDGET.bytesPerSecond) * 1000);
  t.equal(filled(), 3);
});
