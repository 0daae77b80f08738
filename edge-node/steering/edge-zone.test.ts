import t from "tap";
import type { SteeringFacts } from "./cut-off-steering.ts";
import { createEdgeZone } from "./edge-zone.ts";

const ZONE = "cdn.example";
const entry = (node: string, pool = "near") => ({
  ...{ node, pool, contentUrl: `http://${node}.test:7420`, hostname: `${node}.edge.cdn.example` },
});
const client = { address: "192.0.2.1", sourcePrefixLength: 24 };

function open(changes: Partial<SteeringFacts> = {}) {
  const table = [entry("near-2"), entry("near-1"), entry("far-1", "far"), entry("far-2", "far")];
  const facts = {
    isCutOff: false,
    node: "near-1",
    pool: "near",
    edges: () => table,
    isServedHere: () => true,
    ...changes,
  };
  const world = { facts, isOpen: true };
  const names = createEdgeZone({
    ...{ facts: () => world.facts, own: entry("near-1"), isOpen: () => world.isOpen, revision: () => 4 },
    sites: () => new Map([["shop", { spec: { hostnames: ["shop.example", "www.cdn.example"] } }]]),
    bounds: { ttlSecondsMin: 5, ttlSecondsMax: 120 },
  });
  const lookUp = (name: string) => names.lookUp(name, ZONE, client);
  /** Those that are told together with the best one. */
  const told = (name: string) => {
    const found = lookUp(name);
    if (found.kind !== "edges") return found.kind;
    return found.edges.filter(({ scoreMs }) => scoreMs === 0).map(({ contentUrl }) => contentUrl.slice(7, -10));
  };
  return Object.assign(world, { lookUp, told });
}

t.test("linked, an edge names itself and those of its pool, for a short time and for everybody", async (t) => {
  const world = open({ isServedHere: () => false });
  t.same(world.told("shop.cdn.example"), ["near-1", "near-2"], "the origin is there for what it does not hold");
  t.same(world.told("www.cdn.example"), ["near-1", "near-2"]);
  t.match(world.lookUp("shop.cdn.example"), { ttlSeconds: 5, scopePrefixLength: 0 });
  world.isOpen = false;
  t.same(world.told("shop.cdn.example"), ["near-2", "near-1"], "cordoned, itself last");
});

t.test("cut off, it names itself alone where it has the site, and else the nearest others", async (t) => {
  t.same(open({ isCutOff: true }).told("shop.cdn.example"), ["near-1"]);
  t.same(open({ isCutOff: true, isServedHere: () => false }).told("shop.cdn.example"), ["near-2", "near-1"]);
  const far = () => [entry("far-1", "far"), entry("far-2", "far")];
  t.same(open({ isCutOff: true, isServedHere: () => false, edges: far }).told("shop.cdn.example"), ["far-1", "far-2"]);
  t.same(open({ isCutOff: true, edges: () => [] }).told("shop.cdn.example"), ["near-1"], "without a table");
});

t.test("nodes have their names, and what is no name is absent", async (t) => {
  const { told, lookUp } = open();
  t.same(told("far-1.edge.cdn.example"), ["far-1"]);
  t.same(told("shop.far-2.edge.cdn.example"), ["far-2"]);
  t.match(lookUp("far-1.edge.cdn.example"), { ttlSeconds: 120 });
  t.equal(told("edge.cdn.example"), "empty");
  t.equal(told("x.cdn.example"), "absent");
  t.equal(told("docs.far-1.edge.cdn.example"), "absent");
});
