/** Who joins is, to itself and to the origin, who its token was made for, and trusts the keys that the origin has. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import t, { type Test } from "tap";
import { Enrolment } from "#contracts/generated/perigee/v1/enrolment_pb.js";
import { enrolmentService } from "#origin/enrolment/enrolment-service.ts";
import { type JoinGrant, openJoinTokens } from "#origin/enrolment/join-tokens.ts";
import { Members } from "#origin/enrolment/members.ts";
import { loadOriginKeys } from "#origin/keys/origin-keys.ts";
import { openOwnCertificate } from "#origin/keys/own-certificate.ts";
import { getResource, writeResource } from "#origin/log/resources.ts";
import { openSqliteLog } from "#origin/log/sqlite-log.ts";
import { systemClock } from "#platform/clock.ts";
import { createGrpcClient } from "#platform/grpc/client.ts";
import { startGrpcServer } from "#platform/grpc/server.ts";
import { pinOf } from "#platform/identity/certificates.ts";
import { type NodeIdentityOptions, openNodeIdentity } from "#platform/identity/node-identity.ts";
import { exportPublicKey, type SigningKey, type TrustedKeys } from "#platform/identity/signatures.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { testFolder } from "#test/test-folder.ts";

const tools = { clock: systemClock, random: systemRandom };
const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,12}[a-z0-9])?$/);
const label = fc.stringMatching(/^[a-z]{1,8}$/);
const grant: fc.Arbitrary<JoinGrant> = fc
  .record({
    role: fc.constantFrom("edge", "agent", "scheduler"),
    name,
    pool: name,
    labels: fc.dictionary(label, fc.string({ maxLength: 20 }), { maxKeys: 3, noNullPrototype: true }),
  })
  .map((grant) => (grant.role === "scheduler" ? { ...grant, pool: "-" } : grant));

async function openOrigin(t: Test) {
  const folder = testFolder(t);
  const keys = await loadOriginKeys(join(folder, "origin"), tools);
  using certificate = await openOwnCertificate(keys.authorities, tools);
  const log = openSqliteLog(":memory:");
  const joinTokens = openJoinTokens(":memory:", tools);
  const events = { enrolled: () => undefined, enrolRefused: () => undefined };
  const server = await startGrpcServer({
    clock: systemClock,
    listen: { host: "127.0.0.1", port: 0 },
    tls: { ...certificate.tls, clientCertificate: "none" },
    services: [enrolmentService({ log, members: new Members(log), keys, joinTokens, events, ...tools })],
  });
  t.teardown(async () => {
    await server[Symbol.asyncDispose]();
    joinTokens[Symbol.dispose]();
    log[Symbol.dispose]();
  });
  return { folder, keys, log, joinTokens, address: server.address };
}

type Origin = Awaited<ReturnType<typeof openOrigin>>;

function joining(origin: Origin, { role, name }: JoinGrant, token: string): NodeIdentityOptions {
  const folder = join(origin.folder, token);
  mkdirSync(folder);
  const tokenFile = join(folder, "token");
  writeFileSync(tokenFile, token);
  return {
    ...{ folder, role, name, ...tools },
    join: { tokenFile, pin: pinOf(origin.keys.authorities.root) },
    enrolment: [origin.address],
    connect: (address, tls) => createGrpcClient(Enrolment, { address, tls }),
    signal: systemClock.deadline(20_000),
    logger: createLogger({ program: "test", level: "silent" }),
  };
}

function textOf(keys: TrustedKeys) {
  return [...keys].map(([keyId, key]) => [keyId, Buffer.from(exportPublicKey(key)).toString("base64")]);
}

const trusting = (key: SigningKey) => textOf(new Map([[key.keyId, key.publicKey]]));

t.test(
  "a node that joined, and the same after a restart, is who the token says and has the origin's keys",
  async (t) => {
    const origin = await openOrigin(t);
    const { keys, log, joinTokens } = origin;
    const property = fc.asyncProperty(grant, async (grant) => {
      const { role, pool, name, labels } = grant;
      if (role !== "scheduler") {
        const coordinates = { latitude: 0, longitude: 0 };
        const spec = { region: "here", coordinates, autonomyDurationSeconds: 3600, relay: false };
        writeResource(log, { kind: "NodePool", metadata: { name: pool, labels: {} }, spec }, 1);
      }
      const options = joining(origin, grant, joinTokens.create(grant, 60_000).token);
      for (const at of ["joined", "started again"]) {
        await using identity = await openNodeIdentity(options);
        const { trust } = identity;
        t.same(identity.peer, { role, pool, name }, at);
        t.same(textOf(trust.streamKeys), trusting(keys.stream), at);
        t.same(textOf(trust.publishKeys), trusting(keys.publish), at);
        t.same(textOf(trust.tokenKeys), trusting(keys.token), at);
        t.same(trust.authorities.map(pinOf), [pinOf(keys.authorities.root)], at);
        t.equal(trust.epoch, log.epoch, at);
      }
      const { metadata, spec } = getResource(log, "Node", name);
      t.same(metadata.labels, labels);
      t.match(spec, { role, pool });
      return t.passing();
    });
    await fc.assert(property, { numRuns: 10 });
  },
);
