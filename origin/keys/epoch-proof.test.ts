/** The epoch of a restored log stays minted, whichever authority issues, for whoever trusts any of them. */
import { join } from "node:path";
import t from "tap";
import { EPOCH_CONTEXT, epochBytes } from "#domain/desired-state.ts";
import { authorityKeysOf } from "#platform/identity/certificates.ts";
import { isSignedBy } from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { Authorities, OVERLAP_MS } from "./authorities.ts";
import { type EpochProof, mintEpoch, openEpochProof } from "./epoch-proof.ts";

type Certificate = Authorities["root"];

/** As a node judges it that trusts these. */
function isMinted(epoch: number, proof: EpochProof | undefined, trusted: readonly Certificate[]): boolean {
  if (proof === undefined) return false;
  const keys = authorityKeysOf(trusted, proof.crossCertificate);
  return keys.some((key) => isSignedBy(EPOCH_CONTEXT, epochBytes(epoch), proof.signature, key));
}

t.test("an epoch that one authority minted is the next one's too, over restarts and its retirement", async (t) => {
  const clock = new VirtualClock();
  const folder = testFolder(t);
  const open = () => Authorities.open(join(folder, "identity"), { clock, random: systemRandom });
  const authorities = await open();
  t.equal((await openEpochProof(folder, authorities, 1))(), undefined, "the first is nobody's to mint");
  await t.rejects(openEpochProof(folder, authorities, 2), { code: "epoch-regressed" }, "nobody has minted it");
  await mintEpoch(folder, authorities.issuing, 2);
  await t.rejects(openEpochProof(folder, authorities, 3), { code: "epoch-regressed" }, "another was minted");
  const proof = await openEpochProof(folder, authorities, 2);
  const first = authorities.root;
  t.ok(isMinted(2, proof(), [first]));
  await authorities.rotate(OVERLAP_MS);
  const second = authorities.issuing.certificate;
  for (const trusted of [[first], [second], [second, first]]) {
    t.ok(isMinted(2, proof(), trusted), `for who trusts ${trusted.map(({ subject }) => subject).join(" and ")}`);
  }
  await clock.advance(OVERLAP_MS);
  const later = await open();
  const again = await openEpochProof(folder, later, 2);
  t.equal(await later.retireDue(), true);
  t.ok(isMinted(2, again(), [second]), "started again when the first was due to retire");
  t.ok(isMinted(2, (await openEpochProof(folder, await open(), 2))(), [second]), "and after it has");
  t.notOk(isMinted(2, again(), [first]));
});

t.test("an authority that took over before a restore mints for who knows only the one before", async (t) => {
  const clock = new VirtualClock();
  const folder = testFolder(t);
  const authorities = await Authorities.open(join(folder, "identity"), { clock, random: systemRandom });
  const first = authorities.root;
  await authorities.rotate(OVERLAP_MS);
  await mintEpoch(folder, authorities.issuing, 2);
  const proof = (await openEpochProof(folder, authorities, 2))();
  t.ok(isMinted(2, proof, [first]));
  const stranger = await Authorities.open(join(folder, "other"), { clock, random: systemRandom });
  t.notOk(isMinted(2, proof, [stranger.root]), "not for who trusts neither");
});

t.test("an origin that runs from a rotation to the end of its overlap starts again after it", async (t) => {
  const clock = new VirtualClock();
  const folder = testFolder(t);
  const open = () => Authorities.open(join(folder, "identity"), { clock, random: systemRandom });
  const authorities = await open();
  await mintEpoch(folder, authorities.issuing, 2);
  await openEpochProof(folder, authorities, 2);
  await authorities.rotate(OVERLAP_MS);
  await clock.advance(OVERLAP_MS);
  t.equal(await authorities.retireDue(), true);
  t.ok(isMinted(2, (await openEpochProof(folder, await open(), 2))(), authorities.trusted));
});

t.test("a rotation that ended before the epoch was signed again is mended at the next start", async (t) => {
  const clock = new VirtualClock();
  const folder = testFolder(t);
  const open = () => Authorities.open(join(folder, "identity"), { clock, random: systemRandom });
  const authorities = await open();
  await mintEpoch(folder, authorities.issuing, 2);
  // Nobody is told of it: as if killed.
  await authorities.rotate(1);
  await openEpochProof(folder, await open(), 2);
  await clock.advance(1);
  const later = await open();
  t.equal(await later.retireDue(), true, "nor of this");
  t.ok(isMinted(2, (await openEpochProof(folder, await open(), 2))(), later.trusted));
});
