import fc from "fast-check";
import t from "tap";
import { selectPolicy } from "../placement/policy-selection.ts";
import type { WrittenPlacementPolicy } from "./placement-policy.ts";
import { comparePrecedence, matchPolicies, type NamedPolicy } from "./policy-match.ts";

const spec: WrittenPlacementPolicy = {
  apps: ["hall"],
  sites: ["shop"],
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
const campus = policy("campus", { match: { cidrs: ["192.0.2.0/24", "2001:db8::/32"] } });
const lab = policy("lab", { match: { cidrs: ["192.0.2.128/25"] } });
const carrier = policy("carrier", { match: { asns: [64_500] } });
const germany = policy("germany", { match: { countries: ["DE", "AT"] } });
const acme = policy("acme", { match: { tenants: ["acme"] } });
const strict = policy("strict", { match: { tiers: ["strict"] } });
const all = [policy("any"), strict, acme, germany, carrier, campus, lab];

const names = (subject: Parameters<typeof matchPolicies>[1], policies = all) =>
  matchPolicies(policies, subject).ordered.map(({ policy: { name } }) => name);

t.test("of several that match the one whose match says most goes first", async (t) => {
  const everything = { app: "hall", tenant: "acme", country: "DE", asn: 64_500, address: "192.0.2.200" };
  const inOrder = ["lab", "campus", "carrier", "germany", "acme", "strict", "any"];
  t.same(names({ ...everything, tier: "strict" }), inOrder);
  t.same(names({ ...everything, tier: "strict" }, all.toReversed()), inOrder, "in whatever order they come");
  t.same(names({ app: "hall", address: "192.0.2.7", tier: "relaxed" }), ["campus", "any"]);
  t.same(names({ app: "hall", address: "2001:db8:1::1" }), ["campus", "any"]);
  t.same(names({ app: "hall", country: "FR" }), ["any"]);
  t.same(names({ app: "other" }), []);
  t.same(names({ site: "shop", country: "AT" }), ["germany", "any"], "content has no tier and no tenant");
});

t.test("a priority goes before all, then come the tier's budget and the name", async (t) => {
  const urgent = policy("urgent", { priority: 1 });
  const last = policy("aaa", { priority: -1, match: { cidrs: ["0.0.0.0/0"] } });
  t.same(names({ app: "hall", country: "DE", address: "192.0.2.7" }, [last, germany, urgent]), [
    "urgent",
    "germany",
    "aaa",
  ]);
  const budgeted = policy("z", { latencyBudgetMs: { strict: 20 } });
  t.same(names({ app: "hall", tier: "strict" }, [policy("a"), budgeted]), ["z", "a"]);
  t.same(names({ app: "hall", tier: "relaxed" }, [policy("b"), budgeted, policy("a")]), ["a", "b", "z"]);
});

t.test("why one goes before the other is said", async (t) => {
  const because = (a: NamedPolicy, b: NamedPolicy, prefixes = [0, 0]) =>
    comparePrecedence(
      { policy: a, prefixLength: prefixes[0] ?? 0 },
      { policy: b, prefixLength: prefixes[1] ?? 0 },
      "strict",
    ).because;
  t.equal(because(germany, policy("p", { priority: 7 })), "priority 7");
  t.equal(because(germany, carrier), "it matches by asns");
  t.equal(because(campus, lab, [24, 25]), "its network is the longer prefix");
  t.equal(because(policy("a"), policy("b", { latencyBudgetMs: { strict: 10 } })), "it sets the budget of strict");
  t.equal(because(policy("a"), policy("b")), "it is first by name");
});

t.test("a policy whose expression fails matches nobody, and the decision's record says why", async (t) => {
  const match = { expression: "…" };
  const failing: NamedPolicy = {
    ...policy("odd", { match, onNoFit: "reject" }),
    expression: () => ({ kind: "failed", reason: "no such key" }),
  };
  const applied = selectPolicy([failing, policy("any")], "hall", "strict");
  t.match(applied, { name: "any", notes: ["policy odd: match.expression failed: no such key"] });
  const holding: NamedPolicy = {
    ...failing,
    expression: ({ country }) => ({ kind: country === "DE" ? "holds" : "does-not-hold" }),
  };
  t.equal(selectPolicy([holding, policy("any")], "hall", "strict", { country: "DE" }).name, "odd");
  t.equal(selectPolicy([holding, policy("any")], "hall", "strict", { country: "FR" }).name, "any");
  t.equal(selectPolicy([policy("odd", { match })], "hall", "strict").name, undefined, "nothing judges it here");
});

t.test("precedence is an order: of three policies none goes before itself by way of the others", async (t) => {
  const drawn = fc.record({
    name: fc.constantFrom("a", "b", "c", "d"),
    priority: fc.integer({ min: -1, max: 1 }),
    prefixLength: fc.constantFrom(0, 24, 25),
    match: fc.constantFrom(undefined, { tiers: ["strict"] as const }, { countries: ["DE"] }, { cidrs: ["::/0"] }),
    strict: fc.constantFrom(undefined, 20),
  });
  const holds = fc.property(drawn, drawn, drawn, (...three) => {
    const [a, b, c] = three.map(({ name, priority, prefixLength, match, strict: ms }) => ({
      policy: policy(name, {
        priority,
        ...(match === undefined ? {} : { match }),
        latencyBudgetMs: ms === undefined ? {} : { strict: ms },
      }),
      prefixLength,
    }));
    if (a === undefined || b === undefined || c === undefined) return false;
    const before = (x: typeof a, y: typeof a) => comparePrecedence(x, y, "strict").order;
    if (Math.sign(before(a, b)) !== -Math.sign(before(b, a))) return false;
    return !(before(a, b) < 0 && before(b, c) < 0) || before(a, c) < 0;
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 500 }));
});
