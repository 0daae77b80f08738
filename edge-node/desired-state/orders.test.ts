/** Purges and revocations of a set that is refused are in force all the same, and nothing else of it is. */
import t from "tap";
import { type Database, openDatabase } from "#platform/sqlite/database.ts";
import { SignedSets } from "#test/desired-state/signed-sets.ts";
import { isRevoked } from "./desired-view.ts";
import { POOL_SET_MIGRATIONS, PoolSet } from "./pool-set.ts";
import { CRASHES_MAX, Trial } from "./trial.ts";

const open = () => openDatabase(":memory:", { migrations: POOL_SET_MIGRATIONS, durability: "full" });

/** One start of an edge's process on its database. */
function start(origin: SignedSets, database: Database) {
  const trial = new Trial(database);
  const outcome = trial.begin((failure) => {
    throw failure;
  });
  const mints = () => [origin.root.publicKey];
  const set = new PoolSet(database, { pool: "near", keys: () => origin.keys, mints }, trial);
  if (outcome.kind === "went-back") trial.settle();
  const ordered = () => [...set.resourcesWithOrders.keys()].filter((key) => !set.resources.has(key)).sort();
  const proveAll = () => {
    if (set.position !== undefined) trial.prove(set.position, true);
  };
  return { set, trial, outcome, ordered, proveAll };
}

/** Three sites held and proven, two of which the origin has lost without a word. */
function heldOut() {
  const [origin, database] = [new SignedSets(), open()];
  const first = start(origin, database);
  first.set.apply(origin.put("Site/shop", "Site/news", "Site/blog").snapshot());
  first.proveAll();
  origin.lose("Site/news", "Site/blog");
  return { origin, database, ...first };
}

t.test("a set that is refused for what it lacks purges and revokes, over a restart, until one is taken", async (t) => {
  const { origin, database, set, ordered } = heldOut();
  const plain = set.resourcesWithOrders;
  t.equal(plain, set.resources);
  const refused = origin.put("Purge/p1", "Revocation/near-9", "ContentPolicy/c").snapshot();
  t.throws(() => set.apply(refused), { code: "shrink-refused" });
  t.same(ordered(), ["Purge/p1", "Revocation/near-9"]);
  t.ok(isRevoked(set.resourcesWithOrders, { kind: "node", name: "near-9", certificateSerial: "1" }));
  t.equal(set.watermark?.revision, 3, "what is held is as it was");
  const taken = set.resourcesWithOrders;
  t.throws(() => set.apply(refused), { code: "shrink-refused" });
  t.equal(set.resourcesWithOrders, taken, "once");
  t.throws(() => set.apply(origin.put("Purge/p2").batch()), { code: "revision-compacted" });
  t.same(ordered(), ["Purge/p1", "Purge/p2", "Revocation/near-9"], "what follows what was refused orders at once");
  t.throws(() => set.apply(origin.delete("Revocation/near-9").batch()), { code: "revision-compacted" });
  t.same(ordered(), ["Purge/p1", "Purge/p2"]);
  const again = start(origin, database);
  t.same(again.ordered(), ["Purge/p1", "Purge/p2"], "durable");
  t.throws(() => again.set.apply(origin.delete("Purge/p1").snapshot()), { code: "shrink-refused" });
  t.same(again.ordered(), ["Purge/p2"], "a snapshot has all that are retained");
  origin.bury("Site", "*").put("Site/shop");
  again.set.apply(origin.snapshot());
  t.equal(again.set.resourcesWithOrders, again.set.resources, "the set has them itself");
  t.ok(again.set.resources.has("Purge/p2"));
  t.same(start(origin, database).ordered(), []);
});

t.test("what comes in parts orders with its last one, and an older batch takes nothing back", async (t) => {
  const { origin, set, ordered } = heldOut();
  const old = origin.put("Purge/p1").snapshot({ to: origin.revision });
  origin.put("Purge/p1", "Purge/p2");
  t.ok(origin.revision > 4);
  const whole = origin.snapshot({ part: 0, last: false, setDigest: "" });
  t.equal(set.apply(whole), false);
  t.same(ordered(), []);
  t.throws(() => set.apply(origin.snapshot({ part: 1, rows: [] })), { code: "shrink-refused" });
  t.same(ordered(), ["Purge/p1", "Purge/p2"]);
  const newest = set.resourcesWithOrders.get("Purge/p1")?.metadata.resourceVersion;
  t.throws(() => set.apply(old), { code: "shrink-refused" });
  t.equal(set.resourcesWithOrders.get("Purge/p1")?.metadata.resourceVersion, newest);
  t.same(ordered(), ["Purge/p1", "Purge/p2"]);
});

t.test("nothing is ordered by who may not: another key, an epoch not minted, an older revision", async (t) => {
  const { origin, set, ordered } = heldOut();
  const stranger = new SignedSets();
  stranger.put("Purge/p1");
  t.throws(() => set.apply(stranger.snapshot()), { code: "signature-invalid" });
  t.throws(() => set.apply(origin.put("Purge/p1").snapshot({ epoch: 2 })), { code: "signature-invalid" });
  t.throws(() => set.apply(origin.snapshot({ to: 1 })), { code: "epoch-regressed" });
  t.throws(() => set.apply(origin.put("Purge/p1").batch()), { code: "revision-compacted" }, "a gap is no refusal");
  t.same(ordered(), []);
  const epochProof = origin.epochProof(2);
  origin.epoch = 2;
  t.throws(() => set.apply(origin.put("Purge/p1").snapshot({ epochProof })), { code: "shrink-refused" });
  t.same(ordered(), ["Purge/p1"], "of a minted one");
  t.equal(set.ordersEpoch, 2);
});

t.test("an edge in quarantine purges and revokes by what comes after what crashed", async (t) => {
  const [origin, database] = [new SignedSets(), open()];
  const first = start(origin, database);
  first.set.apply(origin.put("Site/shop").snapshot());
  first.proveAll();
  first.set.apply(origin.put("Site/bad").batch());
  first.trial.crashed();
  for (let crash = 1; crash < CRASHES_MAX; crash += 1) start(origin, database).trial.crashed();
  const back = start(origin, database);
  t.equal(back.outcome.kind, "went-back");
  t.throws(() => back.set.apply(origin.put("Purge/p1", "ContentPolicy/c").snapshot()), {
    code: "revision-quarantined",
  });
  t.throws(() => back.set.apply(origin.put("Revocation/near-9").batch()), { code: "revision-compacted" });
  t.same(back.ordered(), ["Purge/p1", "Revocation/near-9"]);
  t.same([...back.set.resources.keys()], ["Site/shop"]);
  back.set.apply(origin.delete("Site/bad").snapshot());
  t.same(back.ordered(), []);
});

t.test("an order that crashes the process three times is left out, and another version of it is not", async (t) => {
  const { origin, database, set, trial, ordered, proveAll } = heldOut();
  t.throws(() => set.apply(origin.put("Purge/good").snapshot()), { code: "shrink-refused" });
  proveAll();
  t.throws(() => set.apply(origin.put("Purge/bad").snapshot()), { code: "shrink-refused" });
  t.same(ordered(), ["Purge/bad", "Purge/good"]);
  trial.crashed();
  for (let crash = 1; crash < CRASHES_MAX; crash += 1) start(origin, database).trial.crashed();
  const back = start(origin, database);
  t.same(back.outcome, { kind: "went-back", to: "releases" });
  t.same(back.ordered(), ["Purge/good"], "what was proven stays");
  t.throws(() => back.set.apply(origin.snapshot()), { code: "shrink-refused" });
  t.same(back.ordered(), ["Purge/good"], "and does not come again");
  t.throws(() => back.set.apply(origin.put("Purge/bad").snapshot()), { code: "shrink-refused" });
  t.same(back.ordered(), ["Purge/bad", "Purge/good"]);
});
