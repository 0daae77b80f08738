import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { type SiteCertificateSpec, sealingContext } from "#domain/content/site-certificate.ts";
import type { Failure } from "#domain/failure.ts";
import { type AnyResource, API_VERSION } from "#domain/resource.ts";
import { generateSealingKey, type SealingKey, seal } from "#platform/identity/sealing.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { createTestAuthority, type TestPair } from "#test/tls/certificates.ts";
import { Certificates } from "../front/tls/certificates.ts";
import { HttpChallenges } from "./http-challenges.ts";
import { LAST_CERTIFICATES_MIGRATIONS, LastCertificates } from "./last-certificates.ts";
import { openSealingKey } from "./sealing-key.ts";
import { SiteCertificates } from "./site-certificates.ts";

const NOW_MS = Date.UTC(2026, 10, 26);

function sealedFor(
  node: string,
  key: SealingKey,
  hostname: string,
  { certificatePem, keyPem }: TestPair,
): SiteCertificateSpec {
  const sealed = seal(key.publicKey, sealingContext({ hostname, certificatePem }), Buffer.from(keyPem));
  const own = {
    node,
    sealedTo: Buffer.from(key.publicKey).toString("base64"),
    sealed: Buffer.from(sealed).toString("base64"),
  };
  return { pool: "near", hostname, certificatePem, keys: [own] };
}

function setOf(...specs: SiteCertificateSpec[]): ReadonlyMap<string, AnyResource> {
  const metadata = { labels: {}, generation: 1, resourceVersion: 1, createdAtMs: 0 };
  return new Map(
    specs.map((spec, index) => {
      const name = `c-${index}`;
      return [name, { apiVersion: API_VERSION, kind: "SiteCertificate", metadata: { ...metadata, name }, spec }];
    }),
  );
}

t.test("what is sealed to this node is in force; what is not, or is damaged, changes nothing", async (t) => {
  const authority = await createTestAuthority(NOW_MS);
  const [own, other] = [generateSealingKey(), generateSealingKey()];
  const refused: Failure[] = [];
  const none = () => {};
  const events = { certificateInForce: none, certificateRemoved: none, certificateRemaining: none };
  const certificates = new Certificates({
    clock: new VirtualClock(NOW_MS),
    events: { ...events, certificateRefused: (_source, failure) => void refused.push(failure) },
  });
  const database = openDatabase(":memory:", { migrations: LAST_CERTIFICATES_MIGRATIONS, durability: "full" });
  const last = new LastCertificates(database);
  const sites = new SiteCertificates({
    node: "near-1",
    sealingKey: own,
    certificates,
    last,
    onStorageFailed: (error: unknown) => t.fail(String(error)),
  });
  const first = await authority.issue(["a.example"]);
  sites.apply(setOf(sealedFor("near-2", other, "a.example", first)), true);
  t.equal(certificates.find("site:a.example"), undefined, "another's");
  t.same(refused, [], "which is no fault");
  const good = sealedFor("near-1", own, "a.example", first);
  sites.apply(setOf(good), true);
  const inForce = certificates.find("site:a.example")?.fingerprint;
  t.ok(inForce);
  sites.apply(setOf(sealedFor("near-1", other, "a.example", first)), true);
  t.match(refused.splice(0), [{ code: "signature-invalid" }]);
  sites.apply(setOf({ ...good, certificatePem: (await authority.issue(["a.example"])).certificatePem }), true);
  t.match(refused.splice(0), [], "the same sealed key is looked at once");
  const expired = await authority.issue(["a.example"], { lifetimeMs: -1 });
  sites.apply(setOf(sealedFor("near-1", own, "a.example", expired)), true);
  t.match(refused.splice(0), [{ code: "certificate-invalid" }]);
  t.equal(certificates.find("site:a.example")?.fingerprint, inForce, "what was in force stays");
  sites.apply(setOf(), true);
  t.equal(certificates.find("site:a.example"), undefined, "until it is gone from the set");
});

t.test(
  "the last certificate that could be served is served after a restart, until a successor opens or nobody wants it",
  async (t) => {
    const authority = await createTestAuthority(NOW_MS);
    const [sealingKey, other] = [generateSealingKey(), generateSealingKey()];
    const database = openDatabase(":memory:", { migrations: LAST_CERTIFICATES_MIGRATIONS, durability: "full" });
    const none = () => {};
    const events = { certificateInForce: none, certificateRemoved: none, certificateRemaining: none };
    const start = () => {
      const clock = new VirtualClock(NOW_MS);
      const certificates = new Certificates({ clock, events: { ...events, certificateRefused: none } });
      const last = new LastCertificates(database);
      const tools = {
        node: "near-1",
        sealingKey,
        certificates,
        last,
        onStorageFailed: (error: unknown) => t.fail(String(error)),
      };
      const sites = new SiteCertificates(tools);
      const inForce = () => certificates.find("site:a.example")?.fingerprint;
      return { apply: sites.apply.bind(sites), inForce };
    };
    const metadata = { name: "a", labels: {}, generation: 1, resourceVersion: 1, createdAtMs: 0 };
    const publish = { keepReleases: 5, indexDocument: "index.html" };
    const site = { hostnames: ["a.example"], publish, acme: true };
    const wanting = (...specs: SiteCertificateSpec[]) =>
      new Map(setOf(...specs)).set("Site/a", { apiVersion: API_VERSION, kind: "Site", metadata, spec: site });
    const good = sealedFor("near-1", sealingKey, "a.example", await authority.issue(["a.example"]));
    const bad = sealedFor("near-1", other, "a.example", await authority.issue(["a.example"]));
    const first = start();
    first.apply(wanting(good), true);
    const fingerprint = first.inForce();
    t.ok(fingerprint);
    for (const [what, set] of [
      ["one that does not open", wanting(bad)],
      ["none, for a site that wants one", wanting()],
    ] as const) {
      const again = start();
      again.apply(set, true);
      t.equal(again.inForce(), fingerprint, what);
      again.apply(set, true);
      t.equal(again.inForce(), fingerprint, what);
    }
    const damaged = start();
    damaged.apply(setOf(), false);
    t.equal(damaged.inForce(), fingerprint, "a damaged set gives up nothing");
    const renewed = sealedFor("near-1", sealingKey, "a.example", await authority.issue(["a.example"]));
    damaged.apply(wanting(renewed), true);
    const successor = damaged.inForce();
    t.not(successor, fingerprint);
    const later = start();
    later.apply(wanting(bad), true);
    t.equal(later.inForce(), successor, "the newest that opened");
    later.apply(setOf(), true);
    t.equal(later.inForce(), undefined, "nobody wants it");
    const end = start();
    end.apply(wanting(bad), true);
    t.equal(end.inForce(), undefined);
  },
);

t.test("the sealing key is made once, and anew where it is damaged", async (t) => {
  const path = join(testFolder(t), "sealing.key");
  const damaged: unknown[] = [];
  const publicKey = async () =>
    Buffer.from((await openSealingKey(path, (error) => damaged.push(error))).publicKey).toString("hex");
  const first = await publicKey();
  t.equal(await publicKey(), first);
  t.match(await readFile(path, "utf8"), /PRIVATE KEY/);
  await writeFile(path, "torn");
  const second = await publicKey();
  t.not(second, first);
  t.match(damaged, [{ code: "storage-failed" }]);
  t.equal(await publicKey(), second);
});

t.test("challenges are answered by token and nothing else", async (t) => {
  const challenges = new HttpChallenges();
  challenges.replace([{ token: "a", keyAuthorization: "a.b" }]);
  const said: unknown[] = [];
  const response = {
    writeHead: (status: number) => void said.push(status),
    end: (text?: string) => void said.push(text),
  };
  const answer = (method: string, url: string) => challenges.answer({ method, url }, response);
  t.equal(answer("GET", "/.well-known/acme-challenge/a"), true);
  t.equal(answer("HEAD", "/.well-known/acme-challenge/a"), true);
  t.same(said, [200, "a.b", 200, undefined]);
  for (const [method, url] of [
    ["GET", "/.well-known/acme-challenge/b"],
    ["GET", "/.well-known/acme-challenge/a?x"],
    ["GET", "/.well-known/acme-challenge/"],
    ["POST", "/.well-known/acme-challenge/a"],
    ["GET", "/a"],
  ] as const)
    t.equal(answer(method, url), false, `${method} ${url}`);
  challenges.replace([]);
  t.equal(answer("GET", "/.well-known/acme-challenge/a"), false);
});
