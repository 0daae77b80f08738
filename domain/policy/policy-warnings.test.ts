import t from "tap";
import { labelOfExpression, POOL_LABEL, REGION_LABEL } from "../placement/labels.ts";
import type { WrittenPlacementPolicy } from "./placement-policy.ts";
import type { NamedPolicy } from "./policy-match.ts";
import { findPolicyWarnings, type JudgedPool } from "./policy-warnings.ts";

const spec: WrittenPlacementPolicy = {
  apps: ["hall"],
  sites: [],
  latencyBudgetMs: {},
  constraints: [],
  preferences: [],
  capacityReserveRatio: 0,
  onNoFit: "queue",
  sessionSecondsMax: 60,
  stickinessMs: 1,
};
const policy = (name: string, changes: Partial<WrittenPlacementPolicy> = {}): NamedPolicy => ({
  name,
  spec: { ...spec, ...changes },
});
const pool = (name: string, region: string, longitude: number, labels = {}): JudgedPool => ({
  pool: name,
  labels: { ...labels, [POOL_LABEL]: name, [REGION_LABEL]: region },
  coordinates: { latitude: 0, longitude },
});
const pools = [pool("a", "eu", 0, { gpu: "l40s" }), pool("b", "eu", 0.5), pool("c", "us", 90)];
const messages = (named: NamedPolicy, others: readonly NamedPolicy[] = [], fleet = pools) =>
  findPolicyWarnings(named, [named, ...others], fleet).map(({ pointer, message }) => `${pointer} ${message}`);

t.test("what no pool of the fleet can meet is said", async (t) => {
  const lacking = policy("p", { constraints: [{ label: "gpu", operator: "In", values: ["h100"] }] });
  t.same(messages(lacking), ["/spec/constraints spec.constraints: no pool of 3 meets them all"]);
  t.same(messages(lacking, [], []), [], "an empty fleet is one that is to come");
  const expression = 'pool.labels["zone"] == "a"';
  const failing = [pool("a", "eu", 0, { [labelOfExpression(expression)]: "failed: no such key" }), pool("b", "eu", 1)];
  t.same(messages(policy("p", { preferences: [{ expression, bonusMs: 5 }] }), [], failing), [
    "/spec/preferences/0/expression spec.preferences[0].expression matches no pool of 2 (it could not be judged of 1)",
  ]);
});

t.test("a spread over more places than there are, and a reserve without neighbours, are said", async (t) => {
  const spread = (over: "pool" | "region", shareMax: number) => messages(policy("p", { spread: { over, shareMax } }));
  t.same(spread("pool", 1 / 3), []);
  t.match(spread("pool", 0.3)[0], /at most 30 % in one pool needs 4 of them, the constraints leave 3/);
  t.match(spread("region", 0.4)[0], /needs 3 of them, the constraints leave 2/);
  const reserve = policy("p", { capacityReserve: { largestNeighbour: true, withinKm: 100 } });
  t.match(messages(reserve), [/no permitted pool is within 100 km of c: nothing is kept free there/]);
});

t.test("two policies that only their names put in order are named where they differ", async (t) => {
  const germany = policy("germany", { match: { countries: ["DE", "FR"] }, onNoFit: "reject" });
  const france = policy("france", { match: { countries: ["FR"] } });
  t.match(messages(germany, [france]), [
    /policies france and germany .* by countries and differ in onNoFit: france applies/,
  ]);
  t.same(
    messages(policy("x", { match: { countries: ["ES"] }, onNoFit: "reject" }), [france]),
    [],
    "no client is in both",
  );
  t.same(messages({ ...germany, spec: { ...germany.spec, priority: 1 } }, [france]), [], "a priority says which");
  t.same(messages({ ...germany, spec: { ...germany.spec, apps: ["other"] } }, [france]), [], "of another app");
  t.same(
    messages(policy("a", { match: { tenants: ["t"] } }), [policy("b", { onNoFit: "reject" })]),
    [],
    "one says more",
  );
  t.same(messages(policy("a"), [policy("b")]), [], "they say the same");
  const ofNetwork = (name: string, cidr: string) =>
    policy(name, { match: { cidrs: [cidr] }, stickinessMs: cidr.length });
  t.same(messages(ofNetwork("a", "10.0.0.0/8"), [ofNetwork("b", "10.0.0.0/16")]), [], "the longer prefix says which");
  t.equal(messages(ofNetwork("a", "10.0.0.0/8"), [policy("b", { match: { cidrs: ["10.0.0.0/8"] } })]).length, 1);
});
