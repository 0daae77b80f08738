import t from "tap";
import { judgeLabels } from "#domain/placement/labels.ts";
import type { WrittenPlacementPolicy } from "#domain/policy/placement-policy.ts";
import { compilePolicy, compilePoolExpressions } from "#platform/cel/policies.ts";
import { Client, failureOf, placedIn, queueing, RTT, start, type World } from "./session-world.test.ts";

/** The pools with what the policies' expressions make of them, as the fleet has them. */
function setPolicies(world: World, policies: Readonly<Record<string, Partial<WrittenPlacementPolicy>>>): void {
  const specs = Object.entries(policies).map(([name, changes]) => ({ name, spec: { ...queueing, ...changes } }));
  world.policies = specs.map(({ name, spec }) => compilePolicy(name, spec));
  const expressions = compilePoolExpressions(specs.map(({ spec }) => spec));
  for (const { facts } of world.pools.values()) {
    const spec = { region: facts.pool === "far" ? "us" : "eu", coordinates: facts.coordinates };
    const pool = { metadata: { name: facts.pool, labels: facts.labels }, spec };
    world.setPool(facts.pool, { ...facts, labels: judgeLabels(pool, expressions) });
  }
}

async function placeOne(world: World, replica: Awaited<ReturnType<World["replica"]>>, tenant?: string) {
  const client = await Client.create(world);
  const created = await client.create(replica.service, tenant === undefined ? {} : { tenant });
  const results = await client.results(created.candidates, RTT);
  const answer = placedIn(await client.place(replica.service, created.session, results));
  return { client, created, answer, why: replica.explain.explain(answer.decision)?.lines.join("\n") ?? "" };
}

t.test(
  "whom a policy is for is who the client is: country, network, tenant, and what an expression says",
  async (t) => {
    const { world, replica } = await start(t);
    const only = (pool: string) => [{ label: "perigee.dev/pool", operator: "In", values: [pool] } as const];
    setPolicies(world, {
      everybody: {},
      germans: { match: { countries: ["DE"] }, constraints: only("middle") },
      carrier: { match: { expression: "client.asn == 64500" }, constraints: only("middle"), priority: -1 },
      acme: { match: { tenants: ["acme"] }, constraints: only("middle") },
      here: { match: { cidrs: ["192.0.2.0/29"] }, constraints: only("near") },
    });
    t.match((await placeOne(world, replica)).why, /policy here[\s\S]*placed: near/);
    world.policies = world.policies.filter(({ name }) => name !== "here");
    t.match((await placeOne(world, replica)).why, /policy everybody[\s\S]*placed: near/);
    t.match((await placeOne(world, replica, "acme")).why, /policy acme[\s\S]*placed: middle/);
    world.who = { country: "DE" };
    t.match((await placeOne(world, replica, "acme")).why, /policy germans[\s\S]*placed: middle/);
    world.who = { asn: 64_500 };
    t.match((await placeOne(world, replica)).why, /policy everybody/, "its priority is lower");
  },
);

t.test("a session that is renewed elsewhere is still its tenant's", async (t) => {
  const { world, replica } = await start(t);
  setPolicies(world, { acme: { match: { tenants: ["acme"] } } });
  const { client, created, answer } = await placeOne(world, replica, "acme");
  const other = await world.replica("s2");
  const { session } = created;
  await client.renew(other.service, { session, placement: answer.placement, reason: "pool-lost" });
  t.match(other.explain.explainSession(session)?.lines.join("\n"), /policy acme/);
});

t.test(
  "a constraint in CEL counts; where it cannot be judged it does not hold, and that is said and counted",
  async (t) => {
    const { world, replica } = await start(t);
    const expression = 'pool.region == "eu" && pool.name != "near"';
    setPolicies(world, { odd: { constraints: [{ expression }] } });
    const placed = await placeOne(world, replica);
    t.equal(placed.answer.pool, "middle");
    t.match(placed.why, /near: .*fails label-constraint: label \(pool\.region == "eu".* In \[true\] does not hold/);
    setPolicies(world, { odd: { constraints: [{ expression: 'pool.labels["gpu"] == "l40s"' }] } });
    const client = await Client.create(world);
    const refused = await failureOf(client.create(replica.service));
    const why = replica.explain.explain(String(refused.detail["decision"]))?.lines.join("\n");
    t.match(why, /note: near: \(pool\.labels\["gpu"\] == "l40s"\) failed: No such key: gpu/);
    t.ok(
      world.counted.some((text) => text.includes("No such key: gpu")),
      "counted",
    );
  },
);

t.test("a preference in CEL moves the choice by its milliseconds", async (t) => {
  const { world, replica } = await start(t);
  const expression = 'pool.name.startsWith("mid")';
  setPolicies(world, { likes: { preferences: [{ expression, bonusMs: 7 }] } });
  const placed = await placeOne(world, replica);
  t.equal(placed.answer.pool, "middle");
  t.match(placed.why, /middle: .*preference -7\.0/);
});
