/** The main job with real processes: users at three distances, the cloud and then every edge killed, and all of it back. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { RECORDS_MIGRATIONS } from "#origin/records/records.ts";
import { systemClock } from "#platform/clock.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import {
  type Content,
  PULLED,
  PULLED_UNCACHED,
  startUpstream,
  type Upstream,
  VERSION_PATH,
  writeContent,
} from "./content.ts";
import {
  type Edge,
  endOfLog,
  type Ground,
  kill,
  makeGround,
  type Origin,
  type Perigee,
  perigeeOf,
  type Scheduler,
  start,
  startCold,
  startEdge,
  startOrigin,
  startScheduler,
  withheldMs,
} from "./fleet.ts";
import { type Answer, ask } from "./http-client.ts";
import { observedNodes, watchMonotone } from "./monotone.ts";
import { nearestOf, startUser, type User, type UserPlan } from "./user.ts";
import { untilSo } from "./waiting.ts";

const SHOP = { name: "shop", host: "shop.example" };
const NEWS = { name: "news", host: "news.example" };
/** The promise to users after an outage. */
const FIRST_BYTE_MS_MAX = 1_000;
/** Of a start's time: with more withheld it measures the machine. */
const WITHHELD_MS_MAX = 250;
const STARTS_MAX = 3;

const POOLS = [
  { name: "lisbon", latitude: 38.72, longitude: -9.14 },
  { name: "madrid", latitude: 40.42, longitude: -3.7 },
  { name: "warsaw", latitude: 52.23, longitude: 21.01 },
];

/** Each has another edge nearest; for Rui the map says Lisbon, where he is, and his provider's path says Madrid. */
const USERS: readonly UserPlan[] = [
  { name: "Rui", address: "127.0.1.1", rttMsByEdge: { "lisbon-1": 70, "madrid-1": 12, "warsaw-1": 120 } },
  { name: "Ola", address: "127.0.1.2", rttMsByEdge: { "lisbon-1": 110, "madrid-1": 80, "warsaw-1": 6 } },
  { name: "Ana", address: "127.0.1.3", rttMsByEdge: { "lisbon-1": 4, "madrid-1": 50, "warsaw-1": 130 } },
];
const NEAREST = { Rui: "madrid-1", Ola: "warsaw-1", Ana: "lisbon-1" };

const NETWORKS = `networks:
  - {network: 127.0.1.1/32, group: lisbon-fibre, coordinates: {latitude: 38.72, longitude: -9.14}}
  - {network: 127.0.1.2/32, group: warsaw-cable, coordinates: {latitude: 52.23, longitude: 21.01}}
  - {network: 127.0.1.3/32, group: lisbon-mobile, coordinates: {latitude: 38.72, longitude: -9.14}}
`;

function resourcesFor(upstream: string): string {
  const document = (kind: string, name: string, spec: object, labels = {}) =>
    JSON.stringify({ apiVersion: "perigee.dev/v1", kind, metadata: { name, labels }, spec });
  const pools = POOLS.map(({ name, latitude, longitude }) =>
    document("NodePool", name, { region: name, coordinates: { latitude, longitude } }, { city: name }),
  );
  return [
    ...pools,
    document("Site", SHOP.name, { hostnames: [SHOP.host], publish: {} }),
    document("Site", NEWS.name, { hostnames: [NEWS.host], pull: { upstream } }),
    document("ContentPolicy", "all", { sites: [SHOP.name, NEWS.name], prefetch: "all" }),
  ].join("\n---\n");
}

interface World {
  readonly ground: Ground;
  readonly origin: Origin;
  readonly scheduler: Scheduler;
  readonly edges: readonly Edge[];
  readonly users: readonly User[];
  readonly upstream: Upstream;
  readonly perigee: Perigee;
  readonly content: Content;
}

async function startWorld(t: Test): Promise<World> {
  const ground = makeGround(t);
  const upstream = await startUpstream(t);
  const origin = await startOrigin(ground);
  const perigee = perigeeOf(origin);
  const file = join(ground.folder, "resources.yaml");
  writeFileSync(file, resourcesFor(upstream.url));
  await perigee("apply", "-f", file);
  const [scheduler, ...edges] = await Promise.all([
    startScheduler(ground, origin, NETWORKS),
    ...POOLS.map(({ name }) => startEdge(ground, origin, name)),
  ]);
  const users = await Promise.all(USERS.map((plan) => startUser(ground, plan, edges)));
  const folder = join(ground.folder, "release-1");
  const content = writeContent(folder, 1);
  t.match(await perigee("publish", folder, "--site", SHOP.name), /generation 1, 30 files/);
  return { ground, origin, scheduler, edges, users, upstream, perigee, content };
}

t.test("users are served from their nearest edge, also when the cloud and every edge were killed", async (t) => {
  const world = await startWorld(t);
  const { origin, scheduler, edges } = world;
  const checker = watchMonotone(t, origin, edges, { host: SHOP.host, path: VERSION_PATH });
  await untilServed(world, 1);

  for (const user of world.users) await checkSteering(t, world, user);
  for (const user of world.users) await checkContent(t, world, user);
  await checkPulled(t, world);
  await checkExplained(t, world);

  await killCloud(world);
  for (const edge of edges) await checkColdStart(t, world, edge);

  const second = await releaseMeanwhile(t, world);
  await checkCaughtUp(t, { ...world, content: second });
  t.same(checker.regressions, [], "nothing went back");
  t.ok(checker.looks > 50, `${checker.looks} values were looked at`);
  if (t.passing()) return;
  for (const member of [origin, scheduler, ...edges]) t.comment(`${member.spec.name}:\n${endOfLog(member)}`);
});

/** Until each edge has the whole release and could go on alone, and the scheduler has heard of it. */
async function untilServed({ origin, scheduler, edges, users }: World, generation: number): Promise<void> {
  await untilSo(
    `generation ${generation} is whole at every edge`,
    () => observedNodes(origin),
    (nodes) => {
      const whole = nodes.filter(({ sites, conditions }) => {
        const shop = sites.find(({ site }) => site === SHOP.name);
        const isReady = conditions.some(({ type, status }) => type === "OfflineReady" && status);
        return shop?.activeGeneration === generation && shop.objectsMissing === 0 && isReady;
      });
      return whole.length === edges.length;
    },
  );
  await untilSo(
    "the scheduler ranks every edge",
    async () => await users[0]?.steer(scheduler.client, SHOP.name),
    (answer) => answer?.edges.length === edges.length,
  );
}

async function checkSteering(t: Test, { scheduler, edges }: World, user: User): Promise<void> {
  const { name } = user.plan;
  const before = await user.steer(scheduler.client, SHOP.name);
  t.equal(before.edges.length, edges.length, `${name}: every edge is ranked`);
  const probed = await user.probe(before.probes);
  await user.report(scheduler.client, probed);
  const after = await user.steer(scheduler.client, SHOP.name);
  const shown = probed.map(({ target, result }) => `${target.node} ${Math.min(...result.rttMs).toFixed(1)}`);
  t.comment(`${name}: first ${before.edges[0]?.node} by ${before.edges[0]?.source}; measured ms: ${shown.join(", ")}`);
  const nearest = nearestOf(probed);
  t.match(NEAREST, { [name]: nearest }, `${name}: the links are as long as they are meant to be`);
  t.match(after.edges[0], { node: nearest, source: "measured" }, `${name}: sent to the lowest measured round trip`);
  if (name === "Rui") t.equal(before.edges[0]?.node, "lisbon-1", "Rui: geography alone says another edge");
  const location = await user.redirect(scheduler.client, SHOP.host, "/files/1.bin?x=1");
  t.match(location, new RegExp(`^http://shop\\.${nearest}\\.edge\\.test:\\d+/files/1\\.bin\\?x=1$`), `${name}: 302`);
}

async function checkContent(t: Test, { scheduler, content }: World, user: User): Promise<void> {
  const { name } = user.plan;
  for (const [path, bytes] of content) {
    const answer = await user.get(await user.redirect(scheduler.client, SHOP.host, path));
    if (!isBody(answer, bytes)) t.fail(`${name}: ${path} is ${answer.status}, ${answer.body.length} bytes`);
  }
  const large = content.get("/media/large.bin") ?? Buffer.alloc(0);
  const url = await user.redirect(scheduler.client, SHOP.host, "/media/large.bin");
  for (const [start, end] of [
    [0, 0],
    [65_530, 131_080],
    [large.length - 5, large.length - 1],
  ] as const) {
    const part = await user.get(url, { headers: { range: `bytes=${start}-${end}` } });
    const isPart = part.status === 206 && part.body.equals(large.subarray(start, end + 1));
    t.ok(isPart, `${name}: bytes ${start}-${end} are the source's`);
  }
}

async function checkPulled(t: Test, { edges, upstream }: World): Promise<void> {
  for (const edge of edges) {
    for (const [path, bytes] of PULLED) {
      for (const turn of ["first", "second"] as const) {
        const answer = await ask(edge.content, path, { headers: { host: NEWS.host } });
        t.ok(isBody(answer, bytes), `${edge.name}: ${path} is the upstream's`);
        if (turn === "second") t.match(answer.headers["cache-status"], /; hit/, `${edge.name}: ${path} is stored`);
      }
    }
    t.equal((await ask(edge.content, PULLED_UNCACHED, { headers: { host: NEWS.host } })).status, 200);
  }
  for (const path of PULLED.keys()) {
    const asked = upstream.asked.get(path) ?? 0;
    t.ok(
      asked >= 1 && asked <= edges.length,
      `${path}: the upstream was asked ${asked} times by ${edges.length} edges`,
    );
  }
}

/** What an operator reads about the decision that sent Rui past the edge of his own city. */
async function checkExplained(t: Test, { perigee }: World): Promise<void> {
  const why = await perigee("why", "--site", SHOP.name, "--client", "127.0.1.1");
  t.comment(why);
  t.match(why, /steered: madrid-1 .*ahead by \d/);
  for (const { name } of POOLS) t.match(why, new RegExp(`${name}-1.*RTT [\\d.]+ ms`), `${name}-1 is a candidate`);
  t.match(why, /madrid-1.*\(measured\).*score [\d.]+ = /, "each term of the score is there");
}

async function killCloud({ origin, scheduler, upstream, edges }: World): Promise<void> {
  await kill(origin);
  await kill(scheduler);
  await upstream.close();
  for (const edge of edges) await untilLink(edge, 0);
}

async function untilLink(edge: Edge, up: 0 | 1): Promise<void> {
  await untilSo(
    `the link of ${edge.name} is ${up === 1 ? "up" : "down"}`,
    () => ask(edge.admin, "/metrics"),
    ({ body }) => body.toString().includes(`\nperigee_edge_node_origin_link_up ${up}\n`),
  );
}

/** Killed and started with nobody to ask: all that was published and pulled is there, the first byte within a second. */
async function checkColdStart(t: Test, { ground, content }: World, edge: Edge): Promise<void> {
  const isFirst = (answer: Answer): boolean => isBody(answer, content.get("/index.html"));
  let firstByteMs = Number.POSITIVE_INFINITY;
  let withheld = WITHHELD_MS_MAX;
  // A start that the machine held up is none of the edge's: it is started once more.
  for (
    let starts = 0;
    starts < STARTS_MAX && firstByteMs > FIRST_BYTE_MS_MAX && withheld >= WITHHELD_MS_MAX;
    starts += 1
  ) {
    await kill(edge);
    const startedMs = startCold(ground, edge);
    await untilSo(
      `${edge.name} serves`,
      () => ask(edge.content, "/index.html", { headers: { host: SHOP.host } }),
      isFirst,
      { pauseMs: 5 },
    );
    firstByteMs = Math.round(systemClock.monotonicMs() - startedMs);
    withheld = Math.round(withheldMs(edge));
    t.comment(`${edge.name}: first byte ${firstByteMs} ms after its start, ${withheld} withheld by a busy machine`);
  }
  t.ok(firstByteMs <= FIRST_BYTE_MS_MAX, `${edge.name}: ${firstByteMs} ms`);
  for (const [site, files] of [
    [SHOP, content],
    [NEWS, PULLED],
  ] as const) {
    for (const [path, bytes] of files) {
      const answer = await ask(edge.content, path, { headers: { host: site.host } });
      if (!isBody(answer, bytes)) t.fail(`${edge.name}: ${site.name}${path} is ${answer.status} without a cloud`);
    }
  }
}

/** The origin is back before its edges can reach it, and a release is published in between. */
async function releaseMeanwhile(t: Test, { ground, origin, scheduler, edges, perigee }: World): Promise<Content> {
  for (const link of edges.flatMap(({ toCloud }) => toCloud)) link.cut();
  await start(ground, origin);
  const folder = join(ground.folder, "release-2");
  mkdirSync(folder);
  const content = writeContent(folder, 2);
  t.match(await perigee("publish", folder, "--site", SHOP.name), /generation 2, 30 files/);
  for (const edge of edges) {
    const { body } = await ask(edge.content, VERSION_PATH, { headers: { host: SHOP.host } });
    t.equal(body.toString(), "1", `${edge.name} serves what it has while it is cut off`);
  }
  await start(ground, scheduler);
  for (const link of edges.flatMap(({ toCloud }) => toCloud)) link.restore();
  return content;
}

async function checkCaughtUp(t: Test, world: World): Promise<void> {
  const { origin, scheduler, edges, content, users } = world;
  await untilServed(world, 2);
  for (const edge of edges) {
    for (const [path, bytes] of content) {
      const answer = await ask(edge.content, path, { headers: { host: SHOP.host } });
      if (!isBody(answer, bytes)) t.fail(`${edge.name}: ${path} of the second release is ${answer.status}`);
    }
    for (const [path, bytes] of PULLED) {
      const answer = await ask(edge.content, path, { headers: { host: NEWS.host } });
      t.ok(isBody(answer, bytes), `${edge.name}: ${path} was pulled before the outage and is still there`);
    }
  }
  for (const user of users) await checkSteering(t, world, user);
  await checkReports(t, origin, edges);
  await checkRejection(t, world);
  t.ok(scheduler.running !== undefined);
}

/** Each edge lost its link once and found it again once, and each of these is told once. */
async function checkReports(t: Test, { dataDir }: Origin, edges: readonly Edge[]): Promise<void> {
  const records = openDatabase(join(dataDir, "records.sqlite"), {
    migrations: RECORDS_MIGRATIONS,
    durability: "normal",
  });
  t.teardown(() => records.close());
  const statement = records.prepare("SELECT kind FROM records WHERE node = ? AND kind LIKE 'link-%' ORDER BY kind");
  for (const { name } of edges) {
    const kinds = await untilSo(
      `${name} has told of its links`,
      async () => statement.all(name).map((row) => row["kind"]),
      ({ length }) => length >= 3,
    );
    t.same(kinds, ["link-down", "link-up", "link-up"], `${name}: told once`);
  }
}

/** A policy that leaves one edge out: the record says which rule it fails first. */
async function checkRejection(t: Test, { ground, perigee }: World): Promise<void> {
  const file = join(ground.folder, "policy.yaml");
  const constraints = [{ label: "city", operator: "NotIn", values: ["madrid"] }];
  const spec = { sites: [SHOP.name], latencyBudgetMs: {}, constraints };
  writeFileSync(
    file,
    JSON.stringify({ apiVersion: "perigee.dev/v1", kind: "PlacementPolicy", metadata: { name: "no-madrid" }, spec }),
  );
  await perigee("apply", "-f", file);
  const why = await untilSo(
    "the policy is applied",
    () => perigee("why", "--site", SHOP.name, "--client", "127.0.1.1"),
    (text) => text.includes("policy no-madrid"),
  );
  t.comment(why);
  t.match(why, /madrid-1.*fails \S+: .*city/, "the first failing rule of the rejected one");
  const rest = [...why.matchAll(/^.*?(\w+-1)\b.*RTT ([\d.]+) ms/gm)]
    .map(([, edge = "", rttMs]) => ({ edge, rttMs: Number(rttMs) }))
    .filter(({ edge }) => edge !== "madrid-1")
    .toSorted((one, other) => one.rttMs - other.rttMs);
  t.same(rest.map(({ edge }) => edge).toSorted(), ["lisbon-1", "warsaw-1"], "the others are candidates");
  t.match(why, new RegExp(`steered: ${rest[0]?.edge}\\b`), "the lowest measured round trip of those that may");
}

function isBody({ status, body }: Answer, wanted: Buffer | undefined): boolean {
  return status === 200 && wanted !== undefined && body.equals(wanted);
}
