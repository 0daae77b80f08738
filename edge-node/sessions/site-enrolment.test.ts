/** The relay for joining agents, between a real gRPC client and a real enrolment service. */
import t, { type Test } from "tap";
import { Enrolment } from "#contracts/generated/perigee/v1/enrolment_pb.js";
import { SiteEnrolment } from "#contracts/generated/perigee/v1/site_pb.js";
import { Failure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { createGrpcClient } from "#platform/grpc/client.ts";
import { serviceOf, startGrpcServer } from "#platform/grpc/server.ts";
import { type PeerIdentity, serverNameOf } from "#platform/identity/peer.ts";
import { EDGE, World } from "./door-world.test.ts";
import { siteEnrolmentService } from "./site-enrolment.ts";

const ORIGIN: PeerIdentity = { role: "origin", pool: "-", name: "origin" };
const limits = () => ({ signal: AbortSignal.timeout(10_000) });

async function relay(t: Test, issued: { role: string; pool: string }) {
  const world = await World.open(t);
  const { authoritiesPem } = world;
  const tlsOf = async (identity: PeerIdentity) => {
    const { keyPem, chainPem } = await world.pair(identity);
    return { keyPem, chainPem: chainPem + authoritiesPem, authoritiesPem, clientCertificate: "none" as const };
  };
  const seen: string[] = [];
  const start = async (identity: PeerIdentity, service: Parameters<typeof startGrpcServer>[0]["services"][number]) => {
    const listen = { host: "127.0.0.1", port: 0 };
    const server = await startGrpcServer({
      listen,
      tls: await tlsOf(identity),
      services: [service],
      clock: systemClock,
    });
    t.teardown(() => server[Symbol.asyncDispose]());
    return server.address;
  };
  const enrolment = serviceOf(Enrolment, {
    async enrol({ joinToken, nodeName }) {
      seen.push(`enrol ${nodeName} ${joinToken}`);
      if (joinToken === "used") throw new Failure("join-token-used", "the join token was used before");
      return { ...issued, chain: [new Uint8Array([1])], epoch: 7n };
    },
    async renew({ proof }) {
      seen.push(`renew ${Buffer.from(proof).toString()}`);
      return { ...issued, chain: [new Uint8Array([2])] };
    },
  });
  const origin = await start(ORIGIN, enrolment);
  const outcomes: string[] = [];
  const service = siteEnrolmentService({
    ...{ pool: "near", resources: () => world.set.resources, origin: () => origin, clock: systemClock },
    tls: () => ({ authoritiesPem, serverName: serverNameOf(ORIGIN) }),
    onRelayed: (outcome) => void outcomes.push(outcome),
  });
  const client = createGrpcClient(SiteEnrolment, {
    address: await start(EDGE, service),
    tls: { authoritiesPem, serverName: serverNameOf(EDGE) },
  });
  t.teardown(() => client[Symbol.dispose]());
  return { world, client, seen, outcomes };
}

t.test("joining and renewing agents are relayed, and what the origin refuses is refused in its words", async (t) => {
  const { world, client, seen, outcomes } = await relay(t, { role: "agent", pool: "near" });
  const joined = await client.enrol({ joinToken: "one", nodeName: "gpu-7" }, limits());
  t.match(joined, { role: "agent", pool: "near", epoch: 7n, chain: [new Uint8Array([1])] });
  await t.rejects(client.enrol({ joinToken: "used", nodeName: "gpu-7" }, limits()), { code: "join-token-used" });
  const { chain = [] } = await world.signer({ role: "agent", pool: "near", name: "gpu-7" });
  const oldChain = chain.map((certificate) => new Uint8Array(certificate.raw));
  t.match(await client.renew({ oldChain, proof: Buffer.from("mine") }, limits()), { chain: [new Uint8Array([2])] });
  t.same(seen, ["enrol gpu-7 one", "enrol gpu-7 used", "renew mine"]);
  t.same(outcomes, ["issued", "refused", "issued"]);
});

t.test("nothing but an agent of this pool gets through", async (t) => {
  const { world, client, seen } = await relay(t, { role: "agent", pool: "near" });
  await t.rejects(client.enrol({ joinToken: "one", nodeName: "near-2" }, limits()), { code: "permission-denied" });
  for (const identity of [EDGE, { role: "agent", pool: "far", name: "gpu-7" } as const]) {
    const { chain = [] } = await world.signer(identity);
    const oldChain = chain.map((certificate) => new Uint8Array(certificate.raw));
    await t.rejects(client.renew({ oldChain }, limits()), { code: "permission-denied" });
  }
  await t.rejects(client.renew({ oldChain: [new Uint8Array([1])] }, limits()), { code: "certificate-untrusted" });
  await t.rejects(client.renew({ oldChain: [] }, limits()), { code: "permission-denied" });
  t.same(seen, [], "the origin is not asked");
  const other = await relay(t, { role: "edge", pool: "near" });
  await t.rejects(other.client.enrol({ joinToken: "one", nodeName: "gpu-8" }, limits()), { code: "permission-denied" });
});
