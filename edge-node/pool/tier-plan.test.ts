import fc from "fast-check";
import t from "tap";
import type { AnyResource } from "#domain/resource.ts";
import { parentOf, type TierView, tierViewOf } from "./membership.ts";
import { type AskedBy, planTiers } from "./tier-plan.ts";

const metadata = (name: string) => ({ name, labels: {}, generation: 1, resourceVersion: 1, createdAtMs: 0 });
const poolOf = (name: string, more: { parent?: string; relay?: boolean } = {}): AnyResource => ({
  ...{ apiVersion: "perigee.dev/v1", kind: "NodePool", metadata: metadata(name) },
  spec: { region: "r", coordinates: { latitude: 0, longitude: 0 }, autonomyDurationSeconds: 1, relay: true, ...more },
});
const nodeOf = (name: string, pool: string, more: object = {}): AnyResource => ({
  ...{ apiVersion: "perigee.dev/v1", kind: "Node", metadata: metadata(name) },
  spec: { role: "edge", pool, cordoned: false, draining: false, peerAddress: `${name}.test:7423`, ...more },
});
const setOf = (...list: AnyResource[]) => new Map(list.map((one) => [`${one.kind}/${one.metadata.name}`, one]));
const near1 = { name: "near-1", pool: "near" };
const never = () => false;
const namesOf = (peers: readonly { name: string }[]) => peers.map(({ name }) => name);

t.test("siblings and parents are the edges that listen to others, are not draining and not revoked", async (t) => {
  const set = setOf(
    poolOf("near", { parent: "core" }),
    poolOf("core"),
    poolOf("below", { parent: "near" }),
    nodeOf("near-1", "near"),
    nodeOf("near-2", "near"),
    nodeOf("near-3", "near", { draining: true }),
    nodeOf("near-4", "near", { peerAddress: undefined }),
    nodeOf("near-5", "near"),
    nodeOf("gpu-1", "near", { role: "agent" }),
    nodeOf("core-1", "core"),
  );
  const isRevoked = (subject: { kind: string; name?: string }) => subject.name === "near-5";
  const view = tierViewOf(set, near1, isRevoked);
  t.same(view.siblings, [{ name: "near-2", pool: "near", address: "near-2.test:7423" }]);
  t.same(namesOf(view.parents), ["core-1"]);
  t.same([...view.childPools], ["below"]);
  t.ok(view.isMember);
  t.notOk(tierViewOf(set, { name: "near-4", pool: "near" }, never).isMember);
  const apart = setOf(...set.values(), poolOf("near", { relay: false }));
  t.same(tierViewOf(apart, near1, never).siblings, [], "a pool without relay asks no siblings");
});

t.test("pools that are each other's parents in a circle have none", async (t) => {
  const pools = new Map(Object.entries({ a: { parent: "b" }, b: { parent: "c" }, c: { parent: "b" }, d: {} }));
  t.equal(parentOf("b", pools), undefined);
  t.equal(parentOf("c", pools), undefined);
  t.equal(parentOf("a", pools), "b");
  t.equal(parentOf("d", pools), undefined);
  t.equal(parentOf("s", new Map([["s", { parent: "s" }]])), undefined);
});

const peers = (pool: string, count: number) =>
  Array.from({ length: count }, (_, index) => ({ name: `${pool}-${index}`, pool, address: "a.test:1" }));
const viewOf = (all: TierView["siblings"], self: string, more: Partial<TierView> = {}): TierView => ({
  ...{ self, isMember: true, siblings: all.filter(({ name }) => name !== self), parents: [], childPools: new Set() },
  ...more,
});
const idle = () => 0;
const facts = (view: TierView, askedBy: AskedBy = "user-agent") => ({ view, askedBy, loadOf: idle });

t.test("every key has one home in the pool, which asks no sibling, and all others ask it first", async (t) => {
  const all = peers("near", 5);
  for (let index = 0; index < 200; index += 1) {
    const key = `shop /${index}`;
    const plans = all.map(({ name }) => planTiers(key, facts(viewOf(all, name))).map(({ peer }) => peer.name));
    const homes = all.filter((_, at) => plans[at]?.length === 0);
    t.equal(homes.length, 1, key);
    const first = new Set(plans.flatMap(([name]) => name ?? []));
    t.same([...first], namesOf(homes), key);
  }
});

t.test("no two nodes can wait for each other, whatever each of them knows of the pool and its loads", async (t) => {
  const knowledge = fc.record({ known: fc.nat(255), loads: fc.array(fc.nat(200), { minLength: 8, maxLength: 8 }) });
  fc.assert(
    fc.property(fc.array(knowledge, { minLength: 8, maxLength: 8 }), fc.string(), (knows, key) => {
      const all = peers("near", 8);
      const asks = all.map(({ name }, at) => {
        const { known = 0, loads = [] } = knows[at] ?? {};
        const view = viewOf(
          all.filter((peer, index) => peer.name === name || (known >> index) % 2 === 1),
          name,
        );
        const loadOf = (of: string) => loads[all.findIndex((peer) => peer.name === of)] ?? 0;
        return planTiers(key, { view, askedBy: "user-agent", loadOf }).map(({ peer }) => peer.name);
      });
      // A node that only asks nodes that are done already: peeled off until none is left, or a circle is.
      const left = new Map(all.map(({ name }, at) => [name, asks[at] ?? []]));
      for (let before = -1; before !== left.size; ) {
        before = left.size;
        for (const [name, asked] of [...left]) if (asked.every((of) => !left.has(of))) left.delete(name);
      }
      return left.size === 0;
    }),
  );
  t.pass("every generated case held");
});

t.test("parents come after siblings, and are all that a request of another edge goes on to", async (t) => {
  const view = viewOf(peers("near", 3), "near-9", { isMember: false, parents: peers("core", 2) });
  const tiers = (askedBy: AskedBy) => planTiers("shop /", facts(view, askedBy)).map(({ tier }) => tier);
  t.same(tiers("user-agent"), ["sibling", "sibling", "sibling", "parent", "parent"]);
  t.same(tiers("sibling"), ["parent", "parent"]);
  t.same(tiers("child"), ["parent", "parent"]);
});

t.test("a home that is at its bound is passed by", async (t) => {
  const view = viewOf(peers("near", 3), "near-9", { isMember: false });
  const [home, next] = planTiers("shop /hot", facts(view)).map(({ peer }) => peer.name);
  const loadOf = (name: string) => (name === home ? 200 : 0);
  t.equal(planTiers("shop /hot", { view, askedBy: "user-agent", loadOf })[0]?.peer.name, next);
});
