/** Two origins with one log in etcd and one bucket: edges of either serve the same, and go on with the other. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { EtcdCluster, etcdIsMissing } from "#test/etcd/etcd-cluster.ts";
import { findVersitygw, S3Server, VERSITYGW_MISSING } from "#test/s3/s3-server.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  api,
  get,
  hasBody,
  joinSettings,
  publish,
  shop,
  startCloud,
  startEdgeHere,
  untilAnswer,
} from "./edge-and-origin.ts";

const program = findVersitygw();
const missing = etcdIsMissing() ?? (program === undefined ? VERSITYGW_MISSING : undefined);

/** Configuration that both have. */
async function sharedBy(t: Test, folder: string): Promise<object> {
  const cluster = await EtcdCluster.start(join(folder, "etcd"), 1);
  t.teardown(() => cluster[Symbol.asyncDispose]());
  const server = await S3Server.start(program ?? "", join(folder, "s3"));
  t.teardown(() => server[Symbol.asyncDispose]());
  const secretKeyFile = join(folder, "s3-secret");
  writeFileSync(secretKeyFile, `${server.secretKey}\n`);
  const { endpoint, bucket, accessKeyId } = server;
  return {
    log: { etcd: { endpoints: cluster.endpoints } },
    blobs: { s3: { endpoint, bucket, accessKeyId, secretKeyFile } },
  };
}

/** As the operator copies what makes another origin one of the same fleet. */
function copyIdentity(from: string, to: string): string {
  mkdirSync(to);
  for (const part of ["identity", "first-token-given"]) cpSync(join(from, part), join(to, part), { recursive: true });
  return to;
}

t.test(
  "what is published at one origin is served by edges of both, also once one is gone",
  { skip: missing ?? false },
  async (t) => {
    const folder = testFolder(t);
    const more = await sharedBy(t, folder);
    const here = await startCloud(t, join(folder, "here"), undefined, more);
    const sameFleet = { operatorToken: here.operatorToken };
    const other = await startCloud(t, copyIdentity(here.dataDir, join(folder, "there")), undefined, more);
    const there = { ...other, ...sameFleet };
    await api(here, "POST", "/v1/apply", { documents: [shop] });
    const edges = [
      await startEdgeHere(t, await joinSettings(here, folder, "near-1")),
      await startEdgeHere(t, await joinSettings(there, folder, "near-2")),
    ];
    const served = async (body: string) => {
      for (const { addresses } of edges)
        await untilAnswer(() => get(addresses.content, "/"), hasBody(body), `${body} is served`);
    };
    t.equal(await publish(here, "shop", { "/index.html": "by the one" }), 1);
    await served("by the one");
    t.equal(await publish(there, "shop", { "/index.html": "by the other" }), 2);
    await served("by the other");

    await here.origin[Symbol.asyncDispose]();
    t.equal(await publish(there, "shop", { "/index.html": "alone" }), 3);
    // What a balancer does: an origin that was never here before, at the address that the edge dials.
    await startCloud(t, copyIdentity(there.dataDir, join(folder, "third")), { ...here, ...sameFleet }, more);
    await served("alone");
    const listed: { revision: number } = JSON.parse(await api(there, "GET", "/v1/resources/Release"));
    t.ok(listed.revision >= 6, `revision ${listed.revision}`);
  },
);
