import fc from "fast-check";
import t from "tap";
import { encodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { setDigestOf } from "#contracts/codec/set-digest.ts";
import { POOL_BATCH_CONTEXT, type PoolBatch } from "#domain/desired-state.ts";
import { isFailure } from "#domain/failure.ts";
import type { AnyResource } from "#domain/resource.ts";
import { generateSigningKey, signBytes } from "#platform/identity/signatures.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { testFolder } from "#test/test-folder.ts";
import { POOL_SET_MIGRATIONS, PoolSet, SNAPSHOT_PARTS_MAX } from "./pool-set.ts";

const key = generateSigningKey();
const keys = new Map([[key.keyId, key.publicKey]]);
const options = { pool: "near", keys: () => keys };
const open = (path: string) => openDatabase(path, { migrations: POOL_SET_MIGRATIONS, durability: "full" });

function assignment(name: string, resourceVersion: number): AnyResource {
  const metadata = { name, labels: {}, generation: 1, resourceVersion, createdAtMs: 1 };
  return { apiVersion: "perigee.dev/v1", kind: "Assignment", metadata, spec: { pool: "near", sites: [], apps: [] } };
}

function batchOf(from: number, to: number, resources: AnyResource[], set: AnyResource[]): PoolBatch {
  const rows = resources.map((resource) => ({
    revision: to,
    kind: resource.kind,
    name: resource.metadata.name,
    resource,
  }));
  const fixed = { epoch: 1, pool: "near", part: 0, last: true };
  return { ...fixed, from, to, snapshot: from === 0, rows, setDigest: setDigestOf(set) };
}

function signed(batch: PoolBatch) {
  const payload = encodePoolBatch(batch);
  return { payload, signature: signBytes(POOL_BATCH_CONTEXT, payload, key), keyId: key.keyId };
}

const a = assignment("a", 1);
const b = assignment("b", 2);
const first = batchOf(0, 1, [a], [a]);
const second = batchOf(1, 2, [b], [a, b]);

t.test("batches are kept as they were signed across a restart, and can be passed on", async (t) => {
  using database = open(`${testFolder(t)}/set.db`);
  const set = new PoolSet(database, options);
  t.equal(set.watermark, undefined);
  set.apply(signed(first));
  const envelope = signed(second);
  set.apply(envelope);
  const again = new PoolSet(database, options);
  const watermark = { epoch: 1, revision: 2, setDigest: setDigestOf([a, b]) };
  t.same(again.watermark, watermark);
  t.same([...again.resources.keys()], ["Assignment/a", "Assignment/b"]);
  t.same(again.envelopesAfter(watermark), []);
  t.same(again.envelopesAfter({ epoch: 1, revision: 1, setDigest: setDigestOf([a]) }).length, 1);
  t.equal(again.envelopesAfter(undefined).length, 2);
  const other = new PoolSet(open(":memory:"), options);
  for (const passed of again.envelopesAfter(undefined)) other.apply(passed);
  t.same(other.watermark, watermark);
});

t.test("a sibling gets what continues its own set, or the whole where that takes it nowhere back", async (t) => {
  const set = new PoolSet(open(":memory:"), options);
  t.same(set.passageFor(undefined), { kind: "nothing-held" });
  const c = assignment("c", 3);
  const [snapshot, ...later] = [first, second, batchOf(2, 3, [c], [a, b, c])].map(signed);
  for (const envelope of [snapshot, ...later]) if (envelope !== undefined) set.apply(envelope);
  const at = (revision: number, resources: AnyResource[], epoch = 1) =>
    set.passageFor({ epoch, revision, setDigest: setDigestOf(resources) });
  const sent = (count: number, passage: ReturnType<typeof at>) =>
    t.equal(passage.kind === "sent" ? passage.envelopes.length : passage.kind, count);
  sent(3, set.passageFor(undefined));
  sent(2, at(1, [a]));
  sent(1, at(2, [a, b]));
  sent(0, at(3, [a, b, c]));
  sent(3, at(1, [b]));
  sent(3, at(9, [a], 0));
  t.same(at(2, [a]), { kind: "diverged" }, "another set at that revision");
  t.same(at(3, [a, b]), { kind: "diverged" });
  t.same(at(4, [a]), { kind: "ahead" });
  t.same(at(1, [a], 2), { kind: "ahead" });
});

t.test("what the disk refuses changes nothing, is told, and is taken when there is room", async (t) => {
  using database = open(`${testFolder(t)}/set.db`);
  const set = new PoolSet(database, options);
  set.apply(signed(first));
  t.equal(set.isUnpersisted, false);
  const many = Array.from({ length: 200 }, (_, index) => assignment(`n${index}`, 2));
  const large = signed(batchOf(1, 2, many, [a, ...many]));
  database.exec("PRAGMA max_page_count = 4");
  t.throws(() => set.apply(large), { code: "disk-full" });
  t.same([set.isUnpersisted, set.watermark?.revision], [true, 1]);
  database.exec("PRAGMA max_page_count = 100000");
  set.apply(large);
  t.same([set.isUnpersisted, set.watermark?.revision], [false, 2]);
});

const damages = {
  "a changed row": "UPDATE envelope SET payload = x'0102' WHERE position = 2",
  "a changed signature": "UPDATE envelope SET signature = zeroblob(64) WHERE position = 2",
  "a lost row": "DELETE FROM envelope WHERE position = 2",
  "a lost beginning": "DELETE FROM envelope WHERE position = 1",
};

t.test("a damaged set starts, serves what verifies, keeps its floor and is mended by a snapshot only", async (t) => {
  for (const [what, sql] of Object.entries(damages)) {
    using database = open(":memory:");
    const set = new PoolSet(database, options);
    set.apply(signed(first));
    set.apply(signed(second));
    database.exec(sql);
    const damaged = new PoolSet(database, options);
    t.ok(damaged.damage, what);
    t.equal(damaged.watermark, undefined, what);
    t.equal(damaged.resources.has("Assignment/b"), false, what);
    const third = batchOf(2, 3, [], [a, b]);
    t.throws(() => damaged.apply(signed(third)), { code: "revision-compacted" }, what);
    t.throws(() => damaged.apply(signed(batchOf(0, 1, [a], [a]))), { code: "epoch-regressed" }, what);
    t.equal(damaged.apply(signed(batchOf(0, 3, [a, b], [a, b]))), true, what);
    t.equal(new PoolSet(database, options).watermark?.revision, 3, what);
  }
});

t.test("a snapshot comes in parts, bounded, and counts only when the last is there", async (t) => {
  using database = open(":memory:");
  const set = new PoolSet(database, options);
  const whole = batchOf(0, 2, [a, b], [a, b]);
  const parts = whole.rows.map((row, part) => ({ ...whole, rows: [row], part, last: part === 1 }));
  const [one, two] = parts.map((part) => signed(part.last ? part : { ...part, setDigest: "" }));
  if (one === undefined || two === undefined) throw new Error("two parts");
  t.equal(set.apply(one), false);
  t.equal(set.watermark, undefined);
  t.equal(set.apply(two), true);
  t.equal(new PoolSet(database, options).watermark?.revision, 2);
  const endless = (part: number) => signed({ ...whole, to: 3, rows: [], part, last: false, setDigest: "" });
  for (let part = 0; part < SNAPSHOT_PARTS_MAX; part += 1) set.apply(endless(part));
  t.throws(() => set.apply(endless(SNAPSHOT_PARTS_MAX)), { code: "argument-invalid" });
  t.equal(set.watermark?.revision, 2);
});

t.test("whatever is wrong with a batch, the set stays as it was", async (t) => {
  using database = open(":memory:");
  const set = new PoolSet(database, options);
  set.apply(signed(first));
  const before = set.watermark;
  const wrong = fc.constantFrom<Partial<PoolBatch>>(
    { pool: "far" },
    { epoch: 0 },
    { epoch: 2 },
    { from: 5 },
    { part: 3 },
    { rows: [] },
    { to: 0 },
  );
  const altered = wrong.map((change) => signed({ ...second, ...change }));
  const good = signed(second);
  const flipped = fc.nat(good.payload.length - 1).map((at) => {
    return { ...good, payload: good.payload.map((byte, index) => (index === at ? byte ^ 1 : byte)) };
  });
  const isRefused = (envelope: typeof good): boolean => {
    try {
      set.apply(envelope);
      return false;
    } catch (error) {
      const stored = new PoolSet(database, options).watermark;
      return isFailure(error) && stored?.setDigest === before?.setDigest && set.watermark?.revision === 1;
    }
  };
  t.doesNotThrow(() => fc.assert(fc.property(fc.oneof(altered, flipped), isRefused)));
  t.equal(set.apply(good), true);
});
