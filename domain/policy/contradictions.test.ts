import t from "tap";
import { findContradictions, type KindAndSpec } from "./contradictions.ts";
import type { LabelRequirement, WrittenPlacementPolicy } from "./placement-policy.ts";
import type { PrefetchWindow } from "./prefetch-window.ts";

const policy: WrittenPlacementPolicy = {
  apps: ["hall"],
  sites: [],
  latencyBudgetMs: {},
  constraints: [],
  preferences: [],
  capacityReserveRatio: 0,
  onNoFit: "degrade",
  sessionSecondsMax: 3600,
  stickinessMs: 2,
};

function messagesOf(resource: KindAndSpec): string {
  return findContradictions(resource)
    .map((fault) => fault.message)
    .join("\n");
}

function constrained(...constraints: LabelRequirement[]): string {
  return messagesOf({ kind: "PlacementPolicy", spec: { ...policy, constraints } });
}

t.test("constraints that no pool can meet together are refused", async (t) => {
  const eu: LabelRequirement = { label: "region", operator: "In", values: ["eu"] };
  t.equal(constrained(eu), "");
  t.equal(constrained(eu, { label: "region", operator: "In", values: ["eu", "us"] }), "");
  t.match(constrained(eu, { label: "region", operator: "NotIn", values: ["eu"] }), /contradict.*region/);
  t.match(constrained(eu, { label: "region", operator: "In", values: ["us"] }), /contradict.*region/);
  t.match(constrained(eu, { label: "region", operator: "DoesNotExist" }), /contradict.*region/);
  t.equal(constrained(eu, { label: "gpu", operator: "DoesNotExist" }), "");
  t.equal(constrained({ label: "gpu", operator: "In" }), "spec.constraints[0]: In takes at least one value");
});

t.test("a policy for nothing, or with a stricter tier looser than the next, is refused", async (t) => {
  t.match(messagesOf({ kind: "PlacementPolicy", spec: { ...policy, apps: [] } }), /at least one app or site/);
  const budget = { ...policy, latencyBudgetMs: { strict: 60 } };
  t.match(
    messagesOf({ kind: "PlacementPolicy", spec: budget }),
    /strict \(60\) must not exceed that of standard \(50\)/,
  );
});

t.test("a match that nobody or nothing meets, and two words about one reserve, are refused", async (t) => {
  const faultsOf = (changes: Partial<WrittenPlacementPolicy>) =>
    messagesOf({ kind: "PlacementPolicy", spec: { ...policy, ...changes } });
  t.match(faultsOf({ match: { cidrs: ["10.0.0.0/8", "10.0.0.1/8"] } }), /spec\.match\.cidrs\[1\].*bits beyond/);
  t.match(faultsOf({ apps: [], sites: ["shop"], match: { tiers: ["strict"] } }), /tiers is of sessions/);
  t.equal(faultsOf({ apps: [], sites: ["shop"], match: { countries: ["DE"] } }), "");
  t.match(faultsOf({ match: { tiers: ["relaxed"] }, latencyBudgetMs: { strict: 20 } }), /strict is never asked for/);
  const reserve = { largestNeighbour: false, withinKm: 100, ratio: 0.2 };
  t.match(faultsOf({ capacityReserve: reserve, capacityReserveRatio: 0.1 }), /say two things/);
  t.equal(faultsOf({ capacityReserve: reserve, capacityReserveRatio: 0.2 }), "");
  t.match(faultsOf({ preferences: [{ label: "gpu", operator: "In", bonusMs: 1 }] }), /preferences\[0\]: In takes/);
});

t.test("a site is either published or pulled, from an upstream without a path", async (t) => {
  const pull = { upstream: "http://127.0.0.1:9000", connectTimeoutMs: 1000, responseTimeoutMs: 5000 };
  const publish = { keepReleases: 5, indexDocument: "index.html" };
  t.equal(messagesOf({ kind: "Site", spec: { hostnames: ["a.example"], pull } }), "");
  t.match(messagesOf({ kind: "Site", spec: { hostnames: ["a.example"] } }), /exactly one/);
  t.match(messagesOf({ kind: "Site", spec: { hostnames: ["a.example"], pull, publish } }), /exactly one/);
  t.match(messagesOf({ kind: "Site", spec: { hostnames: ["A.example"], publish } }), /lower-case host name/);
  const withPath = { ...pull, upstream: "http://host/path" };
  t.match(messagesOf({ kind: "Site", spec: { hostnames: ["a.example"], pull: withPath } }), /no path/);
});

t.test("staleness bounds and class names are consistent", async (t) => {
  const offline = { maxStaleSeconds: 100, denyAfterSeconds: 50 };
  t.match(messagesOf({ kind: "ContentPolicy", spec: { sites: ["a"], prefetch: "all", offline } }), /must not exceed/);
  const small = { name: "small", eyeWidthPixels: 160, eyeHeightPixels: 180, frameRateHz: 30 };
  const needs = { gpuShareRatio: 0.1, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 1 };
  const spec = { bundle: { site: "hall", path: "/scene.json" }, needs, classes: [small, small] };
  t.match(messagesOf({ kind: "RenderApp", spec }), /small twice/);
});

t.test("windows that are empty, in no time zone, or said twice are refused, each in its place", async (t) => {
  const faultsOf = (...windows: PrefetchWindow[]) =>
    findContradictions({ kind: "ContentPolicy", spec: { sites: ["a"], prefetch: { windows } } }).map(
      ({ pointer, message }) => `${pointer} ${message}`,
    );
  const night = { from: "01:00", to: "05:00", timeZone: "Europe/Lisbon" };
  t.same(faultsOf(night, { from: "22:00", to: "02:00" }, { from: "00:00", to: "24:00" }), []);
  t.match(faultsOf(night, { from: "01:00", to: "01:00" }), [
    /^\/spec\/prefetch\/windows\/1\/to spec\.prefetch\.windows\[1\] is empty: it is from 01:00 to 01:00/,
  ]);
  t.match(faultsOf({ ...night, timeZone: "Europe/Lisboa" }, { ...night, days: ["mon", "tue", "mon"] }), [
    /^\/spec\/prefetch\/windows\/0\/timeZone .*IANA.*"Europe\/Lisboa"/,
    /^\/spec\/prefetch\/windows\/1\/days .*got mon twice/,
  ]);
  t.match(faultsOf({ ...night, days: ["mon", "tue"] }, { ...night, days: ["tue", "mon"] }), [
    /^\/spec\/prefetch\/windows\/1 .*windows\[1\] says what windows\[0\] says/,
  ]);
});

t.test("a path to be signed that no request has, and two keys of one id, are refused", async (t) => {
  const key = { keyId: "spring", publicKey: "A".repeat(43) };
  const faultsOf = (paths: readonly string[], keys = [key]) =>
    messagesOf({ kind: "Site", spec: { hostnames: ["a.test"], pull: upstream, signedUrls: { keys, paths } } });
  const upstream = { upstream: "http://u.test", connectTimeoutMs: 1, responseTimeoutMs: 1 };
  t.equal(faultsOf(["/*", "/films/*", "/a", "/a%20b/*", "/%C3%A9/*"]), "");
  for (const path of ["/é/*", "/a b", "/a/../b", "//a", "/a;b", "/a%2fb", "/a?b", "/%2", "*"]) {
    t.match(faultsOf([path]), /as in a URL/, path);
  }
  t.match(faultsOf(["/*"], [key, key]), /different ids, got spring twice/);
});

t.test("an origin is reached at a port that there is", async (t) => {
  const spec = { enrolment: "a.example:7402", nodeRpc: "[2001:db8::1]:65535", delivery: "a.example:7403" };
  t.equal(messagesOf({ kind: "OriginEndpoint", spec }), "");
  t.match(
    messagesOf({ kind: "OriginEndpoint", spec: { ...spec, delivery: "a.example:0" } }),
    /spec\.delivery.*1\.\.65535/,
  );
  t.match(messagesOf({ kind: "OriginEndpoint", spec: { ...spec, nodeRpc: "[::1]:70000" } }), /spec\.nodeRpc/);
});
