/** Sessions of a scheduler with a log; `perigee simulate policy.yaml --log` replays them under another policy and fleet. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import t, { type Test } from "tap";
import { EXIT } from "#cli/exit-codes.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import { DecisionLog } from "#scheduler/decision-log/decision-log.ts";
import { createExplainStore } from "#scheduler/explain/explain-store.ts";
import { Client, queueing, type Rtts, World } from "#scheduler/session/session-world.test.ts";
import { testFolder } from "#test/test-folder.ts";
import { QUIET, simulate } from "./simulate.ts";

const lisbon = { latitude: 38.72, longitude: -9.14 };
const boston = { latitude: 42.36, longitude: -71.06 };
const stated = (name: string) => ({
  metadata: { name, labels: { "perigee.dev/slot-hour-cost": "2" } },
  spec: name === "far" ? { region: "overseas", coordinates: boston } : { region: "iberia", coordinates: lisbon },
});
const STATED = new Map(["near", "middle", "far"].map((name) => [name, stated(name)]));

const APP = `apiVersion: perigee.dev/v1
kind: RenderApp
metadata: { name: hall }
spec:
  bundle: { site: shop, path: /hall.json }
  needs: { gpuShareRatio: 0.5, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 14400000 }
  classes: [{ name: small, eyeWidthPixels: 512, eyeHeightPixels: 512, frameRateHz: 72 }]
`;
const policy = (name: string, more: string) => `apiVersion: perigee.dev/v1
kind: PlacementPolicy
metadata: { name: ${name} }
spec:
  apps: [hall]
  onNoFit: queue
${more}`;
const only = (pool: string) => `  constraints: [{ label: perigee.dev/pool, operator: In, values: [${pool}] }]\n`;

const FILES = {
  "fleet.yaml": `${APP}---\n${policy("eu", "")}`,
  "acme.yaml": policy("acme", `  match: { tenants: [acme] }\n${only("middle")}`),
  "network.yaml": policy("network", `  match: { cidrs: [198.51.100.0/24] }\n${only("far")}`),
  "host.yaml": policy("host", `  match: { cidrs: [198.51.100.7/32] }\n${only("far")}`),
  "spain.yaml": policy("spain", `  match: { countries: [ES] }\n${only("far")}`),
  "cel.yaml": policy("cel", `  match: { expression: "client.asn == 64500 && tier == 'strict'" }\n${only("far")}`),
  "region.yaml": policy("eu", "  constraints: [{ label: perigee.dev/region, operator: NotIn, values: [iberia] }]\n"),
};

/**
 * 14 ms are left for the network. The first is near for ten minutes, of a tenant; a minute later one of another network
 * comes for five, and one waits whom nothing can take.
 */
async function recordDay(t: Test, root = testFolder(t, FILES)) {
  const folder = join(root, "decisions");
  const world = await World.create();
  world.policies = [{ name: "eu", revision: 12, spec: queueing }];
  const pools = new PoolIds();
  const { clock } = world;
  const log = await DecisionLog.open({
    ...{ folder, bytesMax: 32 * 1024 ** 2, steeringRatio: 1, clock, events: QUIET },
    pools: { poolName: (id) => pools.nameOf(id), findPool: (name) => STATED.get(name) },
  });
  const client = await Client.create(world);
  const replica = await world.replica("s1", undefined, { explain: createExplainStore({ pools, log }) });
  const begin = async (network: string, rtts: Rtts, tenant?: string) => {
    world.groups = [`prefix:${network}`];
    world.who = { country: "PT", asn: 64_500, network };
    const { session, candidates } = await client.create(replica.service, tenant === undefined ? {} : { tenant });
    await client.place(replica.service, session, await client.results(candidates, rtts));
    return session;
  };
  const later = async (ms: number) => {
    await clock.advance(ms);
    await world.report(replica);
  };
  const first = await begin("192.0.2.0/24", { near: 4, middle: 10, far: 60 }, "acme");
  await later(60_000);
  const second = await begin("198.51.100.0/24", { near: 5, middle: 12, far: 60 });
  await begin("203.0.113.0/24", { near: 40, middle: 41, far: 60 });
  await later(300_000);
  await client.end(replica.service, second);
  await later(240_000);
  await client.end(replica.service, first);
  await log[Symbol.asyncDispose]();
  const file = (name: string) => join(root, name);
  const ask = (...words: string[]) => simulate(...words, "--log", folder, "--fleet", file("fleet.yaml"));
  return { folder, file, ask };
}

t.test("what was recorded is replayed under a policy that moves it, with deltas that are known by hand", async (t) => {
  const { file, ask } = await recordDay(t);
  const same = await ask();
  t.equal(same.code, EXIT.ok, same.notes);
  t.match(same.out, /^a recorded day: 3 sessions from 2\S+Z to 2\S+Z, as schedulers logged them\n/);
  t.match(same.out, /note: before and after are the same/);
  t.match(same.out, /note: stays: 2 to the session's end, 0 to its last renewal, 1 as long as one of those, by lot/);
  t.match(same.out, /note: round trips: 9 of 9 were measured by the session or its group, 0 are estimated/);
  t.match(same.out, /note: before the change 2 of 2 sessions begin in the pool where the log has them/);
  t.match(same.out, /mean RTT +4\.5 ms +4\.5 ms +\+0\.0 ms\n/, "4 and 5");
  t.match(same.out, /cost +0\.50 +0\.50/, "a quarter of an hour of slots at 2 an hour");

  const acme = await ask(file("acme.yaml"));
  t.match(acme.out, /sessions +3 +3 +\+0\nwithin their limit +66\.7 % +66\.7 % +\+0\.0\n/);
  t.match(acme.out, /mean RTT +4\.5 ms +7\.5 ms +\+3\.0 ms\n/, "4 becomes 10");
  t.match(acme.out, /told to wait +1 +1 +\+0\n/);
  t.match(acme.out, /moved by the change +1\nended by the change +0\n/, "both run at the busiest time, one moves");
  t.match(acme.out, /prefix:192\.0\.2\.0\/24 \(tenant acme\) +1 +0 +100\.0 % +100\.0 % +4\.0 ms +10\.0 ms/);
  t.notMatch(acme.out, /before and after are the same/);

  const network = await ask(file("network.yaml"));
  t.match(network.out, /within their limit +66\.7 % +33\.3 % +-33\.3\n/);
  t.match(network.out, /told to wait +1 +2 +\+1\n/);
  t.match(network.out, /prefix:198\.51\.100\.0\/24 +1 +1 +100\.0 % +0\.0 %/);

  t.match((await ask(file("spain.yaml"))).out, /before and after are the same/, "all are in Portugal");
  t.match((await ask(file("cel.yaml"))).out, /within their limit +66\.7 % +0\.0 %/);
  t.match((await ask(file("region.yaml"))).out, /within their limit +66\.7 % +0\.0 %/, "regions are logged");
  t.match((await ask(file("host.yaml"))).out, /the log has addresses to \/24 or \/48, .*: host may ask for more/);
});

t.test("a recorded day is replayed with a pool gone, with more GPUs, and with more load", async (t) => {
  const { ask } = await recordDay(t);
  const killed = await ask("--kill", "near");
  t.match(killed.out, /mean RTT +4\.5 ms +11\.0 ms +\+6\.5 ms\n/, "10 and 12");
  t.match(killed.out, /moved by the change +2\nended by the change +0\n/);
  const loaded = JSON.parse((await ask("--load", "2", "-o", "json")).out);
  t.same([loaded.before.sessions, loaded.after.sessions], [3, 6]);
  t.same([loaded.after.withinLimit, loaded.after.queued], [4, 2]);
  t.equal(loaded.after.hoursWithinLimit, 2 * loaded.before.hoursWithinLimit);
  t.same((await ask("--load", "1.5")).out, (await ask("--load", "1.5")).out, "the same whenever it is asked");
  const grown = await ask("--add", "1xl40s@lisbon", "--slots-per-gpu", "4");
  t.equal(grown.code, EXIT.ok, grown.notes);
  t.match(grown.out, /pool new-lisbon is new, in region iberia/);
  t.match(grown.out, /told to wait +1 +1 +\+0\n/, "who is slow to every pool is slow to a new one");
});

t.test("pools and apps that the fleet has no more, and labels that are others now, are counted by name", async (t) => {
  const { folder, file } = await recordDay(t);
  const pool = (name: string) => `apiVersion: perigee.dev/v1
kind: NodePool
metadata: { name: ${name}, labels: { perigee.dev/slots: "4", perigee.dev/render-encode-ms: "8" } }
spec: { region: iberia, coordinates: { latitude: 38.72, longitude: -9.14 } }
---
`;
  const far = `apiVersion: perigee.dev/v1
kind: NodePool
metadata: { name: far, labels: { perigee.dev/slot-hour-cost: "2" } }
spec: { region: overseas, coordinates: { latitude: 42.36, longitude: -71.06 } }
---
`;
  writeFileSync(file("f.yaml"), `${pool("middle")}${pool("new")}${far}${APP}`);
  writeFileSync(file("g.yaml"), `${pool("x")}${APP.replace("hall", "lobby")}`);
  const run = (name: string) => simulate("--log", folder, "--fleet", file(name), file("acme.yaml"));
  const { code, out, notes } = await run("f.yaml");
  t.equal(code, EXIT.ok, notes);
  t.match(out, /note: sessions began in pools that the fleet has not: near \(2\)/);
  t.match(out, /note: labels, region or place are others than in the log, and count as they are now: middle\n/);
  t.match(out, /note: round trips: 6 of 9 were measured .*, 3 are estimated by distance/);
  t.match(await run("g.yaml"), {
    code: EXIT.usage,
    notes: /nobody came in it for an app of the fleet: the log has hall, the fleet lobby/,
  });
});

t.test(
  "a log that is empty, torn, damaged or of another version is told so, with what can be read of it",
  async (t) => {
    const { folder, file, ask } = await recordDay(t);
    const [name = ""] = readdirSync(join(folder, "sessions"));
    const path = join(folder, "sessions", name);
    const whole = readFileSync(path);
    const other = (number: number) =>
      join(folder, "sessions", `${String(number).padStart(10, "0")}-1700000000000.segment`);
    copyFileSync(path, other(7));
    truncateSync(other(7), whole.length - 3);
    t.match(
      (await ask()).out,
      /3 sessions[\s\S]*note: 1 segments end in what was not written whole/,
      "and none is there twice",
    );
    const old = Buffer.from(whole);
    old.writeUInt8(1, 8);
    old.writeUInt32LE(crc32(old.subarray(0, 12)), 12);
    writeFileSync(other(7), old);
    const reason = /7-1700000000000\.segment: it is of format 1\.\d+, and this program reads 2\.\d+/;
    const mixed = await ask();
    t.equal(mixed.code, EXIT.ok);
    t.match(mixed.out, /3 sessions/);
    t.match(mixed.out, /note: left out: 1 segments, the first sessions\//);
    t.match(mixed.out, reason);
    const damaged = Buffer.from(whole);
    const at = damaged.length - 300;
    damaged[at] = (damaged[at] ?? 0) ^ 4;
    writeFileSync(other(7), damaged);
    t.match(
      (await ask()).out,
      /note: left out, damaged: 1 entries, the first of sessions\/\S+ at \d+: the bytes of a session/,
    );

    const alone = file("alone");
    mkdirSync(join(alone, "sessions"), { recursive: true });
    writeFileSync(join(alone, "sessions", "0000000007-1700000000000.segment"), old);
    const words = ["--fleet", file("fleet.yaml"), file("acme.yaml")];
    const refused = await simulate("--log", alone, ...words);
    t.match(refused, { code: EXIT.usage, notes: /no decision on a session can be read in it: sessions\// });
    t.match(refused.notes, reason);
    writeFileSync(join(alone, "sessions", "0000000007-1700000000000.segment"), whole.subarray(0, 16));
    t.match(await simulate("--log", alone, ...words), {
      code: EXIT.usage,
      notes: /no decision on a session can be read/,
    });
    mkdirSync(file("none"));
    t.match(await simulate("--log", file("none"), ...words), {
      code: EXIT.usage,
      notes: /no segment of a log of decisions/,
    });
  },
);

t.test("logs of several schedulers are one day", async (t) => {
  const root = testFolder(t, FILES);
  const one = await recordDay(t, root);
  const parts = ["one", "two"].map((name) => join(root, name));
  const [name = ""] = readdirSync(join(one.folder, "sessions"));
  for (const part of parts) {
    mkdirSync(part);
    copyFileSync(join(one.folder, "sessions", name), join(part, name));
  }
  const [first = "", second = ""] = parts;
  const { code, out, notes } = await simulate("--log", first, "--log", second, "--fleet", one.file("fleet.yaml"));
  t.equal(code, EXIT.ok, notes);
  t.match(out, /sessions +3 +3 /, "who is in both is one");
  t.match((await simulate("--log", first, "--log", second)).out, /6 decisions on sessions .* from 2 segments/);
});
