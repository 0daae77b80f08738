import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { KINDS } from "#domain/resource.ts";
import { parseResourceInput, parseStoredResource } from "./parse.ts";

const site = {
  apiVersion: "perigee.dev/v1",
  kind: "Site",
  metadata: { name: "shop" },
  spec: { hostnames: ["shop.localhost"], publish: {} },
};

function messagesOf(value: unknown): string {
  const parsed = parseResourceInput(value);
  return parsed.kind === "valid" ? "" : parsed.faults.map((fault) => `${fault.pointer}: ${fault.message}`).join("\n");
}

t.test("defaults are filled in", async (t) => {
  const parsed = parseResourceInput(site);
  t.equal(parsed.kind, "valid");
  t.match(parsed, {
    input: { metadata: { labels: {} }, spec: { publish: { keepReleases: 5, indexDocument: "index.html" } } },
  });
});

t.test("every fault is said at once, with its place", async (t) => {
  const messages = messagesOf({
    ...site,
    metadata: { name: "Shop", owner: "me" },
    spec: { hostnames: [], publish: { keepReleases: 0 }, colour: "red" },
  });
  t.match(messages, /\/metadata\/name: metadata\.name must be a DNS label .*, got "Shop"/);
  t.match(messages, /\/metadata\/owner: metadata\.owner is not a known field/);
  t.match(messages, /\/spec\/colour: spec\.colour is not a known field/);
  t.match(messages, /spec\.hostnames/);
  t.match(messages, /spec\.publish\.keepReleases must be >= 1, got 0/);
});

t.test("what a text must look like is said in words", async (t) => {
  const policy = (kind: string, spec: object) => ({ ...site, kind, metadata: { name: "night" }, spec });
  const window = { from: "25:00", to: "24:01" };
  const messages = messagesOf(policy("ContentPolicy", { sites: ["shop"], prefetch: { windows: [window] } }));
  t.match(messages, /prefetch\.windows\[0\]\.from must be a time from 00:00 to 23:59, got "25:00"/);
  t.match(messages, /prefetch\.windows\[0\]\.to must be a time from 00:00 to 24:00, got "24:01"/);
  const placement = messagesOf(policy("PlacementPolicy", { match: { countries: ["de"] } }));
  t.match(placement, /match\.countries\[0\] must be two capital letters .*, got "de"/);
});

t.test("a missing field is named", async (t) => {
  t.match(messagesOf({ ...site, spec: { publish: {} } }), /spec lacks the field hostnames/);
});

t.test("an unknown kind is answered with those that exist", async (t) => {
  t.match(messagesOf({ ...site, kind: "Website" }), /kind must be one of Site, .*got "Website"/);
  t.match(messagesOf(null), /got nothing/);
  t.match(messagesOf([]), /got nothing/);
});

t.test("a spec that contradicts itself is refused", async (t) => {
  t.match(messagesOf({ ...site, spec: { hostnames: ["a.b"] } }), /exactly one of publish and pull/);
});

t.test("a contradiction is said together with what is wrong around the spec", async (t) => {
  const spec = { hostnames: ["a.b"], publish: {}, pull: { upstream: "ftp://x" } };
  const messages = messagesOf({ ...site, metadata: { name: "Bad_Name" }, spec });
  t.match(messages, /metadata\.name must be a DNS label/);
  t.match(messages, /exactly one of publish and pull/);
  t.match(messages, /spec\.pull\.upstream must be http/);
});

t.test("a stored resource comes back as it was; anything else is refused by name", async (t) => {
  const parsed = parseResourceInput(site);
  if (parsed.kind === "invalid") throw new Error("the sample must be valid");
  const stored = {
    ...parsed.input,
    metadata: { name: "shop", labels: {}, generation: 1, resourceVersion: 7, createdAtMs: 1 },
  };
  t.strictSame(parseStoredResource(JSON.stringify(stored)), stored);
  for (const bad of ["", "{", "null", "{}", JSON.stringify({ ...stored, extra: 1 })]) {
    try {
      parseStoredResource(bad);
      t.fail(`must refuse ${bad}`);
    } catch (error) {
      t.ok(isFailure(error, "resource-invalid"), bad);
    }
  }
  t.ok(KINDS.length >= 11);
});

t.test("a site says who signs its URLs, how often a client may ask, and whether edges compress", async (t) => {
  const key = { keyId: "spring", publicKey: "A".repeat(43) };
  const spec = { ...site.spec, signedUrls: { keys: [key], paths: ["/films/*"] } };
  t.equal(messagesOf({ ...site, spec: { ...spec, rateLimit: { requestsPerSecond: 0.5, burst: 1 } } }), "");
  t.equal(messagesOf({ ...site, spec: { ...spec, cache: { compress: true } } }), "");
  t.match(
    messagesOf({ ...site, spec: { ...spec, rateLimit: { requestsPerSecond: 0, burst: 0 } } }),
    /Second.*\n.*burst/,
  );
  const keyless = messagesOf({ ...site, spec: { ...spec, signedUrls: { keys: [], paths: [] } } });
  t.match(keyless, /signedUrls\.keys.*\n.*signedUrls\.paths/);
  const secret = messagesOf({
    ...site,
    spec: { ...spec, signedUrls: { keys: [{ ...key, secret: "x" }], paths: ["/"] } },
  });
  t.match(secret, /secret is not a known field/, "nothing secret is in what every node reads");
});

t.test("a requirement that is neither of a label nor an expression is told by what it is nearest to", async (t) => {
  const messagesOf = (constraint: object) => {
    const document = { apiVersion: "perigee.dev/v1", kind: "PlacementPolicy", metadata: { name: "eu" } };
    const parsed = parseResourceInput({ ...document, spec: { apps: ["hall"], constraints: [constraint] } });
    return parsed.kind === "valid" ? [] : parsed.faults.map(({ message }) => message);
  };
  t.same(messagesOf({ label: "gpu" }), ["spec.constraints[0] lacks the field operator"]);
  t.match(messagesOf({ label: "gpu", operator: "in" }), [
    /\.operator must be .*: In, NotIn, Exists, DoesNotExist, got "in"/,
  ]);
  t.same(messagesOf({ expression: 1 }), ["spec.constraints[0].expression must be string, got 1"]);
  t.same(messagesOf({ expression: "true" }), []);
});

t.test("a prefetch that is wrong is answered with what is wrong with it as what it was meant to be", async (t) => {
  const messages = (prefetch: unknown) =>
    messagesOf({ ...site, kind: "ContentPolicy", spec: { sites: ["shop"], prefetch } });
  const night = { from: "01:00", to: "05:00" };
  t.equal(messages({ windows: [night, { days: ["sat"], from: "22:00", to: "24:00", timeZone: "Asia/Tokyo" }] }), "");
  t.equal(messages("none"), "");
  t.match(messages("some"), /^\/spec\/prefetch: spec\.prefetch must be .*all, none, got "some"$/);
  t.match(messages({ windows: [] }), /^\/spec\/prefetch\/windows: .*fewer than 1/);
  t.match(messages({ windows: [{ ...night, from: "25:00" }] }), /^\/spec\/prefetch\/windows\/0\/from: .*"25:00"$/);
  t.match(messages({ windows: [{ ...night, from: "24:00" }] }), /windows\/0\/from: .*"24:00"$/);
  t.match(messages({ windows: [{ ...night, days: ["monday"] }] }), /windows\/0\/days\/0: .*mon, tue.*"monday"$/);
  t.match(messages({ windows: [{ ...night, zone: "UTC" }] }), /windows\/0\/zone: .*not a known field$/);
  t.match(messages({ windows: [{ from: "01:00" }] }), /windows\/0: .*lacks the field to$/);
});

function policyFaults(spec: object): readonly string[] {
  const metadata = { name: "eu" };
  const parsed = parseResourceInput({ apiVersion: "perigee.dev/v1", kind: "PlacementPolicy", metadata, spec });
  return parsed.kind === "valid" ? [] : parsed.faults.map(({ message }) => message);
}

t.test("a fault in a requirement hides no other, however many there are", async (t) => {
  const preferences = Array.from({ length: 8 }, () => ({ label: "zone", operator: "Exists", bonusMs: "4ms" }));
  const match = { country: ["DE"], tiers: ["fast"] };
  const messages = policyFaults({ apps: ["hall"], match, preferences, onNoFit: "refuse" });
  const bonus = /^spec\.preferences\[\d\]\.bonusMs must be number, got "4ms"$/;
  t.equal(messages.filter((message) => bonus.test(message)).length, 8);
  t.match(messages.join("\n"), /spec\.match\.country is not a known field: did you mean countries\?/);
  t.match(messages.join("\n"), /spec\.match\.tiers\[0\] must be .*strict, standard, relaxed, got "fast"/);
  t.match(messages.join("\n"), /spec\.onNoFit must be .*, got "refuse"/);
  t.equal(messages.length, 11);
});

t.test("what well-formed fields contradict is said beside what is wrong with the others", async (t) => {
  const budget = { latencyBudgetMs: { strict: 40, standard: 30 } };
  t.match(policyFaults({ apps: ["hall"], ...budget, onNoFit: "refuse" }), [
    /onNoFit/,
    /strict \(40\) must not exceed that of standard \(30\)/,
  ]);
  t.match(
    policyFaults({ apps: ["Hall"] }),
    [/spec\.apps\[0\] must be a DNS label/],
    "whether it names one is not known",
  );
  t.same(policyFaults({ aps: ["hall"] }), ["spec.aps is not a known field: did you mean apps?"]);
  t.match(policyFaults({ apps: ["hall"], latencyBudgetMs: { strict: "40" }, match: { tiers: ["relaxed"] } }), [
    /strict must be number/,
  ]);
});

t.test("a misspelt field is told by the one that was meant, in the shape that has it", async (t) => {
  const preferring = (preference: object) => policyFaults({ apps: ["hall"], preferences: [preference] });
  const meant = (written: string, field: string) =>
    `spec.preferences[0].${written} is not a known field: did you mean ${field}?`;
  t.same(preferring({ lable: "zone", operator: "In", values: ["a"], bonusMs: 4 }), [meant("lable", "label")]);
  t.same(preferring({ lable: "zone", bonusMs: 4 }), [
    "spec.preferences[0] lacks the field operator",
    meant("lable", "label"),
  ]);
  t.same(preferring({ expresion: "true", bonusMs: 4 }), [meant("expresion", "expression")]);
  t.same(preferring({ label: "zone", operator: "Exists", labels: "x", bonusMs: 4 }), [
    "spec.preferences[0].labels is not a known field",
  ]);
});

t.test("a match of one of several kinds is told by the kind that it says it is", async (t) => {
  const purge = (match: object) => messagesOf({ ...site, kind: "Purge", spec: { site: "shop", match, atMs: 1 } });
  t.match(
    purge({ kind: "paths", prefix: "/a" }),
    /^\/spec\/match: .* lacks the field paths\n.*prefix is not a known field$/,
  );
  t.match(purge({ kind: "prefix", prefx: "/a" }), /^[^\n]*prefx is not a known field: did you mean prefix\?$/);
});
