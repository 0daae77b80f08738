/** What an edge holds gives way only to what is later, whole, and meant. */
import t from "tap";
import {
  createAuthority,
  createCertificateRequest,
  crossCertify,
  issueCertificate,
} from "#platform/identity/authority.ts";
import { authorityKeysOf } from "#platform/identity/certificates.ts";
import { generateSigningKey, type SigningKey } from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { SignedSets } from "#test/desired-state/signed-sets.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { POOL_SET_MIGRATIONS, PoolSet } from "./pool-set.ts";

const open = () => openDatabase(":memory:", { migrations: POOL_SET_MIGRATIONS, durability: "full" });
const sites = (count: number, kind = "Site") => Array.from({ length: count }, (_, index) => `${kind}/s${index}`);

/** An edge that holds what the origin has. */
function held(keys: readonly string[], database = open()) {
  const origin = new SignedSets();
  const trust = { pool: "near", keys: () => origin.keys, mints: () => [origin.root.publicKey] };
  const set = new PoolSet(database, trust);
  set.apply(origin.put(...keys).snapshot());
  return { origin, set, database, trust };
}

t.test("a snapshot that lacks more than 30 % of a kind is refused, and at 30 % taken", async (t) => {
  const cases: [held: number, lost: number, isTaken: boolean, why: string][] = [
    [10, 3, true, "exactly 30 %"],
    [10, 4, false, "40 %"],
    [100, 30, true, "exactly 30 % of many"],
    [100, 31, false, "31 %"],
    [2, 1, true, "one of two is one"],
    [3, 1, true, "one of three is one"],
    [3, 2, false, "two of three"],
    [1, 1, false, "the only one"],
    [2, 2, false, "all"],
  ];
  for (const kind of ["Site", "ContentPolicy"]) {
    for (const [count, lost, isTaken, why] of cases) {
      const { origin, set, database, trust } = held(sites(count, kind));
      const snapshot = origin.lose(...sites(lost, kind)).snapshot();
      const what = `${kind}: ${lost} of ${count}, ${why}`;
      if (isTaken) t.equal(set.apply(snapshot), true, what);
      else t.throws(() => set.apply(snapshot), { code: "shrink-refused", detail: { kind, lost, held: count } }, what);
      t.equal(set.resources.size, isTaken ? count - lost : count, what);
      t.equal(new PoolSet(database, trust).resources.size, set.resources.size, `${what}, on disk`);
    }
  }
});

t.test("what tombstones name may go, by name or all of a kind; what was written after one may not", async (t) => {
  const bury = (origin: SignedSets, names: readonly string[]) => names.map((name) => origin.bury("Site", name));
  const some = held(sites(10));
  bury(some.origin.lose(...sites(9)), ["s0", "s1", "s2", "s3", "s4"]);
  t.throws(
    () => some.set.apply(some.origin.snapshot()),
    { code: "shrink-refused", detail: { lost: 4, held: 10 } },
    "four are not named",
  );
  bury(some.origin, ["s5"]);
  t.equal(some.set.apply(some.origin.snapshot()), true, "three of ten are not named");

  const every = held(sites(4));
  every.origin.lose(...sites(4)).bury("ContentPolicy", "*");
  t.throws(() => every.set.apply(every.origin.snapshot()), { code: "shrink-refused" }, "of another kind");
  every.origin.bury("Site", "*");
  t.equal(every.set.apply(every.origin.snapshot()), true);

  const again = held([]);
  again.origin
    .bury("Site", "s0")
    .bury("Site", "s1")
    .put(...sites(2));
  again.set.apply(again.origin.snapshot());
  again.origin.lose(...sites(2));
  t.throws(() => again.set.apply(again.origin.snapshot()), { code: "shrink-refused" }, "made again since");
});

t.test("a batch names what it deletes: a chain of them may take everything, one by one or at once", async (t) => {
  const { origin, set } = held(sites(10));
  t.equal(set.apply(origin.delete("Site/s0").batch()), true);
  t.equal(set.apply(origin.delete(...sites(10).slice(1)).batch()), true);
  t.equal(set.resources.size, 0);
});

t.test("releases are what sites serve: none is lost while its site stands, in a batch or a snapshot", async (t) => {
  const keys = [...sites(4), ...sites(4, "Release").map((key) => `${key}.1`)];
  const gone = ["Release/s0.1", "Release/s1.1"];
  const byBatch = held(keys);
  t.throws(() => byBatch.set.apply(byBatch.origin.delete(...gone).batch()), {
    code: "shrink-refused",
    detail: { kind: "Release", lost: 2 },
  });
  const bySnapshot = held(keys);
  t.throws(() => bySnapshot.set.apply(bySnapshot.origin.lose(...gone).snapshot()), {
    code: "shrink-refused",
    detail: { kind: "Release" },
  });
  const withSites = held(keys);
  t.equal(
    withSites.set.apply(withSites.origin.delete("Site/s0", "Site/s1", ...gone).batch()),
    true,
    "with their sites",
  );
  const superseded = held(keys);
  t.equal(
    superseded.set.apply(
      superseded.origin
        .put("Release/s0.2", "Release/s1.2")
        .delete(...gone)
        .batch(),
    ),
    true,
  );
  const madeAgain = held(keys);
  madeAgain.origin.delete("Site/s0", "Site/s1", ...gone).put("Site/s0", "Site/s1");
  t.equal(madeAgain.set.apply(madeAgain.origin.batch()), true, "of sites that were made again");
});

t.test("orders and what the origin counts may go in any number", async (t) => {
  const { origin, set } = held(["Site/s0", ...sites(50, "Purge")]);
  t.equal(set.apply(origin.lose(...sites(50, "Purge")).snapshot()), true);
});

t.test("a later epoch is taken where a pinned authority has minted it, and no earlier one after it", async (t) => {
  const { origin, set, database, trust } = held(sites(2));
  const before = set.watermark;
  origin.epoch = 2;
  origin.put("Site/s2");
  t.throws(() => set.apply(origin.snapshot()), { code: "signature-invalid" }, "not signed");
  const strangers = origin.epochProof(2, generateSigningKey());
  t.throws(() => set.apply(origin.snapshot({ epochProof: strangers })), { code: "signature-invalid" }, "by a stranger");
  t.throws(() => set.apply(origin.snapshot({ epochProof: origin.epochProof(3) })), { code: "signature-invalid" });
  t.same(set.watermark, before);
  t.equal(set.apply(origin.snapshot({ epochProof: origin.epochProof() })), true);
  t.equal(new PoolSet(database, trust).watermark?.epoch, 2);
  origin.epoch = 1;
  t.throws(() => set.apply(origin.put("Site/s3").snapshot()), { code: "epoch-regressed" });
  t.throws(() => set.apply(origin.put("Site/s4").batch()), { code: "epoch-regressed" });
  const certified = new PoolSet(open(), { ...trust, epoch: () => 3 });
  origin.epoch = 2;
  const proven = origin.snapshot({ epochProof: origin.epochProof() });
  t.throws(() => certified.apply(proven), { code: "epoch-regressed" }, "older than the certificate");
  origin.epoch = 3;
  t.equal(certified.apply(origin.snapshot()), true, "of the certificate's epoch");
});

t.test(
  "who a pinned authority has certified as one mints epochs too, and nobody else that it has certified",
  async (t) => {
    const tools = { clock: new VirtualClock(), random: systemRandom };
    const [pinned, next, stranger] = await Promise.all(["a", "b", "c"].map((name) => createAuthority(name, tools)));
    if (pinned === undefined || next === undefined || stranger === undefined) throw new Error("three authorities");
    const { origin, trust } = held(sites(2));
    const set = new PoolSet(open(), { ...trust, mints: (cross) => authorityKeysOf([pinned.certificate], cross) });
    origin.epoch = 2;
    const by = (key: SigningKey, { raw }: { readonly raw: Uint8Array }) =>
      origin.snapshot({ epochProof: origin.epochProof(2, key), epochAuthority: new Uint8Array(raw) });
    const refused = { code: "signature-invalid" };
    const forged = await crossCertify(stranger, next.certificate, tools);
    t.throws(() => set.apply(by(next.key, forged)), refused, "certified by a stranger");
    t.throws(() => set.apply(by(next.key, next.certificate)), refused, "by itself");
    const node = generateSigningKey();
    const edge = { role: "edge", pool: "near", name: "near-1" } as const;
    const options = { ...tools, lifetimeMs: 86_400_000 };
    const leaf = await issueCertificate(pinned, await createCertificateRequest(node), edge, options);
    t.throws(() => set.apply(by(node, leaf)), refused, "a node");
    const cross = await crossCertify(pinned, next.certificate, tools);
    t.throws(() => set.apply(by(stranger.key, cross)), refused, "another than who was certified");
    t.throws(() => set.apply(by(next.key, { raw: Buffer.from("no certificate") })), { code: "certificate-untrusted" });
    t.equal(set.apply(by(next.key, cross)), true);
  },
);

t.test("an older revision of the same epoch is refused, by batch and by snapshot", async (t) => {
  const { origin, set } = held(sites(5));
  const { revision } = origin;
  origin.revision = 2;
  t.throws(() => set.apply(origin.snapshot()), { code: "epoch-regressed" });
  t.throws(() => set.apply(origin.put("Site/s9").batch()), { code: "epoch-regressed" });
  t.equal(set.watermark?.revision, revision);
});

t.test(
  "a set opens by the key that it came with, after that key is trusted no more, until another set is there",
  async (t) => {
    const { origin, database } = held(sites(2));
    const other = generateSigningKey();
    const trust = { pool: "near", keys: () => new Map([[other.keyId, other.publicKey]]) };
    const set = new PoolSet(database, trust);
    t.equal(set.damage, undefined);
    t.equal(set.resources.size, 2, "served");
    t.throws(() => set.apply(origin.put("Site/s2").batch()), { code: "signature-invalid" }, "nothing new by it");
    origin.streamKey = other;
    t.equal(set.apply(origin.snapshot()), true);
    t.equal(new PoolSet(database, trust).resources.size, 3);
  },
);
