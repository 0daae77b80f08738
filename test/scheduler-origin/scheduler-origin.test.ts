/** A real origin, real edges and a scheduler over loopback: who is steered where and why, and that it goes on alone. */
import { join } from "node:path";
import t, { type Test } from "tap";
import type { SteerAnswer } from "#contracts/operator-api/sessions.ts";
import { systemClock } from "#platform/clock.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  api,
  type Cloud,
  document,
  type EdgeProcess,
  joinSettings,
  kill,
  publish,
  shop,
  spawnEdge,
  startCloud,
  untilAnswer,
} from "../edge-origin/edge-and-origin.ts";
import { RedisServer, redisIsMissing } from "../redis/redis-server.ts";
import {
  adminOf,
  askScheduler,
  metric,
  poolsOf,
  post,
  probeEach,
  schedulerSettings,
  startSchedulerHere,
} from "./steering-cloud.ts";

const READY_MS_MAX = 60_000;
const lisbon = { latitude: 38.72, longitude: -9.14 };
const warsaw = { latitude: 52.23, longitude: 21.01 };
const pool = (name: string, coordinates: object) => document("NodePool", name, { region: name, coordinates });
const hall = document("RenderApp", "hall", {
  bundle: { site: "shop", path: "/hall.json" },
  classes: [{ name: "small", eyeWidthPixels: 512, eyeHeightPixels: 512, frameRateHz: 72 }],
});
const steer = "/v1/steer?site=shop";

interface SteeringCloud {
  readonly cloud: Cloud;
  readonly folder: string;
  readonly near: EdgeProcess;
  readonly far: EdgeProcess;
}

/** Two pools with an edge each that serve a release. */
async function start(t: Test): Promise<SteeringCloud> {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  await api(cloud, "POST", "/v1/apply", { documents: [shop, pool("near", lisbon), pool("far", warsaw), hall] });
  await publish(cloud, "shop", { "/index.html": "hello" });
  const near = await spawnEdge(t, await joinSettings(cloud, folder, "near-1"));
  const far = await spawnEdge(t, await joinSettings(cloud, folder, "far-1", { pool: "far" }));
  const limit = systemClock.deadline(READY_MS_MAX);
  while (!limit.aborted) {
    const text = await api(cloud, "GET", "/v1/nodes");
    if (text.match(/"activeGeneration":1/g)?.length === 2) return { cloud, folder, near, far };
  }
  throw new Error("the edges do not serve the release");
}

t.test("users are steered by what they measured before geography, and nobody to a cordoned edge", async (t) => {
  const { cloud, folder, near } = await start(t);
  const scheduler = await startSchedulerHere(t, await schedulerSettings(cloud, folder, "s1"));
  const ask = () => askScheduler(scheduler, steer);
  const first = await untilAnswer(ask, (answer) => poolsOf(answer).length === 2, "both edges are known");
  t.same(poolsOf(first), ["near", "far"], "by geography");
  const sent = await askScheduler(scheduler, "/a?b=1", { host: "shop.example" });
  t.match(sent, { status: 302, headers: { "cache-control": "no-store" } });
  t.equal(sent.headers["location"], `http://shop.near-1.edge.test:${near.content.port}/a?b=1`);

  const { probes }: SteerAnswer = JSON.parse(first.body.toString());
  const results = await probeEach(probes, { near: 50, far: 5 });
  t.match(JSON.parse((await post(scheduler, "/v1/measurements", { results })).text), { accepted: 2, notes: [] });
  const second = await ask();
  t.same(poolsOf(second), ["far", "near"]);
  const answer: SteerAnswer = JSON.parse(second.body.toString());
  t.match(answer.edges, [
    { source: "measured", rttMs: 5 },
    { source: "measured", rttMs: 50 },
  ]);
  const bearer = { authorization: `Bearer ${cloud.operatorToken}` };
  const why = await askScheduler(scheduler, `/v1/why/${answer.decision}`, { headers: bearer });
  t.match(why.body.toString(), /steered: far-1 \(far\), ahead by 4[3-7]\.\d ms/);

  const far = JSON.parse(await api(cloud, "GET", "/v1/resources/Node/far-1"));
  const cordoned = document("Node", "far-1", { ...far.spec, cordoned: true });
  await api(cloud, "POST", "/v1/apply", { documents: [cordoned] });
  await untilAnswer(ask, (answer) => poolsOf(answer).join() === "near", "the cordoned edge is left out");
  const told = await askScheduler(scheduler, "/v1/why?site=shop&client=127.0.0.1", { headers: bearer });
  t.match(told.body.toString(), /far-1 \(far\): .*fails cordoned/);
  t.match(JSON.parse(await api(cloud, "GET", "/v1/resources/Node/near-1")).status.state, { state: "connected" });
  const assignment = JSON.parse(await api(cloud, "GET", "/v1/resources/Assignment/near"));
  t.same(assignment.spec, { pool: "near", sites: ["shop"], apps: [] });
});

t.test("a scheduler started without the origin steers by what it holds, and not to an edge that is gone", async (t) => {
  const { cloud, folder, near } = await start(t);
  const settings = await schedulerSettings(cloud, folder, "s1");
  const before = await startSchedulerHere(t, settings);
  await untilAnswer(
    () => askScheduler(before, steer),
    (answer) => poolsOf(answer).length === 2,
    "both edges are known",
  );
  const tables = () => api(cloud, "GET", "/v1/resources/SteeringTable");
  for (let text = await tables(); text.match(/"hostname":"/g)?.length !== 4; text = await tables());
  await untilAnswer(
    () => askScheduler(before, steer),
    () => true,
    "the tables have come back",
  );
  const { revision } = JSON.parse(await tables());
  await untilRevision(before, revision);
  await before[Symbol.asyncDispose]();
  await cloud.origin[Symbol.asyncDispose]();
  await kill(near.child);
  const scheduler = await startSchedulerHere(t, settings);
  const ready = await untilAnswer(
    () =>
      askScheduler(
        { ...scheduler, addresses: { ...scheduler.addresses, client: adminOf(scheduler.addresses) } },
        "/readyz",
      ),
    ({ status }) => status === 200,
    "it is ready",
  );
  t.match(ready.body.toString(), /link to the origin down: deciding by what is held/);
  await untilAnswer(
    () => askScheduler(scheduler, steer),
    (answer) => poolsOf(answer).join() === "far,near",
    "the edge that answers comes before the nearer one that does not",
  );
  t.ok((await metric(scheduler, 'edge_probes_total{outcome="answered"}')) > 0);
  t.ok((await metric(scheduler, 'edge_probes_total{outcome="unavailable"}')) > 0);
});

async function untilRevision(scheduler: Parameters<typeof metric>[0], revision: number): Promise<void> {
  const limit = systemClock.deadline(READY_MS_MAX);
  while (!limit.aborted) if ((await metric(scheduler, "applied_revision")) >= revision) return;
  throw new Error(`revision ${revision} has not come`);
}

t.test("the origin's tokens are honoured until they are revoked, others refused and counted", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  await api(cloud, "POST", "/v1/apply", { documents: [shop, pool("near", lisbon), hall] });
  const scheduler = await startSchedulerHere(t, await schedulerSettings(cloud, folder, "s1"));
  await untilRevision(scheduler, JSON.parse(await api(cloud, "GET", "/v1/resources/RenderApp")).revision);
  const other = await startCloud(t, join(folder, "other"));
  await api(other, "POST", "/v1/apply", { documents: [shop, pool("near", lisbon), hall] });
  const made = { app: "hall", origins: ["http://page.test"], maxSessions: 10, lifetimeSeconds: 600 };
  const mine = JSON.parse(await api(cloud, "POST", "/v1/app-tokens", made));
  const theirs = JSON.parse(await api(other, "POST", "/v1/app-tokens", made));
  const key = { kty: "EC", crv: "P-256", x: "a".repeat(43), y: "b".repeat(43) };
  const wish = { app: "hall", tier: "strict", key, device: { name: "test" } };
  const create = async (token: string, origin = "http://page.test") => {
    const headers = { authorization: `Bearer ${token}`, origin };
    return JSON.parse((await post(scheduler, "/v1/sessions", wish, headers)).text).code;
  };
  t.equal(await create(mine.token), "no-pool-fits", "the token is good, nobody renders");
  t.equal(await create(mine.token, "http://other.test"), "permission-denied");
  t.equal(await create(theirs.token), "token-invalid", "another origin's");
  t.equal(await create(cloud.operatorToken), "token-invalid", "of another type");
  t.equal(await metric(scheduler, 'requests_refused_total{code="token-invalid"}'), 2);
  const subject = { kind: "token", id: mine.id };
  const revocation = document("Revocation", "lost", { subject, reason: "lost", subjectExpiresAtMs: mine.expiresAtMs });
  await api(cloud, "POST", "/v1/apply", { documents: [revocation] });
  const limit = systemClock.deadline(READY_MS_MAX);
  while (!limit.aborted && (await create(mine.token)) !== "token-revoked");
  t.notOk(limit.aborted, "the revocation has come");
});

t.test("a second scheduler decides too, and has the slow loop when the first is gone", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  await api(cloud, "POST", "/v1/apply", { documents: [shop, pool("near", lisbon)] });
  const first = await startSchedulerHere(t, await schedulerSettings(cloud, folder, "s1"));
  const second = await startSchedulerHere(t, await schedulerSettings(cloud, folder, "s2"));
  const leases = async () => Promise.all([first, second].map((one) => metric(one, "slow_loop_lease")));
  const claiming = systemClock.deadline(READY_MS_MAX);
  let [ofFirst, ofSecond] = await leases();
  while (!claiming.aborted && ofFirst === ofSecond) [ofFirst, ofSecond] = await leases();
  t.same([ofFirst, ofSecond].toSorted(), [0, 1], "one has the lease");
  const [holder, heir] = ofFirst === 1 ? [first, second] : [second, first];
  const isPricing = async (one: typeof first, mode: string) => {
    const limit = systemClock.deadline(READY_MS_MAX);
    while (!limit.aborted && (await metric(one, `price_mode{mode="${mode}"}`)) !== 1);
    t.notOk(limit.aborted, `prices are ${mode}`);
  };
  await isPricing(holder, "off-uncontended");
  await isPricing(heir, "off-inactive");
  const { revision } = JSON.parse(await api(cloud, "GET", "/v1/resources/NodePool"));
  await untilRevision(heir, revision);
  await holder[Symbol.asyncDispose]();
  const limit = systemClock.deadline(READY_MS_MAX);
  while (!limit.aborted && (await metric(heir, "slow_loop_lease")) !== 1);
  t.notOk(limit.aborted, "the other has it");
  await isPricing(heir, "off-uncontended");
});

t.test(
  "a second scheduler with the same Redis goes by what the first has solved, and solves when that is gone",
  { skip: redisIsMissing() ?? false },
  async (t) => {
    const folder = testFolder(t);
    const redis = await RedisServer.start({ folder: testFolder(t) });
    t.teardown(() => redis.kill());
    const cloud = await startCloud(t, join(folder, "origin"));
    await api(cloud, "POST", "/v1/apply", { documents: [shop, pool("near", lisbon)] });
    const ledger = { redis: { url: redis.url } };
    const first = await startSchedulerHere(t, await schedulerSettings(cloud, folder, "s1", { ledger }));
    const second = await startSchedulerHere(t, await schedulerSettings(cloud, folder, "s2", { ledger }));
    const solved = 'price_turns_total{outcome="off-uncontended"}';
    const followed = 'price_turns_total{outcome="followed"}';
    const until = async (what: string, holds: () => Promise<boolean>) => {
      const limit = systemClock.deadline(READY_MS_MAX);
      while (!limit.aborted && !(await holds()));
      t.notOk(limit.aborted, what);
    };
    const both = [first, second];
    const holds = async (line: string) => (await Promise.all(both.map((one) => metric(one, line)))).map((n) => n > 0);
    await until("one solves and the other follows", async () => {
      const [solves, follows] = [await holds(solved), await holds(followed)];
      return solves.some((solve, at) => solve && follows[1 - at] === true);
    });
    t.same(await holds('price_mode{mode="off-uncontended"}'), [true, true], "both say how prices are");
    const [holder, heir] = (await metric(first, "slow_loop_lease")) === 1 ? [first, second] : [second, first];
    const { revision } = JSON.parse(await api(cloud, "GET", "/v1/resources/NodePool"));
    await untilRevision(heir, revision);
    const before = await metric(heir, solved);
    await holder[Symbol.asyncDispose]();
    await until("the other solves", async () => (await metric(heir, solved)) > before);
  },
);

t.test("an origin that comes back is followed from where it was left", async (t) => {
  const folder = testFolder(t);
  const dataDir = join(folder, "origin");
  const cloud = await startCloud(t, dataDir);
  await api(cloud, "POST", "/v1/apply", { documents: [shop, pool("near", lisbon)] });
  const scheduler = await startSchedulerHere(t, await schedulerSettings(cloud, folder, "s1"));
  await untilRevision(scheduler, JSON.parse(await api(cloud, "GET", "/v1/resources/NodePool")).revision);
  await cloud.origin[Symbol.asyncDispose]();
  const isUp = async (wanted: number) => {
    const limit = systemClock.deadline(READY_MS_MAX);
    while (!limit.aborted && (await metric(scheduler, "origin_link_up")) !== wanted);
    t.notOk(limit.aborted, `the link is ${wanted}`);
  };
  await isUp(0);
  t.equal((await askScheduler(scheduler, steer)).status, 503, "it answers, though no edge serves the site");
  const again = await startCloud(t, dataDir, cloud);
  await isUp(1);
  await api(again, "POST", "/v1/apply", { documents: [pool("far", warsaw)] });
  await untilRevision(scheduler, JSON.parse(await api(again, "GET", "/v1/resources/NodePool")).revision);
  t.equal(await metric(scheduler, "slow_loop_lease"), 1);
  t.equal(await metric(scheduler, 'batches_refused_total{code="digest-mismatch"}'), 0);
});
