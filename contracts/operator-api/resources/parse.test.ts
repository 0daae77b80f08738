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
  t.match(messages, /\/metadata\/name: metadata\.name must match.*"Shop"/);
  t.match(messages, /\/metadata\/owner: metadata\.owner is not a known field/);
  t.match(messages, /\/spec\/colour: spec\.colour is not a known field/);
  t.match(messages, /spec\.hostnames/);
  t.match(messages, /spec\.publish\.keepReleases must be >= 1, got 0/);
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
  t.match(messages, /metadata\.name must match/);
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
