/** The contract of the log, run against a real etcd, and what etcd alone has: members, several origins, lost answers. */
import { writeFileSync } from "node:fs";
import t, { type Test } from "tap";
import { isFailure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { logContract } from "#test/contract/log-contract.ts";
import { startAnswerLoser } from "#test/etcd/answer-loser.ts";
import { EtcdCluster, etcdIsMissing, startEtcdOverTls } from "#test/etcd/etcd-cluster.ts";
import { testFolder } from "#test/test-folder.ts";
import { createTestAuthority } from "#test/tls/certificates.ts";
import type { ResourceLog } from "../resource-log.ts";
import { EtcdClient } from "./etcd-client.ts";
import { type EtcdLogOptions, openEtcdLog, raiseEtcdEpoch } from "./etcd-log.ts";
import { Layout } from "./layout.ts";

const put = (name: string, expectedRevision?: number) => ({
  kind: "Site" as const,
  name,
  ...(expectedRevision === undefined ? {} : { expectedRevision }),
  render: (revision: number) => JSON.stringify({ revision }),
});

const missing = etcdIsMissing();
let prefixes = 0;
const freshPrefix = () => {
  prefixes += 1;
  return `/test-${prefixes}/`;
};

function optionsFor(endpoints: readonly string[], more: Partial<EtcdLogOptions> = {}): EtcdLogOptions {
  return {
    endpoints,
    prefix: freshPrefix(),
    clock: systemClock,
    random: systemRandom,
    events: { logWatchFailed: () => undefined },
    onLost: (error) => {
      throw error;
    },
    ...more,
  };
}

const open = (endpoints: readonly string[], more?: Partial<EtcdLogOptions>) => openEtcdLog(optionsFor(endpoints, more));

async function clusterFor(t: Test, members: number): Promise<EtcdCluster> {
  const cluster = await EtcdCluster.start(testFolder(t), members);
  t.teardown(() => cluster[Symbol.asyncDispose]());
  return cluster;
}

/** Resolves when the log has the revision. */
async function reached(log: ResourceLog, revision: number): Promise<void> {
  for await (const event of log.watch(0, new AbortController().signal))
    if ((event.kind === "row" ? event.row.revision : event.revision) >= revision) return;
}

if (missing !== undefined) t.test("the log on etcd", { skip: missing }, async () => undefined);
else {
  const { endpoints } = await clusterFor(t, 1);
  logContract("etcd", () => open(endpoints));

  t.test(
    "two logs on one prefix see each other's writes, and one of two that expect the same is refused",
    async (t) => {
      const prefix = freshPrefix();
      using here = await open(endpoints, { prefix });
      using there = await open(endpoints, { prefix });
      await here.write([put("a", 0)]);
      await t.rejects(async () => there.write([put("a", 0)]), { code: "resource-conflict" });
      const outcomes = await Promise.allSettled([here.write([put("a", 1)]), there.write([put("a", 1)])]);
      t.same(outcomes.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
      await Promise.all(
        [...Array(20).keys()].flatMap((n) => [here.write([put(`h${n}`)]), there.write([put(`t${n}`)])]),
      );
      await Promise.all([reached(here, 42), reached(there, 42)]);
      t.same(here.list(), there.list());
      t.same(
        here.changesAfter(0, 100).map(({ revision }) => revision),
        Array.from({ length: 42 }, (_, index) => index + 1),
      );
    },
  );

  t.test("a write whose answer is lost is acknowledged all the same, and there once", async (t) => {
    const prefix = freshPrefix();
    using there = await open(endpoints, { prefix });
    const loser = await startAnswerLoser(endpoints[0] ?? "", () => reached(there, 1));
    t.teardown(() => loser[Symbol.asyncDispose]());
    using here = await open([loser.endpoint], { prefix });
    t.match(await here.write([put("a")]), [{ name: "a", revision: 1 }]);
    t.equal(loser.lost(), 1);
    t.match(await here.write([put("b")]), [{ name: "b", revision: 2 }]);
    await reached(there, 2);
    t.same(
      there.changesAfter(0, 10).map(({ name }) => name),
      ["a", "b"],
    );
  });

  t.test("what one compacts is compacted for the other, and what is opened later holds the same", async (t) => {
    const prefix = freshPrefix();
    using here = await open(endpoints, { prefix });
    using there = await open(endpoints, { prefix });
    for (let turn = 0; turn < 5; turn += 1) await here.write([put("a"), put("b"), put(`c${turn}`)]);
    await here.write([{ kind: "Site", name: "b", render: () => undefined }]);
    await here.compact(16);
    await there.write([put("d")]);
    await here.write([put("d")]);
    await reached(there, 18).catch((error: unknown) => t.ok(isFailure(error, "revision-compacted"), String(error)));
    using later = await open(endpoints, { prefix });
    t.equal(later.compactedRevision(), 16);
    t.same(later.list(), here.list());
    t.equal(later.find("Site", "b"), undefined);
    t.throws(() => there.list({ at: 1 }), { code: "revision-compacted" });
    await later.compact(18);
    using last = await open(endpoints, { prefix });
    t.same(last.list(), here.list());
  });

  t.test("each origin that writes begins a timeline, and every one knows them all", async (t) => {
    const prefix = freshPrefix();
    using here = await open(endpoints, { prefix });
    using there = await open(endpoints, { prefix });
    using _silent = await open(endpoints, { prefix });
    await here.write([put("a"), put("b")]);
    await Promise.all([there.write([put("c")]), here.write([put("d")])]);
    await there.write([put("e")]);
    await Promise.all([reached(here, 5), reached(there, 5)]);
    const [first, second] = here.timelines();
    t.equal(first?.after, 0);
    t.ok(second?.after === 2 || second?.after === 3, "in the order of the writes");
    t.equal(here.timelines().length, 2, "who writes nothing begins none");
    t.same(there.timelines(), here.timelines());
    using later = await open(endpoints, { prefix });
    t.same(later.timelines(), here.timelines());
    await later.write([put("a")]);
    t.equal(later.timelines().at(-1)?.after, 5);
  });

  t.test("a log under which another epoch has begun is left", async (t) => {
    const lost = Promise.withResolvers<unknown>();
    const options = optionsFor(endpoints, { onLost: lost.resolve });
    using log = await openEtcdLog(options);
    await log.write([put("a")]);
    const raise = { epochOf: async (epoch: number) => epoch + 1, heldIn: () => [], revisionsSkipped: 1000 };
    t.same(await raiseEtcdEpoch(options, raise), { epoch: 2, revision: 1001 });
    t.match(await lost.promise, { code: "storage-failed", message: /another log is in its place/ });
    using again = await open(endpoints, { prefix: options.prefix });
    t.equal(again.epoch, 2);
    t.equal((await again.write([put("a", 1)]))[0]?.revision, 1002);
  });

  t.test(
    "what another program wrote under the prefix is refused, and so is a batch that etcd does not take",
    async (t) => {
      const options = optionsFor(endpoints);
      using client = new EtcdClient(options);
      const head = new Layout(options.prefix).head;
      const request = { case: "requestPut" as const, value: { key: head, value: Buffer.from('{"format":2}') } };
      await client.txn({ success: [{ request }] }, new AbortController().signal);
      await t.rejects(openEtcdLog(options), { code: "storage-failed", message: /give the log its own prefix/ });
      using log = await open(endpoints);
      const large = { ...put("a"), render: () => JSON.stringify("x".repeat(1_600_000)) };
      await t.rejects(async () => log.write([large]), { code: "argument-invalid", message: /request is too large/ });
      t.equal((await log.write([put("a")]))[0]?.revision, 1);
    },
  );

  t.test(
    "over TLS both sides show who they are: with another authority or no certificate there is no log",
    async (t) => {
      const folder = testFolder(t);
      const nowMs = systemClock.nowMs();
      const [authority, stranger] = [await createTestAuthority(nowMs), await createTestAuthority(nowMs)];
      const { certificatePem, keyPem } = await authority.issue(["localhost"]);
      const files = { authority: `${folder}/ca.pem`, certificate: `${folder}/own.pem`, key: `${folder}/own.key` };
      writeFileSync(files.authority, authority.authorityPem);
      writeFileSync(files.certificate, certificatePem);
      writeFileSync(files.key, keyPem);
      const member = await startEtcdOverTls(`${folder}/member`, files);
      t.teardown(() => member[Symbol.asyncDispose]());
      const own = { chainPem: certificatePem, keyPem };
      using log = await open([member.endpoint], { tls: { authoritiesPem: authority.authorityPem, own } });
      t.equal((await log.write([put("a")]))[0]?.revision, 1);
      const clock = { ...systemClock, deadline: () => systemClock.deadline(1_000) };
      for (const wrong of [{ authoritiesPem: stranger.authorityPem, own }, { authoritiesPem: authority.authorityPem }])
        await t.rejects(open([member.endpoint], { tls: wrong, clock }), { code: "unavailable" });
    },
  );

  t.test(
    "with one of three members killed writes and watches go on; with two, writes say that etcd is away",
    async (t) => {
      const three = await clusterFor(t, 3);
      const prefix = freshPrefix();
      using here = await open(three.endpoints, { prefix });
      using there = await open([...three.endpoints].reverse(), { prefix });
      await here.write([put("a")]);
      await three.killMember(0);
      await here.write([put("b")]);
      await reached(there, 2);
      await three.killMember(2);
      await t.rejects(async () => here.write([put("c", 0)]), { code: "unavailable", retryable: true });
      t.equal(there.list().rows.length, 2, "reads go on");
      for (const member of [0, 2]) three.startMember(member);
      await three.ready();
      const written = await here.write([put("d", 0)]);
      await reached(there, written[0]?.revision ?? 0);
      t.same(there.list(), here.list());
    },
  );
}

t.test("an endpoint that is none, and one that needs an authority, are refused by name", async (t) => {
  for (const endpoint of ["ftp://127.0.0.1:1", "https://127.0.0.1:1"])
    await t.rejects(open([endpoint]), { code: "config-invalid", message: new RegExp(endpoint) });
});

t.test("an etcd that nobody answers for is named", async (t) => {
  const hurried = { ...systemClock, deadline: () => systemClock.deadline(50) };
  await t.rejects(open(["http://127.0.0.1:1"], { clock: hurried }), {
    code: "unavailable",
    message: /^etcd at http:\/\/127\.0\.0\.1:1: /,
  });
});
