import fc from "fast-check";
import t from "tap";
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { FILL_BURST_SECONDS, FILL_BYTES_PER_SECOND_DEFAULT } from "#domain/content/fill-window.ts";
import type { SiteStatus } from "#domain/fleet/node.ts";
import type { ContentPolicySpec } from "#domain/policy/content-policy.ts";
import { type AnyResource, API_VERSION, type Kind, type SpecByKind } from "#domain/resource.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { Fleet } from "../facts/fleet.ts";
import { planAssignments } from "./assignments.ts";
import { ContentDemand } from "./content-demand.ts";
import { SITE_PLAN_MS, SitePlan } from "./site-plan.ts";

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
  readonly startMs?: number;
  /** Of pool a. */
  readonly fillBytesPerSecond?: number;
}

const ROUND_MS = 2000;

class World {
  readonly clock: VirtualClock;
  readonly fleet = new Fleet();
  readonly demand: ContentDemand;
  readonly plan: SitePlan;
  readonly resources: Map<string, AnyResource>;
  readonly #storeBytesMax: number;

  constructor({ policy, sites = ["shop"], storeBytesMax = 0, startMs, fillBytesPerSecond }: Parts) {
    this.#storeBytesMax = storeBytesMax;
    this.clock = new VirtualClock(startMs, 1);
    this.demand = new ContentDemand(this.clock);
    this.plan = new SitePlan(this);
    const pools = POOLS.map((pool, at) => {
      const coordinates = { latitude: 0, longitude: 20 * at };
      const budget = pool === "a" && fillBytesPerSecond !== undefined ? { fillBytesPerSecond } : {};
      const spec = { region: "eu", coordinates, autonomyDurationSeconds: 60, relay: true, ...budget };
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
  const sizes = { bytes: FILL_BYTES_PER_SECOND_DEFAULT * FILL_BURST_SECONDS, isWhole: false };
  world.report("d", { one: sizes, two: sizes, three: sizes });
  for (const name of names) world.ask(name, { a: 100 });
  const filled = () => names.filter((name) => world.assigned(name) === "a").length;
  t.equal(filled(), 1, "the first takes all that is given at once");
  t.match(world.plan.fills, { waiting: { window: 0, budget: 2 } });
  t.ok((world.plan.fills.underWay.get("a") ?? 0) > 0);
  await world.clock.advance(FILL_BURST_SECONDS * 1000 - 1);
  t.equal(filled(), 1, "it is not through yet");
  await world.clock.advance(1);
  t.equal(filled(), 2);
  await world.clock.advance(FILL_BURST_SECONDS * 1000);
  t.equal(filled(), 3);
  await world.clock.advance(FILL_BURST_SECONDS * 1000);
  world.plan.turn();
  t.match(world.plan.fills, { begun: 0, waiting: { budget: 0 } });
  t.equal(world.plan.fills.underWay.size, 0);
});

t.test("a large site has its turn before small ones that come after it", async (t) => {
  const names = ["one", "two", "three"];
  const world = new World({ sites: names, policy: { sites: names, replicas: 1 }, fillBytesPerSecond: MEBIBYTE });
  const sizeOf = (mebibytes: number) => ({ bytes: mebibytes * MEBIBYTE, isWhole: false });
  world.report("d", { one: sizeOf(30), three: sizeOf(600), two: sizeOf(1) });
  for (const name of names) world.ask(name, { a: 100 });
  const filled = () => names.filter((name) => world.assigned(name) === "a").join();
  t.equal(filled(), "one");
  await world.clock.advance(29_000);
  t.equal(filled(), "one", "the small one does not pass the large one");
  await world.clock.advance(1_000);
  t.equal(filled(), "one,three");
});

t.test("copies begin in the windows of their policies only; what has begun goes on after them", async (t) => {
  const windows = [{ from: "01:00", to: "05:00", timeZone: "Europe/Lisbon" }];
  const startMs = Date.UTC(2026, 10, 27, 20);
  const world = new World({ policy: { replicas: 1, prefetch: { windows } }, startMs });
  world.ask("shop", { a: 50 });
  const until = async (text: string) => world.clock.advance(Date.parse(text) - world.clock.nowMs());
  t.equal(world.assigned(), "");
  t.match(world.plan.fills, { begun: 0, waiting: { window: 1, budget: 0 } });
  await until("2026-11-28T00:59:59Z");
  t.equal(world.assigned(), "");
  await until("2026-11-28T01:00:00Z");
  t.equal(world.assigned(), "a");
  t.match(world.plan.fills, { begun: 1, waiting: { window: 0 } });
  await until("2026-11-28T05:00:00Z");
  t.equal(world.assigned(), "a", "it is not taken away");
  world.report("a", { shop: { bytes: MEBIBYTE, isWhole: true } });
  world.ask("shop", { d: 5000 });
  t.equal(world.assigned(), "a", "it is to go to d, and not now");
  await until("2026-11-29T00:59:59Z");
  t.equal(world.assigned(), "a");
  await until("2026-11-29T01:00:00Z");
  t.equal(world.assigned(), "ad", "it stays at a until d has it");
  await until("2026-11-29T12:00:00Z");
  world.report("d", { shop: { bytes: MEBIBYTE, isWhole: true } });
  t.equal(world.assigned(), "d", "what is dropped waits for no window");
});

t.test("where a policy forbids a pool the copy there goes at once, and the one in its place waits", async (t) => {
  const windows = [{ from: "01:00", to: "05:00" }];
  const world = new World({ policy: { replicas: 1 }, startMs: Date.UTC(2026, 10, 27, 12) });
  world.ask("shop", { d: 50 });
  t.equal(world.assigned(), "d");
  world.setPolicy({ replicas: 1, residency: { zone: "eu" }, prefetch: { windows } });
  t.equal(world.assigned(), "");
  await world.clock.advance(13 * 3_600_000);
  t.equal(world.assigned(), "b");
});

t.test("in no turn is more under way than the budget, nor begun outside the windows, whatever the sizes", async (t) => {
  const bytesPerSecond = 100_000;
  const burstBytes = bytesPerSecond * FILL_BURST_SECONDS;
  const anySizes = fc.array(fc.integer({ min: 1, max: 2 * burstBytes }), { minLength: 5, maxLength: 12 });
  const holds = fc.asyncProperty(anySizes, fc.integer({ min: -30, max: 8 }), async (sizes, openMinute) => {
    const sites = sizes.map((_, at) => `site-${at}`);
    const windows = [{ from: "01:00", to: "01:10" }];
    const startMs = Date.UTC(2026, 10, 27, 1) + openMinute * 60_000;
    const policy = { sites, replicas: 1, prefetch: { windows } };
    const world = new World({ sites, policy, startMs, fillBytesPerSecond: bytesPerSecond });
    world.report("d", Object.fromEntries(sites.map((name, at) => [name, { bytes: sizes[at] ?? 1, isWhole: false }])));
    for (const name of sites) world.ask(name, { a: 100 });
    let given = 0;
    for (let elapsedMs = 0; elapsedMs < 3_000_000; elapsedMs += ROUND_MS) {
      world.plan.turn();
      const { begun, begunBytes, underWay } = world.plan.fills;
      given += begunBytes;
      const minute = Math.floor((world.clock.nowMs() - Date.UTC(2026, 10, 27, 1)) / 60_000);
      if (begun > 0 && (minute < 0 || minute >= 10)) return false;
      if ((underWay.get("a") ?? 0) > Math.max(burstBytes, ...sizes)) return false;
      await world.clock.advance(ROUND_MS);
    }
    const openSeconds = 60 * (10 - Math.max(0, openMinute));
    return given > 0 && given <= Math.max(burstBytes, ...sizes) + openSeconds * bytesPerSecond;
  });
  await t.resolves(fc.assert(holds, { numRuns: 15 }));
});
