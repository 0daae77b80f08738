/** The set is what was signed, whatever comes and whatever happened to the disk. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { encodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { setDigestOf } from "#contracts/codec/set-digest.ts";
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { ALL_POOLS, EPOCH_CONTEXT, epochBytes, POOL_BATCH_CONTEXT, type PoolBatch } from "#domain/desired-state.ts";
import { type FailureCode, isFailure } from "#domain/failure.ts";
import { type AnyResource, API_VERSION } from "#domain/resource.ts";
import { generateSigningKey, type SigningKey, signBytes } from "#platform/identity/signatures.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  CHAIN_ENVELOPES_MAX,
  DESIRED_SET_MIGRATIONS,
  DesiredSet,
  openDesiredSet,
  type SignedBatch,
} from "./desired-set.ts";

const key = generateSigningKey();
const streamKeys = new Map([[key.keyId, key.publicKey]]);
const root = generateSigningKey();
const mints = () => [root.publicKey];

function assignment(pool: string, resourceVersion: number): AnyResource {
  const metadata = { name: pool, labels: {}, generation: 1, resourceVersion, createdAtMs: 0 };
  const spec = { pool, sites: [], apps: [] };
  return parseStoredResource(JSON.stringify({ apiVersion: API_VERSION, kind: "Assignment", metadata, spec }));
}

function batch(to: number, resources: readonly AnyResource[], changes: Partial<PoolBatch> = {}): PoolBatch {
  const rows = resources.map((resource) => {
    const { kind, metadata } = resource;
    return { revision: metadata.resourceVersion, kind, name: metadata.name, resource };
  });
  const whole = { pool: ALL_POOLS, from: 0, to, snapshot: true, part: 0, last: true };
  return { epoch: 1, ...whole, rows, setDigest: setDigestOf(resources), ...changes };
}

function signed(made: PoolBatch, by: SigningKey = key): SignedBatch {
  const payload = encodePoolBatch(made);
  return { payload, signature: signBytes(POOL_BATCH_CONTEXT, payload, by), keyId: by.keyId };
}

function open(t: Test, folder = testFolder(t), trusted = streamKeys) {
  const database = openDatabase(join(folder, "desired.sqlite"), {
    migrations: DESIRED_SET_MIGRATIONS,
    durability: "normal",
  });
  t.teardown(() => database.close());
  return { folder, database, set: new DesiredSet(database, () => ({ streamKeys: trusted, epoch: 1, mints })) };
}

function codeOf(run: () => unknown): FailureCode | undefined {
  try {
    run();
  } catch (error) {
    if (isFailure(error)) return error.code;
    throw error;
  }
  return undefined;
}

const a = assignment("a", 1);
const b = assignment("b", 2);
const c = assignment("c", 3);
const second = batch(3, [c], { from: 2, snapshot: false, setDigest: setDigestOf([a, b, c]) });

t.test("a snapshot in parts and what follows it are there after a restart", async (t) => {
  const { folder, database, set } = open(t);
  t.equal(set.watermark, undefined);
  const parts = { setDigest: setDigestOf([a, b]) };
  t.equal(set.apply(signed(batch(2, [a], { last: false, setDigest: "" }))), false);
  t.equal(set.apply(signed(batch(2, [b], { part: 1, ...parts }))), true);
  t.equal(set.apply(signed(second)), true);
  database.close();
  const again = open(t, folder).set;
  t.same(again.watermark, { epoch: 1, revision: 3, setDigest: setDigestOf([a, b, c]) });
  t.same([...again.resources.keys()], ["Assignment/a", "Assignment/b", "Assignment/c"]);
  t.equal(again.damage, undefined);
});

t.test("what is not as it was signed, of another pool, older or unfitting changes nothing", async (t) => {
  const { set } = open(t);
  set.apply(signed(batch(2, [a, b])));
  const stranger = generateSigningKey();
  const broken = { ...signed(second), signature: new Uint8Array(64) };
  const cases = [
    ["a stranger's key", signed(second, stranger), "signature-invalid"],
    ["a broken signature", broken, "signature-invalid"],
    ["one pool's batch", signed(batch(3, [c], { pool: "near" })), "argument-invalid"],
    ["no batch", { ...sign(Buffer.from("no batch")) }, "argument-invalid"],
    ["an older snapshot", signed(batch(1, [a])), "epoch-regressed"],
    ["an older epoch", signed(batch(9, [a], { epoch: 0 })), "epoch-regressed"],
    ["a gap", signed({ ...second, from: 1 }), "revision-compacted"],
    ["another digest", signed({ ...second, setDigest: setDigestOf([a]) }), "digest-mismatch"],
    ["a part without the first", signed(batch(4, [c], { part: 1 })), "revision-compacted"],
  ] as const;
  for (const [what, envelope, code] of cases) {
    t.equal(
      codeOf(() => set.apply(envelope)),
      code,
      what,
    );
    t.equal(set.watermark?.revision, 2, what);
  }
  t.equal(set.apply(signed(second)), true);
});

function sign(payload: Uint8Array): SignedBatch {
  return { payload, signature: signBytes(POOL_BATCH_CONTEXT, payload, key), keyId: key.keyId };
}

t.test("a set of an older epoch than at enrolment is not taken, the first one neither", async (t) => {
  const { database } = open(t);
  const set = new DesiredSet(database, () => ({ streamKeys, epoch: 5, mints }));
  t.equal(
    codeOf(() => set.apply(signed(batch(2, [a], { epoch: 4 })))),
    "epoch-regressed",
  );
  t.equal(set.apply(signed(batch(2, [a], { epoch: 5 }))), true);
});

t.test(
  "a later epoch is taken where an authority that is pinned has signed it, not by the stream key alone",
  async (t) => {
    const { set } = open(t);
    set.apply(signed(batch(2, [a, b])));
    const next = batch(1, [c], { epoch: 2 });
    const proofs = [
      undefined,
      signBytes(EPOCH_CONTEXT, epochBytes(2), key),
      signBytes(EPOCH_CONTEXT, epochBytes(3), root),
    ];
    for (const proof of proofs) {
      const made = signed(proof === undefined ? next : { ...next, epochProof: proof });
      t.equal(
        codeOf(() => set.apply(made)),
        "signature-invalid",
      );
      t.equal(set.watermark?.epoch, 1);
    }
    const epochProof = signBytes(EPOCH_CONTEXT, epochBytes(2), root);
    t.equal(set.apply(signed({ ...next, epochProof })), true);
    t.equal(set.watermark?.epoch, 2);
  },
);

t.test("what another stream key has signed opens after a restart, and nothing new by that key does", async (t) => {
  const { folder, database, set } = open(t);
  set.apply(signed(batch(2, [a, b])));
  database.close();
  const next = generateSigningKey();
  const later = open(t, folder, new Map([[next.keyId, next.publicKey]]));
  t.equal(later.set.damage, undefined);
  t.equal(later.set.watermark?.revision, 2);
  t.equal(
    codeOf(() => later.set.apply(signed(second))),
    "signature-invalid",
  );
  t.equal(later.set.apply(signed(second, next)), true);
  later.database.close();
  t.equal(open(t, folder, new Map()).set.watermark?.revision, 3);
});

t.test("damage on disk leaves what verifies before it, and the origin goes on from there", async (t) => {
  const { folder, database, set } = open(t);
  set.apply(signed(batch(2, [a, b])));
  set.apply(signed(second));
  database.prepare("UPDATE envelope SET signature = ? WHERE position = 2").run(new Uint8Array(64));
  database.close();
  const damaged = open(t, folder);
  t.match(damaged.set.damage, { code: "signature-invalid" });
  t.equal(damaged.set.watermark?.revision, 2);
  t.equal(damaged.set.apply(signed(second)), true);
  damaged.database.close();
  t.equal(open(t, folder).set.watermark?.revision, 3, "what was damaged is gone");
});

t.test("a crash between the parts of a snapshot leaves none of it", async (t) => {
  const { folder, database } = open(t);
  const { payload, signature, keyId } = signed(batch(2, [a], { last: false, setDigest: "" }));
  database.prepare("INSERT INTO envelope (payload, signature, key_id) VALUES (?, ?, ?)").run(payload, signature, keyId);
  database.close();
  const { set } = open(t, folder);
  t.match(set.damage, { code: "storage-failed" });
  t.equal(set.watermark, undefined);
});

t.test("a long chain asks for a snapshot, which replaces it", async (t) => {
  const { database, set } = open(t);
  set.apply(signed(batch(1, [a])));
  for (let to = 2; to <= CHAIN_ENVELOPES_MAX + 1; to += 1) {
    set.apply(signed(batch(to, [], { from: to - 1, snapshot: false, setDigest: setDigestOf([a]) })));
  }
  t.equal(set.needsSnapshot, true);
  set.apply(signed(batch(CHAIN_ENVELOPES_MAX + 1, [a])));
  t.equal(set.needsSnapshot, false);
  t.equal(database.prepare("SELECT count(*) AS count FROM envelope").get()?.["count"], 1);
});

t.test("a set whose file has rotted is set aside and begun again, and the origin's next snapshot is taken", (t) => {
  const folder = testFolder(t);
  const path = join(folder, "desired.sqlite");
  const trust = () => ({ streamKeys, epoch: 1, mints });
  const damages: string[] = [];
  const openIt = () => openDesiredSet(path, trust, ({ code }) => void damages.push(code));
  const before = openIt();
  before.set.apply(signed(batch(2, [a, b])));
  before.database.close();
  t.same(damages, []);
  writeFileSync(path, Buffer.alloc(8_192, 7));
  const { set, database } = openIt();
  t.teardown(() => database.close());
  t.same(damages, ["storage-failed"]);
  t.equal(set.watermark, undefined);
  t.ok(existsSync(`${path}.damaged`));
  set.apply(signed(batch(2, [a, b])));
  t.equal(set.watermark?.revision, 2);
  t.end();
});
