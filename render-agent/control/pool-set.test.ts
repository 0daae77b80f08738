/** The agent's set takes batches from several edges, once each, and survives what its disk did. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { encodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { setDigestOf } from "#contracts/codec/set-digest.ts";
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { EPOCH_CONTEXT, epochBytes, POOL_BATCH_CONTEXT } from "#domain/desired-state.ts";
import type { AnyResource } from "#domain/resource.ts";
import { generateSigningKey, signBytes } from "#platform/identity/signatures.ts";
import { type Database, openDatabase } from "#platform/sqlite/database.ts";
import { testFolder } from "#test/test-folder.ts";
import { openPoolSet, POOL_SET_MIGRATIONS, PoolSet } from "./pool-set.ts";

const key = generateSigningKey();
const keys = new Map([[key.keyId, key.publicKey]]);
const root = generateSigningKey();
const proofOf = (epoch: number, by = root) => signBytes(EPOCH_CONTEXT, epochBytes(epoch), by);

function nodeAt(name: string, resourceVersion: number): AnyResource {
  const metadata = { name, labels: {}, generation: 1, resourceVersion, createdAtMs: 1 };
  const spec = { role: "agent", pool: "near", cordoned: false, draining: false };
  return parseStoredResource(JSON.stringify({ apiVersion: "perigee.dev/v1", kind: "Node", metadata, spec }));
}

interface Made {
  readonly pool?: string;
  readonly epoch?: number;
  readonly snapshot?: boolean;
  readonly part?: number;
  readonly last?: boolean;
  readonly signer?: typeof key;
  readonly epochProof?: Uint8Array;
  readonly digestOf?: readonly AnyResource[];
}

/** From one revision to the next, bringing the nodes named; the digest is of all up to it. */
function batchOf(
  from: number,
  to: number,
  brings: readonly AnyResource[],
  all: readonly AnyResource[],
  made: Made = {},
) {
  const { pool = "near", epoch = 1, snapshot = false, part = 0, last = true, signer = key, epochProof } = made;
  const rows = brings.map((resource) => ({
    revision: to,
    kind: resource.kind,
    name: resource.metadata.name,
    resource,
  }));
  const setDigest = last ? setDigestOf(all) : "";
  const payload = encodePoolBatch({
    ...{ epoch, pool, from, to, snapshot, part, last, rows, setDigest },
    ...(epochProof && { epochProof }),
  });
  return { payload, signature: signBytes(POOL_BATCH_CONTEXT, payload, signer), keyId: signer.keyId };
}

function openSet(t: Test, path = join(testFolder(t), "desired.sqlite"), trusted = keys, epoch = 1) {
  const database = openDatabase(path, { migrations: POOL_SET_MIGRATIONS, durability: "full" });
  t.teardown(() => database.close());
  return { database, path, set: openOn(database, trusted, epoch) };
}

function openOn(database: Database, trusted: typeof keys, epoch: number): PoolSet {
  const epochs = () => ({ epoch, mints: () => [root.publicKey] });
  return new PoolSet(database, { pool: "near", keys: () => trusted, epochs });
}

const [a, b, c] = [nodeAt("a", 1), nodeAt("b", 2), nodeAt("c", 3)];
const first = batchOf(0, 1, [a], [a], { snapshot: true });
const second = batchOf(1, 2, [b], [a, b]);
const third = batchOf(2, 3, [c], [a, b, c]);

t.test("what two edges send is applied once, in whatever order they run ahead of each other", async (t) => {
  const { set } = openSet(t);
  t.equal(set.watermark, undefined);
  t.equal(set.apply("near-1", first), "applied");
  t.equal(set.apply("near-1", second), "applied");
  t.equal(set.apply("near-2", first), "known");
  t.equal(set.apply("near-2", second), "known");
  t.equal(set.apply("near-2", third), "applied");
  t.equal(set.apply("near-1", third), "known");
  t.match(set.watermark, { epoch: 1, revision: 3, setDigest: setDigestOf([a, b, c]) });
  t.same([...set.resources.keys()], ["Node/a", "Node/b", "Node/c"]);
});

t.test("what does not verify or follow changes nothing and is named", async (t) => {
  const { set } = openSet(t);
  set.apply("near-1", first);
  const stranger = generateSigningKey();
  const wrong = {
    "signature-invalid": batchOf(1, 2, [b], [a, b], { signer: stranger }),
    "argument-invalid": batchOf(1, 2, [b], [a, b], { pool: "far" }),
    "revision-compacted": third,
    "digest-mismatch": batchOf(1, 2, [b], [a]),
  };
  for (const [code, batch] of Object.entries(wrong)) t.throws(() => set.apply("near-1", batch), { code }, code);
  const broken = { ...second, payload: second.payload.map((byte) => byte ^ 1) };
  t.throws(() => set.apply("near-1", broken), { code: "signature-invalid" });
  t.match(set.watermark, { revision: 1 });
  t.equal(set.apply("near-1", second), "applied");
});

t.test("a snapshot in parts counts when it is whole; each edge's parts are its own", async (t) => {
  const { set } = openSet(t);
  const parts = [
    batchOf(0, 2, [a], [], { snapshot: true, last: false }),
    batchOf(0, 2, [b], [a, b], { snapshot: true, part: 1 }),
  ] as const;
  t.equal(set.apply("near-1", parts[0]), "awaits-parts");
  t.equal(set.apply("near-2", parts[0]), "awaits-parts");
  set.forgetParts("near-1");
  t.throws(() => set.apply("near-1", parts[1]), { code: "revision-compacted" });
  t.equal(set.apply("near-2", parts[1]), "applied");
  t.match(set.watermark, { revision: 2 });
});

t.test(
  "it is there again after a restart; a damaged chain counts as far as it verifies and awaits a snapshot",
  async (t) => {
    const { set, database, path } = openSet(t);
    for (const batch of [first, second]) set.apply("near-1", batch);
    database.close();
    const again = openSet(t, path);
    t.match(again.set.watermark, { revision: 2 });
    t.equal(again.set.apply("near-1", third), "applied");
    again.database.exec("UPDATE envelope SET payload = x'00' WHERE position = 3");
    again.database.close();
    const damaged = openSet(t, path).set;
    t.match(damaged.damage, { code: "signature-invalid" });
    t.equal(damaged.watermark, undefined);
    t.ok(damaged.needsSnapshot && damaged.resources.has("Node/b"), "what verified is held meanwhile");
    t.throws(() => damaged.apply("near-1", batchOf(2, 3, [c], [a, b, c])), { code: "revision-compacted" });
    t.equal(damaged.apply("near-1", batchOf(0, 3, [a, b, c], [a, b, c], { snapshot: true })), "applied");
    t.equal(damaged.damage, undefined);
  },
);

t.test("another epoch's snapshot is taken, an older epoch's nothing", async (t) => {
  const { set } = openSet(t);
  set.apply("near-1", batchOf(0, 9, [a], [a], { snapshot: true, epoch: 2, epochProof: proofOf(2) }));
  t.equal(set.apply("near-1", second), "known");
  for (const epochProof of [new Uint8Array(), proofOf(3, key), proofOf(4)]) {
    const unproven = batchOf(0, 1, [b], [b], { snapshot: true, epoch: 3, epochProof });
    t.throws(() => set.apply("near-1", unproven), { code: "signature-invalid" });
    t.match(set.watermark, { epoch: 2 });
  }
  const proven = batchOf(0, 1, [b], [b], { snapshot: true, epoch: 3, epochProof: proofOf(3) });
  t.equal(set.apply("near-1", proven), "applied");
  t.match(set.watermark, { epoch: 3, revision: 1 });
});

t.test("an epoch before the certificate's is not taken, and that one needs no proof", async (t) => {
  const { set } = openSet(t, undefined, keys, 4);
  t.throws(() => set.apply("near-1", first), { code: "epoch-regressed" });
  t.equal(set.apply("near-1", batchOf(0, 1, [a], [a], { snapshot: true, epoch: 4 })), "applied");
});

t.test("what another stream key has signed opens after a restart, and nothing new by that key does", async (t) => {
  const { set, database, path } = openSet(t);
  set.apply("near-1", first);
  database.close();
  const next = generateSigningKey();
  const later = openSet(t, path, new Map([[next.keyId, next.publicKey]]));
  t.equal(later.set.damage, undefined);
  t.match(later.set.watermark, { revision: 1 });
  t.throws(() => later.set.apply("near-1", second), { code: "signature-invalid" });
  t.equal(later.set.apply("near-1", batchOf(1, 2, [b], [a, b], { signer: next })), "applied");
  later.database.close();
  t.match(openSet(t, path, new Map()).set.watermark, { revision: 2 });
});

t.test("a set whose file has rotted is set aside and begun again, and an edge's next snapshot is taken", (t) => {
  const path = join(testFolder(t), "desired.sqlite");
  const damages: string[] = [];
  const options = { pool: "near", keys: () => keys, epochs: () => ({ epoch: 1, mints: () => [root.publicKey] }) };
  const openIt = () => openPoolSet(path, options, ({ code }) => void damages.push(code));
  const before = openIt();
  t.equal(before.set.apply("near-1", first), "applied");
  before.database.close();
  t.same(damages, []);
  writeFileSync(path, Buffer.alloc(8_192, 7));
  const { set, database } = openIt();
  t.teardown(() => database.close());
  t.same(damages, ["storage-failed"]);
  t.equal(set.watermark, undefined);
  t.ok(existsSync(`${path}.damaged`));
  t.equal(set.apply("near-1", first), "applied");
  t.end();
});
