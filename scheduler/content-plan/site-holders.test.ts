import fc from "fast-check";
import t from "tap";
import { rankByHash } from "../steering/rendezvous.ts";
import { CLIENTS_MIN, type KnownDemand, type LimitedSite, type PlannedPool, planSiteHolders } from "./site-holders.ts";

/** On the equator, so many degrees of longitude apart. */
const poolsOf = (names: string, roomBytes = Number.POSITIVE_INFINITY): PlannedPool[] =>
  [...names].map((pool, at) => ({ pool, coordinates: { latitude: 0, longitude: 20 * at }, roomBytes }));

function siteOf(site: string, permitted: string, changes: Partial<LimitedSite> = {}): LimitedSite {
  return { site, sizeBytes: 1, permitted: [...permitted], copies: 2, held: new Set<string>(), ...changes };
}

type Clients = Readonly<Record<string, Readonly<Record<string, number>>>>;

function demandOf(clients: Clients, rttMs: KnownDemand["rttMs"] = () => undefined): KnownDemand {
  return { clientsOf: (site) => new Map(Object.entries(clients[site] ?? {})), rttMs };
}

const held = (names: string) => new Set(names);
function finish(...plan: Parameters<typeof planSiteHolders>): ReadonlyMap<string, ReadonlySet<string>> {
  const steps = planSiteHolders(...plan);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

const plan = (pools: PlannedPool[], sites: LimitedSite[], demand: KnownDemand) =>
  Object.fromEntries([...finish(pools, sites, demand)].map(([site, of]) => [site, [...of].sort().join("")]));

t.test("a site goes to the pools whose clients ask most", async (t) => {
  const demand = demandOf({ shop: { b: 500, d: 400, a: 30 }, wiki: { a: 300, c: 200, b: 20 } });
  const sites = [siteOf("shop", "abcd"), siteOf("wiki", "abcd")];
  t.same(plan(poolsOf("abcd"), sites, demand), { shop: "bd", wiki: "ac" });
  t.same(plan(poolsOf("abcd"), [siteOf("shop", "acd")], demand), { shop: "ad" }, "b may not; a is near to b's clients");
});

t.test("copies move with the demand, but not for little", async (t) => {
  const before = siteOf("shop", "abcd", { held: held("bd") });
  t.same(plan(poolsOf("abcd"), [before], demandOf({ shop: { a: 105, b: 100, d: 100 } })), { shop: "bd" });
  t.same(plan(poolsOf("abcd"), [before], demandOf({ shop: { a: 900, b: 10, c: 500 } })), { shop: "ac" });
});

t.test("measured round trips beat distance", async (t) => {
  const demand = (rttMs: KnownDemand["rttMs"]) => demandOf({ shop: { a: 100, d: 100 } }, rttMs);
  const one = [siteOf("shop", "bc", { copies: 1 })];
  const nearTo = (near: string) => demand((_, pool) => (pool === near ? 5 : 200));
  t.same(plan(poolsOf("abcd"), one, nearTo("b")), { shop: "b" });
  t.same(plan(poolsOf("abcd"), one, nearTo("c")), { shop: "c" });
});

t.test("a site that few ask for stays where it is, and one that is nowhere goes by hash", async (t) => {
  const few = demandOf({ shop: { b: CLIENTS_MIN - 1 } });
  t.same(plan(poolsOf("abcd"), [siteOf("shop", "abcd", { held: held("ac") })], few), { shop: "ac" });
  const hashed = rankByHash("shop", [..."abcd"])
    .slice(0, 2)
    .sort()
    .join("");
  t.same(plan(poolsOf("abcd"), [siteOf("shop", "abcd")], few), { shop: hashed });
  const [third = ""] = rankByHash("shop", [..."bd"]);
  const three = siteOf("shop", "abcd", { held: held("ac"), copies: 3 });
  t.same(plan(poolsOf("abcd"), [three], few), { shop: [..."ac", third].sort().join("") });
});

t.test("where a pool has no room for all, what is asked for most there stays", async (t) => {
  const pools = poolsOf("ab").map((pool) => (pool.pool === "a" ? { ...pool, roomBytes: 100 } : pool));
  const sites = ["one", "two", "three"].map((site) => siteOf(site, "ab", { sizeBytes: 50, held: held("ab") }));
  const demand = demandOf({ one: { a: 30 }, two: { a: 90 }, three: { a: 60 } });
  t.same(plan(pools, sites, demand), { one: "b", two: "ab", three: "ab" });
});

t.test(
  "no pool is given more than it has room for, no site more pools than it may have, nor one it may not",
  async (t) => {
    const names = "abcde";
    const site = fc.record({
      sizeBytes: fc.integer({ min: 1, max: 50 }),
      permitted: fc.subarray([...names]),
      copies: fc.integer({ min: 0, max: 5 }),
      held: fc.subarray([...names]).map((pools) => new Set(pools)),
      clients: fc.dictionary(fc.constantFrom(...names, "gone"), fc.nat(100)),
    });
    const rooms = fc.array(fc.nat(120), { minLength: 5, maxLength: 5 });
    const holds = fc.property(fc.array(site, { maxLength: 8 }), rooms, (drawn, rooms) => {
      const pools = poolsOf(names).map((pool, at) => ({ ...pool, roomBytes: rooms[at] ?? 0 }));
      const sites = drawn.map((parts, at) => ({ ...parts, site: `site-${at}` }));
      const demand = demandOf(Object.fromEntries(drawn.map(({ clients }, at) => [`site-${at}`, clients])));
      const holders = finish(pools, sites, demand);
      const isFair = sites.every(({ site, permitted, copies }) => {
        const of = [...(holders.get(site) ?? [])];
        return of.length <= copies && of.every((pool) => permitted.includes(pool));
      });
      return (
        isFair &&
        pools.every(({ pool, roomBytes }) => {
          const used = sites.reduce(
            (sum, { site, sizeBytes }) => sum + (holders.get(site)?.has(pool) ? sizeBytes : 0),
            0,
          );
          return used <= roomBytes;
        })
      );
    });
    t.doesNotThrow(() => fc.assert(holds, { numRuns: 300 }));
  },
);
