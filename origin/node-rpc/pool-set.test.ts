/** A pool's batches, however cut, take a copy to exactly the pool's set, and its digest says so. */
import fc from "fast-check";
import t from "tap";
import { setDigestOf } from "#contracts/codec/set-digest.ts";
import type { PoolBatch } from "#domain/desired-state.ts";
import type { AnyResource } from "#domain/resource.ts";
import { writeResource } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { PoolSet } from "./pool-set.ts";

function apply(copy: Map<string, AnyResource>, batches: readonly PoolBatch[]): void {
  for (const batch of batches) {
    if (batch.snapshot && batch.part === 0) copy.clear();
    for (const row of batch.rows) {
      if (row.resource === undefined) copy.delete(`${row.kind}/${row.name}`);
      else copy.set(`${row.kind}/${row.name}`, row.resource);
    }
    if (batch.last) t.equal(batch.setDigest, setDigestOf(copy.values()));
  }
}

t.test("batches take a copy along from any revision, also when a resource changes its pool", (t) => {
  const step = fc.record({
    name: fc.constantFrom("a", "b", "c"),
    pool: fc.constantFrom("near", "far"),
    drop: fc.boolean(),
    cut: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      using log = openSqliteLog(":memory:");
      const sets = ["near", "far", "*"].map((pool) => new PoolSet(pool, 1, log.list()));
      const copies = sets.map(() => new Map<string, AnyResource>());
      const advance = () =>
        sets.forEach((set, index) => {
          const before = set.revision;
          const batches = set.advance(log.changesAfter(before, 1000), log.revision());
          if (batches[0] !== undefined) t.equal(batches[0].from, before);
          apply(copies[index] ?? new Map(), batches);
        });
      for (const [index, { name, pool, drop, cut }] of steps.entries()) {
        if (drop && log.find("Assignment", name) !== undefined) {
          log.write([{ kind: "Assignment", name, render: () => undefined }]);
        } else {
          const spec = { pool, sites: [`site-${index}`], apps: [] };
          writeResource(log, { kind: "Assignment", metadata: { name, labels: {} }, spec }, 1);
        }
        if (cut) advance();
      }
      advance();
      for (const [index, set] of sets.entries()) {
        const fresh = new PoolSet(set.pool, 1, log.list());
        const snapshot = new Map<string, AnyResource>();
        apply(snapshot, fresh.snapshot());
        t.equal(fresh.setDigest, set.setDigest, set.pool);
        t.same(new Set(copies[index]?.keys()), new Set(snapshot.keys()), set.pool);
      }
    }),
    { numRuns: 30 },
  );
  t.end();
});

t.test("a pool's set has the edges of its parent pool, and is made anew when it gets another", (t) => {
  using log = openSqliteLog(":memory:");
  const pool = (name: string, more: object) => {
    const spec = { region: "r", coordinates: { latitude: 0, longitude: 0 }, autonomyDurationSeconds: 1, relay: true };
    writeResource(log, { kind: "NodePool", metadata: { name, labels: {} }, spec: { ...spec, ...more } }, 1);
  };
  const node = (name: string, role: "edge" | "agent", of: string) => {
    const spec = { role, pool: of, cordoned: false, draining: false };
    writeResource(log, { kind: "Node", metadata: { name, labels: {} }, spec }, 1);
  };
  node("core-1", "edge", "core");
  node("core-gpu", "agent", "core");
  pool("near", { parent: "core" });
  const set = new PoolSet("near", 1, log.list());
  const copy = new Map<string, AnyResource>();
  apply(copy, set.snapshot());
  t.same([...copy.keys()].sort(), ["Node/core-1", "NodePool/near"]);
  node("core-2", "edge", "core");
  node("far-1", "edge", "far");
  const more = log.changesAfter(set.revision, 10);
  t.equal(set.hasOtherParent(more), false);
  apply(copy, set.advance(more, log.revision()));
  t.ok(copy.has("Node/core-2") && !copy.has("Node/far-1"));
  pool("near", { parent: "core", relay: false });
  t.equal(set.hasOtherParent(log.changesAfter(set.revision, 10)), false);
  pool("near", { parent: "far" });
  t.equal(set.hasOtherParent(log.changesAfter(set.revision, 10)), true);
  apply(copy, new PoolSet("near", 1, log.list()).snapshot());
  t.same([...copy.keys()].sort(), ["Node/far-1", "NodePool/near"]);
  t.end();
});

t.test("a large set comes in parts, the last with the digest", (t) => {
  using log = openSqliteLog(":memory:");
  const sites = Array.from({ length: 200 }, (_, index) => `site-${index}-`.padEnd(60, "x"));
  for (let index = 0; index < 120; index += 1) {
    const spec = { pool: "near", sites, apps: [] };
    writeResource(log, { kind: "Assignment", metadata: { name: `a${index}`, labels: {} }, spec }, 1);
  }
  const set = new PoolSet("near", 1, log.list());
  const parts = set.snapshot();
  t.ok(parts.length > 1);
  t.same(
    parts.map((part) => part.last),
    [...parts.slice(1).map(() => false), true],
  );
  const copy = new Map<string, AnyResource>();
  apply(copy, parts);
  t.equal(copy.size, 120);
  t.end();
});
