/** Sessions placed, moved and refused by a scheduler with a log; `perigee simulate --log` decides all of it again. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { EXIT } from "#cli/exit-codes.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import { DecisionLog } from "#scheduler/decision-log/decision-log.ts";
import { createExplainStore } from "#scheduler/explain/explain-store.ts";
import { Client, failureOf, placedIn, queueing, World } from "#scheduler/session/session-world.test.ts";
import { testFolder } from "#test/test-folder.ts";
import { QUIET, simulate } from "./simulate.ts";

/** Two sessions in two pools, one moved when its pool is lost, one kept, one queued and one that nothing could take. */
async function runDay(t: Test): Promise<{ folder: string; decisions: number }> {
  const folder = join(testFolder(t), "decisions");
  const world = await World.create();
  world.policies = [{ name: "eu", revision: 12, spec: { ...queueing, capacityReserveRatio: 0.1 } }];
  const pools = new PoolIds();
  const { clock } = world;
  const log = await DecisionLog.open({
    ...{ folder, bytesMax: 32 * 1024 ** 2, steeringRatio: 1, clock, events: QUIET },
    pools: { poolName: (id) => pools.nameOf(id), findPool: () => undefined },
  });
  const client = await Client.create(world);
  const { service } = await world.replica("s1", undefined, { explain: createExplainStore({ pools, log }) });
  const begin = async (rtts: Record<string, number>) => {
    const created = await client.create(service);
    const results = await client.results(created.candidates, rtts);
    return { session: created.session, placed: await client.place(service, created.session, results), results };
  };
  const first = await begin({ near: 4.7, middle: 10.1, far: 60 });
  const second = await begin({ near: 13.9, middle: 6.2, far: 61.3 });
  t.match([first.placed, second.placed], [{ pool: "near" }, { pool: "middle" }]);
  t.match(await begin({ near: 40, middle: 41, far: 60 }), { placed: { state: "queued" } });
  const { placement } = placedIn(first.placed);
  world.setPool("near", {}, { state: "dead" });
  const moved = await client.renew(service, { session: first.session, placement, reason: "pool-lost" }, first.results);
  t.match(moved, { pool: "middle" });
  const kept = { session: second.session, placement: placedIn(second.placed).placement, reason: "promotion" } as const;
  await client.renew(service, kept, second.results);
  for (const pool of ["middle", "far"]) world.setPool(pool, {}, { draining: true });
  t.equal((await failureOf(client.create(service))).code, "no-pool-fits");
  await log[Symbol.asyncDispose]();
  return { folder, decisions: 6 };
}

t.test("every logged decision comes out again, bit for bit; one that was changed is named", async (t) => {
  const { folder, decisions } = await runDay(t);
  const same = await simulate("--log", folder);
  t.match(same, { code: EXIT.ok, notes: "" });
  t.match(same.out, new RegExp(`^${decisions} decisions on sessions \\(\\d+ steps\\) and 0 on content decided again`));
  t.match(same.out, /all come out as they are logged, bit for bit/);
  const told = await simulate("--log", folder, "-o", "json");
  t.match(JSON.parse(told.out), { sessions: decisions, mismatched: 0, faulty: 0, torn: 0, segments: 1 });
  t.ok(JSON.parse(told.out).steps >= decisions - 1);

  const sessions = join(folder, "sessions");
  const [file = ""] = readdirSync(sessions);
  const path = join(sessions, file);
  const bytes = readFileSync(path);
  const at = bytes.length - 100;
  bytes[at] = (bytes[at] ?? 0) ^ 4;
  writeFileSync(path, bytes);
  const damaged = await simulate("--log", folder);
  t.match(damaged, { code: EXIT.refused, notes: /1 entries are damaged/ });
  t.match(damaged.out, new RegExp(`damaged: sessions/${file} at \\d+: the bytes of a session were changed`));
});

t.test("a folder without a log is told so", async (t) => {
  const folder = testFolder(t);
  t.match(await simulate("--log", folder), {
    code: EXIT.usage,
    notes: /no segment of a log of decisions; a scheduler/,
  });
  t.match(await simulate("--log", join(folder, "none")), { code: EXIT.usage, notes: /cannot be read/ });
});
