import t from "tap";
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { PURGE_RETENTION_MS } from "#domain/content/purge.ts";
import { Failure } from "#domain/failure.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { APPLIED_PURGES_MIGRATIONS, AppliedPurges, decideExpiry, isBehind } from "./applied-purges.ts";
import { isRevoked, viewOf } from "./desired-view.ts";

function setOf(documents: readonly [kind: string, name: string, spec: object][]) {
  const resources = documents.map(([kind, name, spec], index) => {
    const metadata = { name, labels: {}, generation: 1, resourceVersion: index + 1, createdAtMs: 1 };
    return parseStoredResource(JSON.stringify({ apiVersion: "perigee.dev/v1", kind, metadata, spec }));
  });
  return new Map(resources.map((resource) => [`${resource.kind}/${resource.metadata.name}`, resource]));
}

const site = { hostnames: ["a.example"], publish: { keepReleases: 5, indexDocument: "index.html" } };
const release = (generation: number) => ({
  site: "shop",
  generation,
  manifest: { digest: "a".repeat(64), sizeBytes: 1, signature: "A".repeat(86), keyId: "k" },
  activateAtMs: 1,
});

t.test("a site has its newest release, its assignment and the strictest bounds of its policies", async (t) => {
  const prefetch = { windows: [{ from: "01:00", to: "05:00" }] };
  const policy = (maxStaleSeconds: number) => ({ sites: ["shop"], prefetch, offline: { maxStaleSeconds } });
  const view = viewOf(
    setOf([
      ["Site", "shop", site],
      ["Site", "cafe", site],
      ["Release", "shop.9", release(9)],
      ["Release", "shop.10", release(10)],
      ["Assignment", "near", { pool: "near", sites: ["shop"], apps: [] }],
      ["ContentPolicy", "one", policy(60)],
      ["ContentPolicy", "two", policy(30)],
    ]),
    "near",
  );
  t.match(view.sites.get("shop"), { isAssigned: true, offline: { maxStaleSeconds: 30 }, release: { generation: 10 } });
  t.strictSame(view.sites.get("shop")?.fillWindows, [prefetch.windows, prefetch.windows]);
  t.match(view.sites.get("cafe"), { isAssigned: false, fillWindows: [], offline: {}, release: undefined });
});

t.test("what a pool says of its link is that of the own pool", async (t) => {
  const pool = { region: "eu", coordinates: { latitude: 0, longitude: 0 }, autonomyDurationSeconds: 60, relay: true };
  const set = setOf([
    ["NodePool", "near", { ...pool, fillBytesPerSecond: 5000 }],
    ["NodePool", "far", { ...pool, autonomyDurationSeconds: 9 }],
  ]);
  t.match(viewOf(set, "near"), { autonomySeconds: 60, fillBytesPerSecond: 5000 });
  t.match(viewOf(set, "far"), { autonomySeconds: 9, fillBytesPerSecond: undefined });
});

t.test("a revocation takes back what it names and nothing else", async (t) => {
  const revoke = (subject: object) => ({ subject, reason: "stolen", subjectExpiresAtMs: 1 });
  const set = setOf([
    ["Revocation", "r1", revoke({ kind: "token", id: "t1" })],
    ["Revocation", "r2", revoke({ kind: "node", name: "near-1", certificateSerial: "01" })],
  ]);
  t.ok(isRevoked(set, { kind: "token", id: "t1" }));
  t.notOk(isRevoked(set, { kind: "key", keyId: "t1" }));
  t.ok(isRevoked(set, { kind: "node", name: "near-1", certificateSerial: "01" }));
  t.notOk(isRevoked(set, { kind: "node", name: "near-1", certificateSerial: "02" }));
});

t.test("a purge is applied once, also across a restart, and again when it is written anew", async (t) => {
  using database = openDatabase(":memory:", { migrations: APPLIED_PURGES_MIGRATIONS, durability: "full" });
  const { purges } = viewOf(
    setOf([["Purge", "p", { site: "shop", match: { kind: "all" }, soft: false, atMs: 5 }]]),
    "near",
  );
  const applied: string[] = [];
  const apply = (list = purges) =>
    new AppliedPurges(database, () => undefined).apply(1, list, (spec) => void applied.push(spec.site));
  apply();
  apply();
  t.same(applied, ["shop"]);
  apply(purges.map((purge) => ({ ...purge, metadata: { ...purge.metadata, resourceVersion: 7 } })));
  t.same(applied, ["shop", "shop"]);
  apply([]);
  apply();
  t.equal(applied.length, 3);
});

/** In the order of a set, which is that of its Map. */
function purgesOf(...atRevisions: readonly [name: string, resourceVersion: number][]) {
  const spec = { site: "shop", match: { kind: "all" }, soft: false, atMs: 5 } as const;
  return atRevisions.map(([name, resourceVersion]) => {
    const metadata = { name, labels: {}, generation: 1, resourceVersion, createdAtMs: 1 };
    return {
      apiVersion: "perigee.dev/v1",
      kind: "Purge",
      metadata,
      spec: { ...spec, site: `${name}@${resourceVersion}` },
    } as const;
  });
}

t.test("purges are applied in the log's order, whatever the set's own is", async (t) => {
  using database = openDatabase(":memory:", { migrations: APPLIED_PURGES_MIGRATIONS, durability: "full" });
  const applied: string[] = [];
  const purges = new AppliedPurges(database, () => t.fail("the disk takes all"));
  purges.apply(1, purgesOf(["b", 9], ["a", 7], ["c", 8]), ({ site }) => void applied.push(site));
  t.same(applied, ["a@7", "c@8", "b@9"]);
});

t.test("a purge is in effect although the disk is full, and is marked when there is room again", async (t) => {
  using database = openDatabase(":memory:", { migrations: APPLIED_PURGES_MIGRATIONS, durability: "full" });
  let isFull = true;
  const disk: typeof database = {
    prepare: (sql) => database.prepare(sql),
    exec: (sql) => database.exec(sql),
    transaction(work) {
      if (isFull) throw new Failure("disk-full", "no space is left");
      return database.transaction(work);
    },
    close: () => database.close(),
    [Symbol.dispose]: () => undefined,
  };
  const applied: string[] = [];
  const failures: string[] = [];
  const purges = new AppliedPurges(disk, ({ code }) => void failures.push(code));
  const apply = (to: AppliedPurges, list = purgesOf(["a", 7])) =>
    to.apply(1, list, ({ site }) => void applied.push(site));
  apply(purges);
  t.same([applied, failures, purges.mark], [["a@7"], ["disk-full"], { epoch: 1, revision: 7 }]);
  isFull = false;
  apply(purges, purgesOf(["a", 7], ["b", 8]));
  apply(new AppliedPurges(database, () => undefined), purgesOf(["a", 7], ["b", 8]));
  t.same(applied, ["a@7", "b@8"], "neither again, also after a restart");
});

t.test("a log that was restored may give a revision to another purge of the same name, which is applied", async (t) => {
  using database = openDatabase(":memory:", { migrations: APPLIED_PURGES_MIGRATIONS, durability: "full" });
  const applied: number[] = [];
  for (const epoch of [1, 2, 2])
    new AppliedPurges(database, () => undefined).apply(epoch, purgesOf(["a", 7]), () => void applied.push(epoch));
  t.same(applied, [1, 2]);
});

t.test("how far purges are applied only grows, over restarts, forgotten purges and epochs", async (t) => {
  using database = openDatabase(":memory:", { migrations: APPLIED_PURGES_MIGRATIONS, durability: "full" });
  const spec = { site: "shop", match: { kind: "all" }, soft: false, atMs: 5 } as const;
  const { purges } = viewOf(setOf([["Purge", "p", spec]]), "near");
  const at = (resourceVersion: number) =>
    purges.map((purge) => ({ ...purge, metadata: { ...purge.metadata, resourceVersion } }));
  const steps: readonly [epoch: number, list: typeof purges, mark: object][] = [
    [1, [], { epoch: 1, revision: 0 }],
    [1, at(7), { epoch: 1, revision: 7 }],
    [1, [], { epoch: 1, revision: 7 }],
    [2, at(3), { epoch: 2, revision: 3 }],
    [2, at(4), { epoch: 2, revision: 4 }],
  ];
  for (const [epoch, list, mark] of steps) {
    new AppliedPurges(database, () => undefined).apply(epoch, list, () => undefined);
    t.same(new AppliedPurges(database, () => undefined).mark, mark, JSON.stringify(mark));
  }
  t.ok(isBehind({ epoch: 1, revision: 9 }, { epoch: 2, revision: 0 }));
  t.notOk(isBehind({ epoch: 2, revision: 0 }, { epoch: 1, revision: 9 }));
  t.notOk(isBehind({ epoch: 2, revision: 1 }, { epoch: 2, revision: 1 }));
});

t.test("who was away for longer than purges are retained expires what one of them may have named", async (t) => {
  const nowMs = PURGE_RETENTION_MS * 4;
  t.equal(decideExpiry(0, nowMs), undefined);
  t.equal(decideExpiry(PURGE_RETENTION_MS, nowMs), undefined);
  t.equal(decideExpiry(PURGE_RETENTION_MS + 1, nowMs), PURGE_RETENTION_MS * 3);
});
