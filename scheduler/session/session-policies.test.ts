import t from "tap";
import { judgeLabels } from "#domain/placement/labels.ts";
import type { WrittenPlacementPolicy } from "#domain/policy/placement-policy.ts";
import { compilePolicy, compilePoolExpressions } from "#platform/cel/policies.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { Client, failureOf, placedIn, queueing, RTT, Running, start, type World } from "./session-world.test.ts";

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

t.test("what cannot be judged counts once in a placement and once in a renewal", async (t) => {
  const { world, replica } = await start(t);
  setPolicies(world, { odd: { preferences: [{ expression: 'pool.labels["gpu"] == "l40s"', bonusMs: 7 }] } });
  const countOf = () =>
    world.counted.filter((text) => text.startsWith("near: ") && text.includes("No such key")).length;
  const running = await Running.begin(world, replica, RTT);
  t.equal(countOf(), 1);
  await running.renew({});
  t.equal(countOf(), 2);
});

t.test("a preference in CEL moves the choice by its milliseconds", async (t) => {
  const { world, replica } = await start(t);
  const expression = 'pool.name.startsWith("mid")';
  setPolicies(world, { likes: { preferences: [{ expression, bonusMs: 7 }] } });
  const placed = await placeOne(world, replica);
  t.equal(placed.answer.pool, "middle");
  t.match(placed.why, /middle: .*preference -7\.0/);
});

t.test("spread: beyond its share a pool takes nothing, or only at a price", async (t) => {
  const { world, replica } = await start(t);
  setPolicies(world, { even: { spread: { over: "pool", shareMax: 0.5 } } });
  const run = (pool: string, count: number) => {
    const facts = world.pools.get(pool)?.facts;
    if (facts !== undefined) world.setPool(pool, { ...facts, countSessions: () => count });
  };
  run("near", 3);
  run("middle", 1);
  const hard = await placeOne(world, replica);
  t.equal(hard.answer.pool, "middle");
  t.match(hard.why, /near: .*fails no-free-slot[\s\S]*note: near: pool near has 3 of 4 sessions of hall, at most 50 %/);
  setPolicies(world, { even: { spread: { over: "pool", shareMax: 0.5, penaltyMs: 3 } } });
  t.equal((await placeOne(world, replica)).answer.pool, "near", "3 ms are less than the 6 that middle is farther");
  setPolicies(world, { even: { spread: { over: "pool", shareMax: 0.5, penaltyMs: 9 } } });
  const soft = await placeOne(world, replica);
  t.equal(soft.answer.pool, "middle");
  t.match(soft.why, /near: .*preference 9\.0/);
});

t.test(
  "the reserve for the largest neighbour is left by new sessions, and taken by those that lost their pool",
  async (t) => {
    const { world, replica } = await start(t);
    // Three pools of four slots at one place: eight sessions, and one of the pools may fail.
    setPolicies(world, { safe: { capacityReserve: { largestNeighbour: true, withinKm: 50 } } });
    const placed = [];
    for (let count = 0; count < 8; count += 1) {
      const client = await Client.create(world);
      const created = await client.create(replica.service);
      const results = await client.results(created.candidates, { near: 4, middle: 5, far: 6 });
      placed.push({ client, created, answer: placedIn(await client.place(replica.service, created.session, results)) });
    }
    const ninth = await Client.create(world);
    const created = await ninth.create(replica.service);
    const results = await ninth.results(created.candidates, { near: 4, middle: 5, far: 6 });
    const queued = await ninth.place(replica.service, created.session, results);
    t.equal(queued.state, "queued");
    const why = replica.explain.explain(queued.decision)?.lines.join("\n");
    t.match(why, /of it and its 2 neighbours 4 slots are free, and as many as the largest has, 4, are kept/);
    const [first] = placed;
    if (first === undefined) throw new Error("placed");
    const { session } = first.created;
    const renewed = await first.client.renew(
      replica.service,
      { session, placement: first.answer.placement, reason: "pool-lost" },
      await first.client.results(first.created.candidates, { middle: 5, far: 6 }),
    );
    t.equal(renewed?.state, "placed");
  },
);

/** What is free is told late: who would decide at the same moment does. */
function answerLate(ledger: Ledger): void {
  const ask = ledger.capacities.bind(ledger);
  ledger.capacities = async (queries) => {
    const answer = await ask(queries);
    await new Promise(setImmediate);
    return answer;
  };
}

t.test("a crowd that comes at one moment takes nothing of the reserve", async (t) => {
  const { world, replica } = await start(t);
  setPolicies(world, { safe: { capacityReserve: { largestNeighbour: true, withinKm: 50 } } });
  // Of 20 slots the largest pool has 12: 8 may be taken, and all could be in that pool.
  Object.assign(world.pools.get("near")?.slots ?? {}, { total: 12, free: 12 });
  await world.report(replica);
  const begun = [];
  for (let count = 0; count < 12; count += 1) {
    const client = await Client.create(world);
    const created = await client.create(replica.service);
    begun.push({ client, created, results: await client.results(created.candidates, { near: 4, middle: 5, far: 6 }) });
  }
  answerLate(replica.ledger);
  const answers = await Promise.allSettled(
    begun.map(({ client, created, results }) => client.place(replica.service, created.session, results)),
  );
  const states = answers.map((answer) => (answer.status === "fulfilled" ? answer.value.state : "overloaded"));
  t.equal(states.filter((state) => state === "placed").length, 8, states.join());
  t.equal(await replica.ledger.countSessions("hall"), 8, "what was given back is free");
});

t.test("a session moves to what is better when it is so for long enough, and so many a minute", async (t) => {
  const { world, replica } = await start(t);
  const stability = { sustainedSeconds: 20, movesPerMinuteMax: 1, gainRatio: 0.25 };
  setPolicies(world, { calm: { stability } });
  const settle = async () => {
    const client = await Client.create(world);
    const created = await client.create(replica.service);
    const results = await client.results(created.candidates, { middle: 10 });
    return { client, created, answer: placedIn(await client.place(replica.service, created.session, results)) };
  };
  const promote = async ({ client, created, answer }: Awaited<ReturnType<typeof settle>>, nearMs: number) => {
    const { session, candidates } = await client.create(replica.service);
    const results = await client.results(candidates, { near: nearMs, middle: 10 });
    await client.end(replica.service, session);
    const renewal = { session: created.session, placement: answer.placement, reason: "promotion" as const };
    return client.renew(replica.service, renewal, results);
  };
  const why = (session: string) => replica.explain.explainSession(session)?.lines.join("\n") ?? "";
  const [one, two] = [await settle(), await settle()];
  t.equal(await promote(one, 9), undefined);
  t.match(why(one.created.session), /kept where it is: middle, ahead by/, "1 ms is no quarter of 10");
  t.equal(await promote(one, 4), undefined);
  t.equal(await promote(two, 4), undefined);
  t.match(why(one.created.session), /kept where it is: middle; near is better, better for 0 s of 20 s/);
  await world.clock.advance(10_000);
  await world.report(replica);
  for (const each of [one, two]) t.equal(await promote(each, 4), undefined);
  await world.clock.advance(11_000);
  await world.report(replica);
  t.equal(placedIn(await promote(one, 4)).pool, "near");
  t.equal(await promote(two, 4), undefined);
  t.match(why(two.created.session), /near is better, 1 moves a minute are made already/);
  await world.clock.advance(60_000);
  await world.report(replica);
  t.equal(placedIn(await promote(two, 4)).pool, "near");
});
