import fc from "fast-check";
import t from "tap";
import { encodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { setDigestOf } from "#contracts/codec/set-digest.ts";
import { POOL_BATCH_CONTEXT, type PoolBatch } from "#domain/desired-state.ts";
import { isFailure } from "#domain/failure.ts";
import type { AnyResource } from "#domain/resource.ts";
import { generateSigningKey, signBytes } from "#platform/identity/signatures.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { POOL_SET_MIGRATIONS, PoolSet } from "./pool-set.ts";

const key = generateSigningKey();
const options = { pool: "near", keys: new Map([[key.keyId, key.publicKey]]) };

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

t.test("batches are kept across a restart, and a damaged set asks for a snapshot", async (t) => {
  const path = `${t.testdir()}/set.db`;
  using database = openDatabase(path, { migrations: POOL_SET_MIGRATIONS, durability: "full" });
  const set = new PoolSet(database, options);
  set.apply(signed(first));
  set.apply(signed(second));
  t.same(new PoolSet(database, options).watermark, { epoch: 1, revision: 2, setDigest: setDigestOf([a, b]) });
  database.exec("DELETE FROM resource WHERE key = 'Assignment/a'");
  t.equal(new PoolSet(database, options).watermark.revision, 0);
});

t.test("whatever is wrong with a batch, the set stays as it was", async (t) => {
  using database = openDatabase(":memory:", { migrations: POOL_SET_MIGRATIONS, durability: "full" });
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
  fc.assert(
    fc.property(fc.oneof(altered, flipped), (envelope) => {
      try {
        set.apply(envelope);
        return false;
      } catch (error) {
        const stored = new PoolSet(database, options);
        return isFailure(error) && set.watermark === before && stored.watermark.setDigest === before.setDigest;
      }
    }),
  );
  t.equal(set.apply(good), true);
});
