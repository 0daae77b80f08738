/** docs/operating/policies.md: each of its policies is well formed, contradicts nothing, and does what the page says. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { parseResourceInput, type ResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { judgeLabels } from "#domain/placement/labels.ts";
import { contentRulesOf, findResidencyBreach, mayPrefetch } from "#domain/policy/content-rules.ts";
import { findContentWarnings } from "#domain/policy/content-warnings.ts";
import type { Tier } from "#domain/policy/placement-policy.ts";
import { findPolicyWarnings } from "#domain/policy/policy-warnings.ts";
import type { AnyResource } from "#domain/resource.ts";
import { expressionFaults } from "#platform/cel/expressions.ts";
import { compilePolicy, compilePoolExpressions } from "#platform/cel/policies.ts";
import { parseSourceDocuments } from "#platform/yaml/documents.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { planAssignments } from "../content-plan/assignments.ts";
import { ContentDemand } from "../content-plan/content-demand.ts";
import { SitePlan } from "../content-plan/site-plan.ts";
import { viewOf } from "../facts/desired-view.ts";
import { Client, failureOf, placedIn, World } from "./session-world.test.ts";

const FILE = "docs/operating/policies.md";
const POLICIES = 11;
const page = readFileSync(join(import.meta.dirname, "..", "..", FILE), "utf8");
const blocks = [...page.matchAll(/^```yaml\n(?<text>[\s\S]*?)^```$/gm)].map((match) => match.groups?.["text"] ?? "");
const inputs = blocks.flatMap((text) => parseSourceDocuments(text, FILE)).map(({ value }) => inputOf(value));
const pools = inputs.flatMap((input) => (input.kind === "NodePool" ? [input] : []));
const RTTS = { zurich: 3, "frankfurt-a": 5, "frankfurt-b": 8, campus: 9, paris: 12 };

function inputOf(value: unknown): ResourceInput {
  const parsed = parseResourceInput(value);
  if (parsed.kind === "valid") return parsed.input;
  throw new Error(parsed.faults.map(({ message }) => message).join("; "));
}

function policyNamed(name: string) {
  const input = inputs.find(({ metadata }) => metadata.name === name);
  if (input?.kind !== "PlacementPolicy") throw new Error(`${FILE} has no PlacementPolicy ${name}`);
  return compilePolicy(name, input.spec);
}

/** The page's fleet under one of its policies. */
async function open(name: string, sessionsByPool: Readonly<Record<string, number>> = {}) {
  const world = await World.create();
  world.pools.clear();
  world.policies = [policyNamed(name)];
  const expressions = compilePoolExpressions(world.policies.map(({ spec }) => spec));
  for (const pool of pools) {
    const { name } = pool.metadata;
    await world.addPool(name);
    const countSessions = () => sessionsByPool[name] ?? 0;
    world.setPool(name, { labels: judgeLabels(pool, expressions), coordinates: pool.spec.coordinates, countSessions });
  }
  const replica = await world.replica();
  const begin = async ({ tier = "strict", tenant }: { tier?: Tier; tenant?: string } = {}, rtts: object = RTTS) => {
    const client = await Client.create(world);
    const created = await client.create(replica.service, tenant === undefined ? {} : { tenant }, { tier });
    const results = await client.results(created.candidates, { ...RTTS, ...rtts });
    const { session } = created;
    return { client, session, answer: client.place(replica.service, session, results) };
  };
  const poolOf = async (...wish: Parameters<typeof begin>) => placedIn(await (await begin(...wish)).answer).pool;
  return { world, replica, begin, poolOf };
}

t.test("the page has its policies, all well formed, and nothing of them is suspicious over its fleet", async (t) => {
  const placement = inputs.flatMap((input) => (input.kind === "PlacementPolicy" ? [input] : []));
  const content = inputs.flatMap((input) => (input.kind === "ContentPolicy" ? [input] : []));
  t.equal(placement.length + content.length, POLICIES);
  t.equal([...page.matchAll(/^### \d+\. /gm)].length, POLICIES);
  const expressions = compilePoolExpressions(placement.map(({ spec }) => spec));
  const judged = pools.map((pool) => ({
    ...{ pool: pool.metadata.name, labels: judgeLabels(pool, expressions), coordinates: pool.spec.coordinates },
  }));
  for (const { metadata, spec } of placement) {
    t.same(expressionFaults(spec), [], metadata.name);
    const policy = compilePolicy(metadata.name, spec);
    t.same(findPolicyWarnings(policy, [policy], judged), [], metadata.name);
  }
  const named = content.map(({ metadata, spec }) => ({ name: metadata.name, spec }));
  for (const policy of named)
    t.same(findContentWarnings(policy, named, { pools: judged, withEdges: new Set() }), [], policy.name);
});

t.test("1. residents of the Union stay in it", async (t) => {
  const { world, poolOf, replica, begin } = await open("gdpr");
  t.equal(await poolOf(), "zurich");
  world.who = { country: "DE" };
  const { answer } = await begin();
  const placed = placedIn(await answer);
  t.equal(placed.pool, "frankfurt-a");
  const why = replica.explain.explain(placed.decision)?.lines.join("\n");
  t.match(why, /policy gdpr[\s\S]*zurich: .*fails label-constraint: label jurisdiction In \[eu\] does not hold/);
});

t.test("2. a tenant's sessions are on its own pools, and wait for them", async (t) => {
  const { begin, poolOf } = await open("acme");
  t.equal(await poolOf(), "zurich");
  for (const count of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const pool = await poolOf({ tenant: "acme" });
    t.ok(pool === "frankfurt-b" || pool === "paris", `${count}: ${pool}`);
    if (count === 1) t.equal(pool, "frankfurt-b");
  }
  const { answer } = await begin({ tenant: "acme" });
  t.equal((await answer).state, "queued");
});

t.test("3. better GPUs are worth four milliseconds and no more", async (t) => {
  const { poolOf } = await open("better-gpus");
  const far = { zurich: 40, campus: 40, paris: 40 };
  t.equal(await poolOf({}, { ...far, "frankfurt-b": 5, "frankfurt-a": 8 }), "frankfurt-a");
  t.equal(await poolOf({}, { ...far, "frankfurt-b": 3, "frankfurt-a": 9 }), "frankfurt-b");
});

t.test("4. the strict tier is near or refused with the best that can be had", async (t) => {
  const { begin, poolOf } = await open("strict-is-strict");
  const far = Object.fromEntries(Object.keys(RTTS).map((pool) => [pool, 12]));
  t.equal(await poolOf(), "zurich");
  const { answer } = await begin({}, far);
  t.match(await failureOf(answer), { code: "no-pool-fits", detail: { bestAchievableMs: 28 } });
  t.type(await poolOf({ tier: "standard" }, far), "string");
});

t.test("5. of a metro that keeps what its largest pool has, any one pool may fail", async (t) => {
  const { begin, replica } = await open("survives-a-pool");
  const placed = [];
  for (let count = 0; count < 8; count += 1) placed.push(await begin());
  const pools: string[] = [];
  for (const { answer } of placed) pools.push(placedIn(await answer).pool);
  t.ok(
    pools.every((pool) => ["frankfurt-a", "frankfurt-b", "campus"].includes(pool)),
    pools.join(),
  );
  const { answer } = await begin();
  t.equal((await answer).state, "queued");
  const [first] = placed;
  if (first === undefined) throw new Error("placed");
  const { placement } = placedIn(await first.answer);
  const { session, client } = first;
  const moved = await client.renew(replica.service, { session, placement, reason: "pool-lost" });
  const others = ["frankfurt-a", "frankfurt-b", "campus"].filter((pool) => pool !== pools[0]);
  t.ok(others.includes(placedIn(moved).pool), "what was kept is for it");
});

t.test("6. beyond its share of the sessions a region takes no more", async (t) => {
  const crowded = await open("spread-out", { "frankfurt-a": 2, campus: 1, paris: 1 });
  t.equal(await crowded.poolOf(), "paris");
  const even = await open("spread-out", { "frankfurt-a": 2, paris: 2 });
  t.equal(await even.poolOf(), "frankfurt-a");
});

t.test("7. a campus network is served by its own pool", async (t) => {
  const { world, poolOf } = await open("campus-network");
  t.equal(await poolOf(), "campus");
  world.who = { address: "203.0.113.9" };
  t.equal(await poolOf(), "zurich");
});

t.test("8. the relaxed tier goes where it is cheap", async (t) => {
  const { poolOf } = await open("relaxed-is-cheap");
  t.equal(await poolOf({ tier: "relaxed" }), "frankfurt-b");
  t.equal(await poolOf(), "zurich");
});

/** The page's fleet and policies, and a published site. */
function viewWith(name: string) {
  const spec = { hostnames: [`${name}.test`], publish: {} };
  const site = inputOf({ apiVersion: "perigee.dev/v1", kind: "Site", metadata: { name }, spec });
  const stored = [...inputs, site].map((input): AnyResource => {
    const metadata = { ...input.metadata, generation: 1, resourceVersion: 1, createdAtMs: 1 };
    return { ...input, metadata };
  });
  return viewOf(new Map(stored.map((resource) => [`${resource.kind}/${resource.metadata.name}`, resource])));
}

t.test("9. content is held twice, and in the Union only", async (t) => {
  const view = viewWith("shop");
  const holders = planAssignments(view).filter(({ sites }) => sites.includes("shop"));
  t.equal(holders.length, 2);
  t.notOk(holders.some(({ pool }) => pool === "zurich"));
  const { residency } = contentRulesOf(view.contentPolicies, "shop");
  const breaches = [...view.poolLabels].filter(([, labels]) => findResidencyBreach(labels, residency) !== undefined);
  t.same(
    breaches.map(([pool]) => pool),
    ["zurich"],
    "nobody is sent there for it",
  );
});

t.test("11. films come at night", async (t) => {
  const view = viewWith("films");
  const clock = new VirtualClock(Date.parse("2026-11-27T12:00+01:00"), 1);
  const fleet = { view, listPools: () => [], findPool: () => undefined };
  const plan = new SitePlan({ clock, fleet, demand: new ContentDemand(clock) });
  const holders = () => planAssignments(view, plan.turn()).filter(({ sites }) => sites.includes("films"));
  t.equal(holders().length, 0, "a Friday at noon");
  await clock.advance(Date.parse("2026-11-28T01:00+01:00") - clock.nowMs());
  t.equal(holders().length, 2);
  t.notOk(holders().some(({ pool }) => pool === "zurich"));
  const rules = contentRulesOf(view.contentPolicies, "films");
  const isOpen = (time: string) => mayPrefetch(rules, Date.parse(time));
  t.ok(isOpen("2026-11-29T08:59+01:00"), "a Sunday");
  t.notOk(isOpen("2026-11-28T08:59+01:00"), "a Saturday");
  t.same(
    ["22:59", "23:00"].map((time) => isOpen(`2026-07-01T${time}Z`)),
    [false, true],
  );
  t.same(
    ["23:59", "00:00"].map((time) => isOpen(`2026-12-01T${time}Z`)),
    [false, true],
  );
});

t.test("10. an expression says what no label does", async (t) => {
  const { world, poolOf } = await open("fibre");
  t.equal(await poolOf(), "zurich");
  world.who = { asn: 64_501 };
  t.equal(await poolOf(), "frankfurt-b");
});
