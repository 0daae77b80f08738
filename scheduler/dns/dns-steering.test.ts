import t from "tap";
import { siteUrlOf } from "#domain/placement/steering-table.ts";
import type { DnsClient } from "#platform/dns/zone-names.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import type { FleetEdge } from "../facts/fleet.ts";
import type { RankedEdge } from "../steering/content-decision.ts";
import { ttlSecondsOf } from "./answer-ttl.ts";
import { createDnsSteering } from "./dns-steering.ts";

const ZONE = "cdn.example";
const bounds = { ttlSecondsMin: 5, ttlSecondsMax: 120 };
const pull = { upstream: "http://u.test", connectTimeoutMs: 10, responseTimeoutMs: 10 };
const client = (address = "192.0.2.0"): DnsClient => ({ address, sourcePrefixLength: 24 });

function edge(node: string, changes: Partial<FleetEdge> = {}): FleetEdge {
  return {
    ...{ node, pool: node, contentUrl: `http://192.0.2.${node.charCodeAt(0)}:7420`, hostname: `${node}.edge.${ZONE}` },
    ...{ state: "connected", isHeard: true, cordoned: false, draining: false },
    ...{ sites: undefined, storeBytesMax: undefined },
    ...changes,
  };
}

function ranked(scores: Readonly<Record<string, number>>, changes: Partial<FleetEdge> = {}): readonly RankedEdge[] {
  return Object.entries(scores).map(([node, scoreMs]) => ({
    ...{ edge: edge(node, changes), labels: {}, rtt: { rttMs: scoreMs, source: "history" } },
    ...{ siteFault: undefined, isUnanswered: false, scoreMs },
  }));
}

function open() {
  const clock = new VirtualClock();
  const told: string[] = [];
  const asked: { readonly address: string; readonly lastNode: string | undefined; readonly isNew: boolean }[] = [];
  const world = { answer: ranked({ a: 10, b: 40 }), told, asked, clock };
  const edges = [edge("a"), edge("b")];
  const fleet = {
    view: {
      sites: new Map([
        ["shop", { hostnames: ["www.shop.cdn.example", "shop.other.test"], pull }],
        ["docs", { hostnames: ["docs.other.test"], pull }],
      ]),
    },
    listPools: () => [
      {
        ...{ pool: "a", labels: {}, coordinates: { latitude: 0, longitude: 0 }, priceMs: 0 },
        ...{ edges, excludedAgents: new Set<string>() },
      },
    ],
  };
  const names = createDnsSteering({
    ...{ fleet, clock, bounds },
    steering: {
      rankFor: (_site, clients) => {
        asked.push(clients);
        return world.answer;
      },
    },
    groupPrefixLength: () => 20,
    revision: () => 3,
    events: { steered: (source) => void told.push(source), noEdge: () => void told.push("no edge") },
  });
  const lookUp = (name: string, from = client()) => names.lookUp(name, ZONE, from);
  const kindOf = (name: string) => lookUp(name).kind;
  const ttl = (from = client()): number => {
    const found = lookUp("shop.cdn.example", from);
    return found.kind === "edges" ? found.ttlSeconds : Number.NaN;
  };
  return Object.assign(world, { lookUp, kindOf, ttl, edges });
}

t.test("a zone has the sites, by their own names and as SITE.ZONE, the nodes, and sites at nodes", async (t) => {
  const { lookUp, kindOf, edges, clock } = open();
  const steered = {
    ...{ kind: "edges", ttlSeconds: 5, scopePrefixLength: 20 },
    edges: [
      { contentUrl: "http://192.0.2.97:7420", scoreMs: 10 },
      { contentUrl: "http://192.0.2.98:7420", scoreMs: 40 },
    ],
  };
  for (const name of ["shop.cdn.example", "www.shop.cdn.example", "docs.cdn.example"])
    t.same(lookUp(name), steered, name);
  const node = {
    ...{ kind: "edges", ttlSeconds: 120, scopePrefixLength: 0 },
    edges: [{ contentUrl: "http://192.0.2.98:7420", scoreMs: 0 }],
  };
  t.same(lookUp("b.edge.cdn.example"), node);
  t.same(lookUp(new URL(siteUrlOf(edge("b"), "docs")).hostname), node, "where a redirect leads to");
  t.equal(kindOf("edge.cdn.example"), "empty");
  for (const name of ["x.cdn.example", "x.b.edge.cdn.example", "docs.shop.cdn.example", "cdn.example"]) {
    t.equal(kindOf(name), name === "cdn.example" ? "empty" : "absent", name);
  }
  edges.push(edge("c"));
  t.equal(kindOf("c.edge.cdn.example"), "absent");
  await clock.advance(1000);
  t.equal(kindOf("c.edge.cdn.example"), "edges", "a node that is new has its name within a second");
});

t.test("the group's clients are told the same; who told no network gets an answer for everybody", async (t) => {
  const { lookUp, asked, told, clock } = open();
  t.match(lookUp("shop.cdn.example"), { scopePrefixLength: 20 });
  t.match(lookUp("shop.cdn.example", { address: "192.0.2.0", sourcePrefixLength: undefined }), {
    scopePrefixLength: 0,
  });
  t.equal(asked.length, 1, "one decision for both");
  lookUp("shop.cdn.example", client("192.0.15.0"));
  t.equal(asked.length, 1, "nor is another asked for within as long a prefix as says the group");
  lookUp("shop.cdn.example", client("198.51.100.0"));
  lookUp("docs.cdn.example");
  t.same(asked, [
    { address: "192.0.2.0", lastNode: undefined, isNew: true },
    { address: "198.51.100.0", lastNode: undefined, isNew: true },
    { address: "192.0.2.0", lastNode: undefined, isNew: true },
  ]);
  await clock.advance(1000);
  lookUp("shop.cdn.example");
  t.same(
    asked.at(-1),
    { address: "192.0.2.0", lastNode: "a", isNew: false },
    "two milliseconds are no reason to move a network",
  );
  await clock.advance(599_000);
  lookUp("shop.cdn.example");
  t.same(asked.at(-1), { address: "192.0.2.0", lastNode: "a", isNew: true }, "ten minutes later it counts again");
  await clock.advance(1000);
  lookUp("shop.cdn.example");
  t.same(asked.at(-1)?.isNew, false);
  t.same(told, Array(8).fill("history"));
});

t.test("an answer may be kept for longer the longer it has held; a change begins anew", async (t) => {
  const world = open();
  const { ttl, clock, lookUp } = world;
  t.equal(ttl(), 5);
  await clock.advance(100_000);
  t.equal(ttl(), 25);
  t.equal(ttl(client("198.51.100.0")), 5, "each group for itself");
  await clock.advance(900_000);
  t.equal(ttl(), 120);
  world.answer = ranked({ b: 20, a: 40 });
  await clock.advance(1000);
  t.equal(ttl(), 5);
  world.answer = [];
  await clock.advance(1000);
  t.same(lookUp("shop.cdn.example"), { kind: "unavailable" });
  t.equal(world.told.at(-1), "no edge");
});

t.test("what may be another soon is kept for short", async (t) => {
  const standing = { heldMs: 10_000_000, isWell: true, marginMs: 30 };
  t.equal(ttlSecondsOf(standing, bounds), 120);
  t.equal(ttlSecondsOf({ ...standing, marginMs: undefined }, bounds), 120, "there is no other pool");
  t.equal(ttlSecondsOf({ ...standing, marginMs: 4 }, bounds), 30, "contested");
  t.equal(ttlSecondsOf({ ...standing, isWell: false }, bounds), 5, "unwell");
  t.equal(
    ttlSecondsOf({ ...standing, marginMs: 4 }, { ttlSecondsMin: 60, ttlSecondsMax: 90 }),
    60,
    "never below the least",
  );
  const world = open();
  for (const changes of [{ state: "cut-off" as const }, { isHeard: false }]) {
    world.answer = ranked({ a: 10, b: 40 }, changes);
    const from = client(`192.0.2.${world.asked.length}`);
    world.ttl(from);
    await world.clock.advance(500_000);
    t.equal(world.ttl(from), 5, JSON.stringify(changes));
  }
});
