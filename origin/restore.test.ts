/** A restore during a roll-out, with the log in etcd: the next origin starts, and each wave has what it had. */
import t from "tap";
import { ROLLOUT_NAME } from "#domain/fleet/rollout.ts";
import { systemClock } from "#platform/clock.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";
import { EtcdCluster, etcdIsMissing } from "#test/etcd/etcd-cluster.ts";
import { testFolder } from "#test/test-folder.ts";
import { loadOriginKeys } from "./keys/origin-keys.ts";
import { openEtcdLog } from "./log/etcd/etcd-log.ts";
import type { ResourceLog } from "./log/resource-log.ts";
import { writeResource } from "./log/resources.ts";
import { Distribution } from "./node-rpc/distribution.ts";
import { ObservedNodes } from "./observed/observed-nodes.ts";
import { restoreOrigin } from "./restore.ts";
import { RolloutDriver } from "./rollout/rollout-driver.ts";

const KEY = generateSigningKey();
const tools = { clock: systemClock, random: systemRandom };

function drive(log: ResourceLog) {
  const distribution = new Distribution(log, KEY);
  const thrown = (error: unknown) => {
    throw error;
  };
  const events = { rolloutMoved() {}, rolloutSeen() {}, rolloutHalted() {}, rolloutFailed: thrown };
  const driver = new RolloutDriver({ log, distribution, clock: tools.clock, observed: new ObservedNodes(), events });
  return { distribution, driver, [Symbol.dispose]: () => driver[Symbol.dispose]() };
}

async function writePolicy(log: ResourceLog, sites: readonly string[]): Promise<number> {
  const spec = { sites, prefetch: "all" as const };
  const row = await writeResource(log, { kind: "ContentPolicy", metadata: { name: "a", labels: {} }, spec }, 1);
  return row.revision;
}

/** Of the policy, by pool: which revision it has. */
function shown({ heldBack, rows }: Distribution) {
  const at = (pool: string) => heldBack.viewOf(pool, rows).get("ContentPolicy/a")?.revision;
  return { near: at("near"), far: at("far") };
}

t.test(
  "what is held back in etcd's log is so after two restores, until it is let out",
  { skip: etcdIsMissing() ?? false },
  async (t) => {
    const [dataDir, members] = [testFolder(t), testFolder(t)];
    const cluster = await EtcdCluster.start(members, 1);
    t.teardown(() => cluster[Symbol.asyncDispose]());
    const etcd = { endpoints: [...cluster.endpoints], prefix: "/perigee/" };
    const open = () =>
      openEtcdLog({
        ...{ ...etcd, ...tools },
        events: { logWatchFailed: () => undefined },
        onLost: (error) => {
          throw error;
        },
      });
    await loadOriginKeys(dataDir, tools);
    const before = await (async () => {
      using log = await open();
      using running = drive(log);
      const node = { role: "edge", pool: "near", cordoned: false, draining: false } as const;
      await writeResource(log, { kind: "Node", metadata: { name: "near-1", labels: {} }, spec: node }, 1);
      const far = await writePolicy(log, ["one"]);
      const spec = { waves: [{ pools: ["near"] }] };
      await writeResource(log, { kind: "RolloutPolicy", metadata: { name: ROLLOUT_NAME, labels: {} }, spec }, 1);
      await running.driver.look();
      const near = await writePolicy(log, ["two"]);
      running.distribution.advance();
      t.same(shown(running.distribution), { near, far });
      return { near, far };
    })();
    for (const epoch of [2, 3]) {
      t.equal((await restoreOrigin(dataDir, tools, undefined, etcd)).epoch, epoch);
      using log = await open();
      using running = drive(log);
      const { heldBack } = running.distribution;
      t.same(shown(running.distribution), before, `epoch ${epoch}`);
      await log.compact(log.revision(), heldBack.positions);
      await writePolicy(log, [`site-${epoch}`]);
      running.distribution.advance();
      before.near = log.revision();
      await log.compact(log.revision(), heldBack.positions);
      t.same(shown(new Distribution(log, KEY)), before, "compaction forgets nothing of it");
    }
    using log = await open();
    using running = drive(log);
    const { heldBack } = running.distribution;
    await running.driver.letOut();
    running.distribution.advance();
    await log.compact(log.revision(), heldBack.positions);
    t.same(shown(running.distribution), { near: before.near, far: before.near });
    t.throws(() => log.findAt("ContentPolicy", "a", before.far), { code: "revision-compacted" });
    using later = await open();
    t.same(later.list(), log.list());
    t.same(later.changesAfter(later.compactedRevision(), 10), log.changesAfter(log.compactedRevision(), 10));
  },
);
