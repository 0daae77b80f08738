/** One authority follows another: both are trusted for a while, each by who knows only one of them. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { createCertificateRequest, issueCertificate } from "#platform/identity/authority.ts";
import { pinOf, verifyChain } from "#platform/identity/certificates.ts";
import { exportPrivateKey, generateSigningKey } from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { Authorities, OVERLAP_MS } from "./authorities.ts";

const edge = { role: "edge", pool: "near", name: "near-1" } as const;
const DAY_MS = 86_400_000;

t.test(
  "who trusts either authority verifies what the new one issues; the old one retires, its key at once",
  async (t) => {
    const clock = new VirtualClock();
    const tools = { clock, random: systemRandom };
    const folder = testFolder(t);
    const authorities = await Authorities.open(folder, tools);
    const first = authorities.issuing;
    let changes = 0;
    authorities.onChange(async () => {
      changes += 1;
    });
    t.same([authorities.trusted, authorities.intermediates], [[first.certificate], []]);
    await authorities.rotate(OVERLAP_MS);
    t.equal(changes, 1);
    t.equal(pinOf(authorities.root), pinOf(first.certificate), "pins that were given hold");
    t.notOk(existsSync(join(folder, "authority.key")), "the key of the one before is destroyed");
    await t.rejects(authorities.rotate(OVERLAP_MS), { code: "resource-conflict" });

    const again = await Authorities.open(folder, tools);
    t.equal(pinOf(again.issuing.certificate), pinOf(authorities.issuing.certificate), "a restart changes nothing");
    const request = await createCertificateRequest(generateSigningKey());
    const leaf = await issueCertificate(again.issuing, request, edge, { ...tools, lifetimeMs: DAY_MS });
    const chain = [leaf, ...again.intermediates];
    const [newest, oldest] = again.trusted;
    t.ok(newest && oldest);
    for (const authority of again.trusted) {
      const trust = { authorities: [authority], roles: ["edge"] as const };
      t.same(verifyChain(chain, trust, clock.nowMs()).identity, edge, authority.subject);
      t.same(
        verifyChain([...chain, again.root], trust, clock.nowMs()).identity,
        edge,
        `${authority.subject}, with the root`,
      );
    }
    const byOld = { authorities: [first.certificate], roles: ["edge"] as const };
    t.throws(() => verifyChain([leaf], byOld, clock.nowMs()), { code: "certificate-untrusted" });
    const forged = await issueCertificate(
      { key: generateSigningKey(), certificate: again.issuing.certificate },
      request,
      edge,
      { ...tools, lifetimeMs: DAY_MS },
    );
    t.throws(() => verifyChain([forged, ...again.intermediates], byOld, clock.nowMs()), {
      code: "certificate-untrusted",
    });

    await clock.advance(OVERLAP_MS - 1);
    t.equal(await again.retireDue(), false);
    await clock.advance(1);
    t.equal(await again.retireDue(), true);
    t.same([again.trusted.length, again.intermediates.length], [1, 0]);
    t.equal(pinOf(again.root), pinOf(again.issuing.certificate));
    await again.rotate(OVERLAP_MS);
    t.equal((await Authorities.open(folder, tools)).trusted.length, 2);
  },
);

t.test("a rotation that was cut short after its file was written is a rotation", async (t) => {
  const tools = { clock: new VirtualClock(), random: systemRandom };
  const folder = testFolder(t);
  const authorities = await Authorities.open(folder, tools);
  const old = authorities.issuing;
  await authorities.rotate(OVERLAP_MS);
  writeFileSync(join(folder, "authority.key"), exportPrivateKey(old.key));
  const again = await Authorities.open(folder, tools);
  t.not(pinOf(again.issuing.certificate), pinOf(old.certificate));
  t.notOk(existsSync(join(folder, "authority.key")));
});
