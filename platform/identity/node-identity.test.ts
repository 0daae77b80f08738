import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Enrolment } from "#contracts/generated/perigee/v1/enrolment_pb.js";
import { Failure, isFailure } from "#domain/failure.ts";
import { testFolder } from "#test/test-folder.ts";
import { systemClock } from "../clock.ts";
import { createGrpcClient } from "../grpc/client.ts";
import { serviceOf, startGrpcServer } from "../grpc/server.ts";
import { createLogger } from "../logging.ts";
import { systemRandom } from "../random.ts";
import { type Authority, createAuthority, createCertificateRequest, issueCertificate } from "./authority.ts";
import { formatPemChain, parseCertificate, pinOf, verifyChain } from "./certificates.ts";
import { type NodeIdentityOptions, openNodeIdentity } from "./node-identity.ts";
import type { PeerIdentity } from "./peer.ts";
import { ProofMemory } from "./proof-memory.ts";
import { exportPrivateKey, exportPublicKey, generateSigningKey, isSignedBy } from "./signatures.ts";

const LIFE_MS = 3_600_000;
/** Backdated as certificates are, it is at once past nine tenths of its life. */
const DUE_LIFE_MS = 20_000;
const tools = { clock: systemClock, random: systemRandom };
const edge: PeerIdentity = { role: "edge", pool: "near", name: "near-1" };

/** An enrolment listener of an authority: one token, `good`; it counts what it was asked. */
async function serveEnrolment(t: Test, authority: Authority, lifetimesMs: number[] = []) {
  const key = generateSigningKey();
  const own = await issueCertificate(
    authority,
    await createCertificateRequest(key),
    { role: "origin", pool: "-", name: "origin" },
    { ...tools, lifetimeMs: LIFE_MS },
  );
  const authoritiesPem = formatPemChain([authority.certificate]);
  const counts = { enrolled: 0, renewed: 0 };
  const issue = async (request: Uint8Array) => {
    const lifetimeMs = lifetimesMs.shift() ?? LIFE_MS;
    const certificate = await issueCertificate(authority, request, edge, { ...tools, lifetimeMs });
    const publicKey = { keyId: key.keyId, spki: new Uint8Array(exportPublicKey(key.publicKey)) };
    return {
      chain: [new Uint8Array(certificate.raw)],
      authorities: [new Uint8Array(authority.certificate.raw)],
      streamKeys: [publicKey],
      publishKeys: [publicKey],
      tokenKeys: [publicKey],
      epoch: 1n,
    };
  };
  const server = await startGrpcServer({
    listen: { host: "127.0.0.1", port: 0 },
    clock: systemClock,
    tls: {
      keyPem: exportPrivateKey(key),
      chainPem: formatPemChain([own]) + authoritiesPem,
      authoritiesPem,
      clientCertificate: "none",
    },
    services: [
      serviceOf(Enrolment, {
        async enrol({ joinToken, certificateRequest }) {
          if (joinToken !== "good") throw new Failure("join-token-unknown", "no such token");
          counts.enrolled += 1;
          return issue(certificateRequest);
        },
        async renew({ certificateRequest, oldChain, proof }) {
          const leaf = parseCertificate(oldChain[0] ?? new Uint8Array());
          if (!isSignedBy("perigee/renew/1", certificateRequest, proof, leaf.publicKey)) {
            throw new Failure("proof-invalid", "not by the old key");
          }
          counts.renewed += 1;
          return issue(certificateRequest);
        },
      }),
    ],
  });
  t.teardown(() => server[Symbol.asyncDispose]());
  return { address: server.address, pin: pinOf(authority.certificate), counts };
}

type Place = { address: { host: string; port: number }; pin: string };

function optionsOf(folder: string, { address, pin }: Place, token = "good"): NodeIdentityOptions {
  writeFileSync(join(folder, "token"), `${token}\n`);
  return {
    folder: join(folder, "identity"),
    role: "edge",
    name: "near-1",
    join: { tokenFile: join(folder, "token"), pin },
    enrolment: [address],
    connect: (to, tls) => createGrpcClient(Enrolment, { address: to, tls }),
    ...tools,
    signal: systemClock.deadline(20_000),
    logger: createLogger({ program: "test", level: "silent" }),
  };
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "none",
    (error: unknown) => (isFailure(error) ? error.code : String(error)),
  );
}

t.test("a node joins once by its token and is the same after a restart, without its authority", async (t) => {
  const place = await serveEnrolment(t, await createAuthority("perigee", tools));
  const folder = testFolder(t);
  const first = await openNodeIdentity(optionsOf(folder, place));
  await first[Symbol.asyncDispose]();
  t.same(first.peer, edge);
  const { join: _token, ...offline } = optionsOf(folder, { ...place, address: { host: "127.0.0.1", port: 9 } });
  const second = await openNodeIdentity(offline);
  await second[Symbol.asyncDispose]();
  t.same(second.pair(), first.pair());
  t.equal(place.counts.enrolled, 1);
  const { chain = [] } = second.signer();
  const trust = { authorities: second.trust.authorities, roles: ["edge" as const] };
  t.same(verifyChain(chain, trust, systemClock.nowMs()).identity, edge);
});

t.test(
  "an authority that is not the pinned one, a foreign token, and no token each stop the first start",
  async (t) => {
    const place = await serveEnrolment(t, await createAuthority("perigee", tools));
    const other = await createAuthority("another", tools);
    const folder = testFolder(t);
    const foreign = { ...place, pin: pinOf(other.certificate) };
    t.equal(await codeOf(openNodeIdentity(optionsOf(folder, foreign))), "certificate-untrusted");
    t.equal(await codeOf(openNodeIdentity(optionsOf(folder, place, "stolen"))), "join-token-unknown");
    const { join: _token, ...without } = optionsOf(folder, place);
    t.equal(await codeOf(openNodeIdentity(without)), "config-invalid");
    t.equal(place.counts.enrolled, 0);
  },
);

t.test("an identity of another name, and one that is damaged, are refused with what to do", async (t) => {
  const place = await serveEnrolment(t, await createAuthority("perigee", tools));
  const folder = testFolder(t);
  const options = optionsOf(folder, place);
  await (await openNodeIdentity(options))[Symbol.asyncDispose]();
  t.equal(await codeOf(openNodeIdentity({ ...options, name: "near-2" })), "certificate-untrusted");
  writeFileSync(join(folder, "identity", "identity.json"), "{");
  t.equal(await codeOf(openNodeIdentity(options)), "storage-failed");
});

t.test("a certificate near its end is renewed by proof of the old key, and listeners learn of it", async (t) => {
  const place = await serveEnrolment(t, await createAuthority("perigee", tools), [DUE_LIFE_MS]);
  const options = optionsOf(testFolder(t), place);
  const renewed = Promise.withResolvers<void>();
  const identity = await openNodeIdentity(options);
  t.teardown(() => identity[Symbol.asyncDispose]());
  identity.onRenewed(() => renewed.resolve());
  const { serial } = identity;
  await renewed.promise;
  t.equal(place.counts.renewed, 1);
  t.not(identity.serial, serial);
  t.ok(identity.expiresAtMs > systemClock.nowMs());
});

t.test("a proof is accepted once", (t) => {
  const memory = new ProofMemory({ clock: systemClock, entriesMax: 2 });
  t.same([memory.remember("a"), memory.remember("a"), memory.remember("b")], [true, false, true]);
  t.end();
});
