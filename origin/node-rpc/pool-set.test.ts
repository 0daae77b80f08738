/** A pool's batches, however cut, take a copy to exactly the pool's set, and its digest says so. */
import fc from "fast-check";
import t from "tap";
import { setDigestOf } from "#contracts/codec/set-digest.ts";
import type { PoolBatch } from "#domain/desired-state.ts";
import type { AnyResource } from "#domain/resource.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { writeResource } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { BOOKMARK_REVISIONS, type Everything, keyOf, type Past, PoolSet, parseRow } from "./pool-set.ts";

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

function everythingIn(log: ResourceLog): Everything {
  const { revision, rows } = log.list();
  return { epoch: log.epoch, revision, rows: new Map(rows.map((row) => [keyOf(row), parseRow(row)])) };
}

const changesIn = (log: ResourceLog, after: number) => log.changesAfter(after, 1000).map(parseRow);

function pastIn(log: ResourceLog, revision: number): Past {
  const changed = new Map(changesIn(log, revision).map((now) => [keyOf(now), now]));
  return new Map(
    [...changed].map(([key, now]) => {
      const before = log.findAt(now.kind, now.name, revision);
      return [key, { before: before === undefined ? undefined : parseRow(before), now }];
    }),
  );
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
      const sets = ["near", "far", "*"].map((pool) => new PoolSet(pool, everythingIn(log)));
      const copies = sets.map(() => new Map<string, AnyResource>());
      const held = sets.map((set) => [{ revision: 0, setDigest: set.setDigest, copy: new Map<string, AnyResource>() }]);
      let advanced = 0;
      const advance = () => {
        const rows = changesIn(log, advanced);
        advanced = log.revision();
        sets.forEach((set, index) => {
          const before = set.revision;
          const batches = set.advance(rows, advanced);
          if (batches[0] !== undefined) t.equal(batches[0].from, before);
          const copy = copies[index] ?? new Map();
          apply(copy, batches);
          held[index]?.push({ revision: set.revision, setDigest: set.setDigest, copy: new Map(copy) });
        });
      };
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
        const fresh = new PoolSet(set.pool, everythingIn(log));
        const snapshot = new Map<string, AnyResource>();
        apply(snapshot, fresh.snapshot());
        t.equal(fresh.setDigest, set.setDigest, set.pool);
        t.same(copies[index], snapshot, set.pool);
        for (const { revision, setDigest, copy } of held[index] ?? []) {
          const changes = set.changesSince({ revision, setDigest }, pastIn(log, revision));
          apply(copy, changes ?? []);
          t.same(copy, snapshot, `${set.pool} from ${revision}`);
          const other = { revision, setDigest: setDigest.replace(/^./, (digit) => (digit === "0" ? "1" : "0")) };
          t.equal(set.changesSince(other, pastIn(log, revision)), undefined, "who holds something else is told so");
        }
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
  const set = new PoolSet("near", everythingIn(log));
  const copy = new Map<string, AnyResource>();
  apply(copy, set.snapshot());
  t.same([...copy.keys()].sort(), ["Node/core-1", "NodePool/near"]);
  node("core-2", "edge", "core");
  node("far-1", "edge", "far");
  const more = changesIn(log, set.revision);
  t.equal(set.hasOtherParent(more), false);
  apply(copy, set.advance(more, log.revision()));
  t.ok(copy.has("Node/core-2") && !copy.has("Node/far-1"));
  pool("near", { parent: "core", relay: false });
  t.equal(set.hasOtherParent(changesIn(log, set.revision)), false);
  pool("near", { parent: "far" });
  t.equal(set.hasOtherParent(changesIn(log, set.revision)), true);
  const renewed = new PoolSet("near", everythingIn(log));
  t.equal(renewed.changesSince(set, pastIn(log, set.revision)), undefined, "all of another parent's edges are new");
  apply(copy, renewed.snapshot());
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
  const set = new PoolSet("near", everythingIn(log));
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

t.test("what concerns no node of the pool is told together, and seldom", (t) => {
  using log = openSqliteLog(":memory:");
  const write = (pool: string) => {
    const spec = { pool, sites: [`site-${log.revision()}`], apps: [] };
    writeResource(log, { kind: "Assignment", metadata: { name: pool, labels: {} }, spec }, 1);
  };
  const set = new PoolSet("near", everythingIn(log));
  const steps: number[] = [];
  for (let count = 0; count < 2 * BOOKMARK_REVISIONS; count += 1) {
    write("far");
    for (const { to, rows } of set.advance(changesIn(log, log.revision() - 1), log.revision())) {
      t.same(rows, []);
      steps.push(to);
    }
  }
  t.same(steps, [BOOKMARK_REVISIONS, 2 * BOOKMARK_REVISIONS]);
  write("far");
  t.same(set.advance(changesIn(log, log.revision() - 1), log.revision()), []);
  write("near");
  const [batch] = set.advance(changesIn(log, log.revision() - 1), log.revision());
  t.match(batch, { from: 2 * BOOKMARK_REVISIONS, to: log.revision() });
  t.end();
});
