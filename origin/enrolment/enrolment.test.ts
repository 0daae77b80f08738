/** Renewal by proof of the old key, within its grace; a malformed request does not use the token up. */
import t, { type Test } from "tap";
import { Enrolment, type EnrolResponse } from "#contracts/generated/perigee/v1/enrolment_pb.js";
import { systemClock } from "#platform/clock.ts";
import { createGrpcClient } from "#platform/grpc/client.ts";
import { startGrpcServer } from "#platform/grpc/server.ts";
import { createCertificateRequest, NODE_CERTIFICATE_LIFETIME_MS } from "#platform/identity/authority.ts";
import { parseCertificate } from "#platform/identity/certificates.ts";
import { generateSigningKey, signBytes } from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { loadOriginKeys } from "../keys/origin-keys.ts";
import { openOwnCertificate } from "../keys/own-certificate.ts";
import { getResource, writeResource } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { enrolmentService } from "./enrolment-service.ts";
import { openJoinTokens } from "./join-tokens.ts";
import { Members } from "./members.ts";
import { deletePool } from "./pools.ts";

const POOL = {
  region: "eu",
  coordinates: { latitude: 50, longitude: 8 },
  autonomyDurationSeconds: 3600,
  relay: false,
};

async function openService(t: Test) {
  const tools = { clock: systemClock, random: systemRandom };
  const keys = await loadOriginKeys(testFolder(t), tools);
  using certificate = await openOwnCertificate(keys.authorities, tools);
  const clock = new VirtualClock(systemClock.nowMs());
  const log = openSqliteLog(":memory:");
  const joinTokens = openJoinTokens(":memory:", { clock, random: systemRandom });
  const refusals: string[] = [];
  const events = { enrolled: () => undefined, enrolRefused: (node: string) => void refusals.push(node) };
  const server = await startGrpcServer({
    clock: systemClock,
    listen: { host: "127.0.0.1", port: 0 },
    tls: { ...certificate.tls, clientCertificate: "none" },
    services: [
      enrolmentService({ log, members: new Members(log), keys, joinTokens, clock, random: systemRandom, events }),
    ],
  });
  const client = createGrpcClient(Enrolment, {
    address: server.address,
    tls: { authoritiesPem: certificate.tls.authoritiesPem, serverName: "origin.origin.perigee.internal" },
  });
  t.teardown(async () => {
    client[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
    joinTokens[Symbol.dispose]();
    log[Symbol.dispose]();
  });
  const makePool = () =>
    void writeResource(log, { kind: "NodePool", metadata: { name: "near", labels: {} }, spec: POOL }, 1);
  makePool();
  const grant = { role: "edge" as const, name: "near-1", pool: "near", labels: { gpu: "no" } };
  const { token } = joinTokens.create(grant, 60_000);
  const limits = () => ({ signal: systemClock.deadline(10_000) });
  const enrol = (certificateRequest: Uint8Array) =>
    client.enrol({ joinToken: token, nodeName: "near-1", certificateRequest }, limits());
  const renew = async (answer: EnrolResponse, oldKey: ReturnType<typeof generateSigningKey>) => {
    const certificateRequest = await createCertificateRequest(generateSigningKey());
    const proof = signBytes("perigee/renew/1", certificateRequest, oldKey);
    return client.renew({ certificateRequest, oldChain: answer.chain, proof }, limits());
  };
  return { log, clock, refusals, enrol, renew, makePool };
}

t.test("a malformed request costs nothing, the next one enrols the node with its labels", async (t) => {
  const { log, refusals, enrol } = await openService(t);
  await t.rejects(enrol(Buffer.from("not a request")), { code: "argument-invalid" });
  t.same(refusals, ["near-1"]);
  t.match(await enrol(await createCertificateRequest(generateSigningKey())), { role: "edge", pool: "near" });
  t.match(getResource(log, "Node", "near-1"), { metadata: { labels: { gpu: "no" } }, spec: { pool: "near" } });
});

t.test("nobody joins a pool that was deleted, and the token stays good for when it is there again", async (t) => {
  const { log, enrol, makePool } = await openService(t);
  await deletePool(log, "near");
  const request = await createCertificateRequest(generateSigningKey());
  await t.rejects(enrol(request), { code: "not-found", message: /NodePool near does not exist: apply it/ });
  makePool();
  t.match(await enrol(request), { pool: "near" });
  await t.rejects(deletePool(log, "near"), { code: "resource-conflict", message: /has the nodes near-1: delete each/ });
});

t.test(
  "a certificate is renewed by its own key, also a month cut off after it was due, and not for ever",
  async (t) => {
    const { clock, enrol, renew } = await openService(t);
    const key = generateSigningKey();
    const answer = await enrol(await createCertificateRequest(key));
    await t.rejects(renew(answer, generateSigningKey()), { code: "proof-invalid" });
    await clock.advance(NODE_CERTIFICATE_LIFETIME_MS + 27 * 86_400_000);
    const [renewed] = (await renew(answer, key)).chain;
    t.ok(renewed !== undefined && parseCertificate(renewed).validToDate.getTime() > clock.nowMs());
    await clock.advance(7 * 86_400_000);
    await t.rejects(renew(answer, key), { code: "certificate-untrusted" });
  },
);
