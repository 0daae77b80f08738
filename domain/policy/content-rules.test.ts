import t from "tap";
import { explainContent } from "./content-explained.ts";
import type { ContentPolicySpec, NamedContentPolicy } from "./content-policy.ts";
import { contentRulesOf, mayPrefetch } from "./content-rules.ts";
import { findContentWarnings } from "./content-warnings.ts";
import type { JudgedPool } from "./policy-warnings.ts";

const policy = (name: string, changes: Partial<ContentPolicySpec> = {}): NamedContentPolicy => ({
  name,
  spec: { sites: ["shop"], prefetch: "all", ...changes },
});
const windows = (from: string, to: string, timeZone = "UTC") => ({ windows: [{ from, to, timeZone }] });
const pool = (name: string, zone: string): JudgedPool => ({
  ...{ pool: name, labels: { zone }, coordinates: { latitude: 0, longitude: 0 } },
});
const POOLS = [pool("a", "eu"), pool("b", "eu"), pool("c", "us")];
const NIGHT_MS = Date.UTC(2026, 10, 27, 2, 30);

const rulesOf = (...policies: NamedContentPolicy[]) =>
  contentRulesOf(
    policies.map(({ spec }) => spec),
    "shop",
  );

t.test("of several policies the strictest word counts, field by field", async (t) => {
  const many = policy("many", { replicas: 3, offline: { maxStaleSeconds: 60, denyAfterSeconds: 900 } });
  const few = policy("few", { replicas: 2, residency: { zone: "eu" }, offline: { denyAfterSeconds: 600 } });
  const other = policy("other", { sites: ["wiki"], replicas: 1, prefetch: "none" });
  t.match(rulesOf(many, few, other), {
    ...{ isNever: false, replicas: 2, residency: [{ zone: "eu" }] },
    offline: { maxStaleSeconds: 60, denyAfterSeconds: 600 },
  });
  t.ok(mayPrefetch(rulesOf(), NIGHT_MS));
  t.same(rulesOf().offline, {});
  const late = policy("late", { prefetch: windows("01:00", "03:00") });
  const early = policy("early", { prefetch: windows("02:00", "05:00") });
  t.ok(mayPrefetch(rulesOf(many, late, early), NIGHT_MS));
  t.notOk(mayPrefetch(rulesOf(late, early), NIGHT_MS + 3_600_000), "only one of them is open");
  t.notOk(mayPrefetch(rulesOf(late, policy("none", { prefetch: "none" })), NIGHT_MS));
});

t.test("what a site's policies come to is shown with who says it, and when copies begin", async (t) => {
  const policies = [
    policy("night", { replicas: 2, prefetch: windows("01:00", "05:00") }),
    policy("eu", { replicas: 2, residency: { zone: "eu" }, offline: { maxStaleSeconds: 5 } }),
    policy("wide", { replicas: 9 }),
    policy("other", { sites: ["wiki"] }),
  ];
  const shown = explainContent(policies, "shop", NIGHT_MS - 86_400_000 / 2);
  t.same(shown.policies, ["night", "eu", "wide"]);
  t.same(
    shown.fields.map(({ field, value, saidBy }) => `${field} ${value} ${saidBy}`),
    [
      "replicas 2 night,eu",
      "residency zone=eu eu",
      "prefetch daily 01:00–05:00 UTC night",
      "offline.maxStaleSeconds 5 eu",
    ],
  );
  t.equal(shown.prefetchNow, "from 2026-11-27T01:00:00.000Z");
  t.equal(explainContent(policies, "shop", NIGHT_MS).prefetchNow, "now");
  const never = explainContent([...policies, policy("none", { prefetch: "none" })], "shop", NIGHT_MS);
  t.equal(never.prefetchNow, "never");
  t.match(
    never.fields.find(({ field }) => field === "prefetch"),
    { value: "none", saidBy: ["none"] },
  );
  const day = policy("day", { prefetch: windows("09:00", "17:00") });
  t.equal(explainContent([...policies, day], "shop", NIGHT_MS).prefetchNow, "never");
});

const messages = (
  named: NamedContentPolicy,
  others: readonly NamedContentPolicy[] = [],
  { pools = POOLS, edgesIn = [] }: { pools?: readonly JudgedPool[]; edgesIn?: readonly string[] } = {},
) =>
  findContentWarnings(named, [named, ...others], { pools, withEdges: new Set(edgesIn) }).map(
    ({ pointer, message }) => `${pointer} ${message}`,
  );

t.test("more copies than pools may hold are said, and labels that no pool has", async (t) => {
  const eu = policy("eu", { replicas: 3, residency: { zone: "eu" } });
  t.same(messages(eu), [
    "/spec/replicas spec.replicas: 3 copies are asked for, and the content may be in 2 of 3 pools",
  ]);
  t.same(messages(eu, [], { pools: [] }), [], "an empty fleet is one that is to come");
  t.same(messages(policy("p", { replicas: 3 })), []);
  const resident = policy("eu", { residency: { zone: "eu" } });
  const others = POOLS.filter(({ labels }) => labels["zone"] !== "eu").map(({ pool }) => pool);
  t.match(messages(resident, [], { edgesIn: others }), [
    /^\/spec\/residency .* no pool that has all of the labels has an edge \(2 of 3 pools have them\)/,
  ]);
  t.same(messages(resident, [], { edgesIn: POOLS.map(({ pool }) => pool) }), []);
  t.match(messages(policy("p", { replicas: 3 }), [policy("q", { residency: { zone: "eu" } })]), [
    /^\/spec\/replicas spec\.replicas of policies p and q together: 3 copies .* 2 of 3 pools/,
  ]);
  t.match(messages(policy("p", { residency: { zone: "us" } }), [policy("q", { residency: { zone: "eu" } })]), [
    /^\/spec\/residency .*policies p and q together: no pool of 3 has all of the labels/,
  ]);
});

t.test("policies of one site that contradict each other about when are named", async (t) => {
  const none = policy("none", { prefetch: "none" });
  const all = policy("all", { replicas: 2 });
  const contradiction = /^\/spec\/prefetch policies all and none are for one site .* none is the strictest/;
  t.match(messages(none, [all]), [contradiction]);
  t.match(messages(all, [none]), [contradiction]);
  t.same(messages(none, [policy("wiki", { sites: ["wiki"] })]), [], "of another site");
  t.match(messages(policy("p", { prefetch: "none", replicas: 2 })), [/^\/spec\/replicas .*says nothing beside/]);
  const night = policy("night", { prefetch: windows("01:00", "05:00") });
  t.match(messages(night, [policy("day", { prefetch: windows("09:00", "17:00") })]), [
    /^\/spec\/prefetch\/windows policies day and night .* no time is in windows of each/,
  ]);
  const summer = policy("summer", { prefetch: windows("05:30", "06:00", "Europe/Berlin") });
  t.same(messages(night, [summer]), [], "in winter it is never open with the other, in summer it is");
  const offline = policy("p", { offline: { maxStaleSeconds: 600 } });
  t.match(messages(offline, [policy("q", { offline: { denyAfterSeconds: 60 } })]), [
    /^\/spec\/offline .*p and q together: maxStaleSeconds \(600\) exceeds denyAfterSeconds \(60\)/,
  ]);
});

t.test("what is wrong of several sites of a policy is said once", async (t) => {
  t.equal(messages(policy("p", { sites: ["shop", "wiki"], replicas: 9 })).length, 1);
});
