/**
 * Browsers that never were here open a site by its steering name, and start VR sessions, while origin and scheduler are
 * dead. Who answers for the name stands in for DNS: each browser's own resolver rule leads it to one edge, which serves
 * the site or sends on to one that can. When the cloud is back its scheduler takes the sessions over.
 */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import t, { type Test } from "tap";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { bundleClient } from "#client/bundle.ts";
import { deadlinesFor } from "#client/session/deadlines.ts";
import { formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { launchChromium, type RunningChromium } from "#test/chromium/chromium.ts";
import {
  type Agent,
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
  startAgent,
  startEdge,
  startOrigin,
  startScheduler,
} from "./fleet.ts";
import { ask } from "./http-client.ts";
import { observedNodes } from "./monotone.ts";
import { untilSo } from "./waiting.ts";

/** Names under `localhost` are secure contexts (W3C Secure Contexts section 3.1): without one no browser decodes. */
const HOST = "vr.localhost";
const NODE_DOMAIN = "edge.localhost";
/** The promise to users after an outage, redirect included. */
const FIRST_BYTE_MS_MAX = 1_000;
/** What a client gives the edges it asks until pictures come, from the opening of the page. */
const FIRST_FRAME_MS_MAX = deadlinesFor(undefined, 0).connectMs;
const WAIT_MS_MAX = 40_000;
const HALL = join(import.meta.dirname, "..", "..", "deploy", "one-machine", "sample", "scene", "hall.json");

/** The far pool renders nothing, and may not hold the site. */
const POOLS = [
  { name: "near", labels: { renders: "yes" }, latitude: 38.72, longitude: -9.14 },
  { name: "middle", labels: { renders: "yes" }, latitude: 40.42, longitude: -3.7 },
  { name: "far", labels: {}, latitude: 52.23, longitude: 21.01 },
];
const NETWORKS = `networks:
  - {network: 127.0.0.0/8, group: this-machine, coordinates: {latitude: 38.72, longitude: -9.14}}
`;

function resources(): string {
  const document = (kind: string, name: string, spec: object, labels: object = {}) =>
    JSON.stringify({ apiVersion: "perigee.dev/v1", kind, metadata: { name, labels }, spec });
  return [
    ...POOLS.map(({ name, labels, latitude, longitude }) =>
      document("NodePool", name, { region: name, coordinates: { latitude, longitude } }, labels),
    ),
    document("Site", "vr", { hostnames: [HOST], publish: {} }),
    document("ContentPolicy", "where-it-is-rendered", {
      sites: ["vr"],
      residency: { renders: "yes" },
      prefetch: "all",
    }),
    document("RenderApp", "hall", {
      bundle: { site: "vr", path: "/scenes/hall.json" },
      classes: [{ name: "small", eyeWidthPixels: 160, eyeHeightPixels: 180, frameRateHz: 30 }],
    }),
    document("PlacementPolicy", "sessions", { apps: ["hall"], onNoFit: "degrade" }),
  ].join("\n---\n");
}

interface World {
  readonly ground: Ground;
  readonly origin: Origin;
  readonly scheduler: Scheduler;
  readonly perigee: Perigee;
  readonly edges: Readonly<Record<"near" | "middle" | "far", Edge>>;
  readonly agents: readonly Agent[];
  readonly appToken: string;
}

async function startWorld(t: Test): Promise<World> {
  const ground = makeGround(t);
  const origin = await startOrigin(ground);
  const perigee = perigeeOf(origin);
  const file = join(ground.folder, "resources.yaml");
  writeFileSync(file, resources());
  await perigee("apply", "-f", file);
  const startOne = (pool: string) => startEdge(ground, origin, pool, { domain: NODE_DOMAIN });
  const starting = [startOne("near"), startOne("middle"), startOne("far")] as const;
  const [near, middle, far, appToken] = await Promise.all([...starting, publishPage(ground, origin)]);
  // Once all edges are there: a table is written at most once a minute.
  const [scheduler, ...agents] = await Promise.all([
    startScheduler(ground, origin, NETWORKS),
    startAgent(ground, origin, near, { pool: "near" }),
    startAgent(ground, origin, middle, { pool: "middle" }),
  ]);
  const world = { ground, origin, scheduler, perigee, edges: { near, middle, far }, agents, appToken };
  await untilReady(world);
  return world;
}

/** Gives the app token in its configuration. */
async function publishPage(ground: Ground, origin: Origin): Promise<string> {
  const perigee = perigeeOf(origin);
  const folder = join(ground.folder, "vr");
  const origins = [`http://${HOST}`, `http://vr.*.${NODE_DOMAIN}:*`];
  const appToken = (await perigee("app-token", "--app", "hall", "--web-origin", ...origins)).trim();
  await bundleClient(folder);
  const config = {
    scheduler: `http://${formatAddress(origin.client)}`,
    app: "hall",
    appToken,
    tier: "standard",
    site: "vr",
  };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  mkdirSync(join(folder, "scenes"));
  copyFileSync(HALL, join(folder, "scenes", "hall.json"));
  await perigee("publish", folder, "--site", "vr");
  return appToken;
}

/** Until both pools hold the site and have a slot, the third has not, and knows where to send. */
async function untilReady({ origin, edges }: World): Promise<void> {
  await untilSo(
    "both pools hold the site, and a slot",
    () => observedNodes(origin),
    (nodes) => {
      const isServing = ({ name, sites, agents }: (typeof nodes)[number]) => {
        const vr = sites.find(({ site }) => site === "vr");
        const isWhole = vr?.activeGeneration === 1 && vr.objectsMissing === 0;
        const hasSlot = agents.some(({ ready, slots }) => ready && slots.some(({ free }) => free > 0));
        return name === edges.far.name ? vr?.activeGeneration === 1 && !isWhole : isWhole && hasSlot;
      };
      return nodes.filter(isServing).length === Object.keys(edges).length;
    },
    { limitMs: WAIT_MS_MAX },
  );
  const headers = { authorization: `Bearer ${origin.operatorToken}` };
  await untilSo(
    "the far pool's table names the others",
    () => ask(origin.listen.operatorApi, "/v1/resources/SteeringTable/far", { headers }),
    ({ body }) => body.includes(edges.near.name) && body.includes(edges.middle.name),
    { limitMs: WAIT_MS_MAX },
  );
}

/** `kill -9`, until nobody listens there and each edge knows. */
async function killCloud(t: Test, { origin, scheduler, edges }: World): Promise<void> {
  await Promise.all([kill(origin), kill(scheduler)]);
  for (const address of [origin.listen.operatorApi, origin.listen.nodeRpc, scheduler.client]) {
    await t.rejects(ask(address, "/"), { code: "ECONNREFUSED" }, `nobody listens at ${formatAddress(address)}`);
  }
  for (const edge of Object.values(edges)) {
    await untilSo(
      `${edge.name} knows that it is cut off`,
      () => ask(edge.admin, "/metrics"),
      ({ body }) => body.includes("perigee_edge_node_origin_link_up 0"),
    );
  }
}

const stateSchema = Type.Object({
  phase: Type.String(),
  session: Type.String(),
  attempt: Type.Integer(),
  pool: Type.String(),
  agent: Type.String(),
  edge: Type.String(),
  decision: Type.Optional(Type.String()),
});

async function stateOf(page: Page): Promise<Static<typeof stateSchema>> {
  return Value.Parse(stateSchema, Value.Clean(stateSchema, await page.evaluate("perigee.state()")));
}

/** Milliseconds since the page's opening, its redirect included. */
const RECORD_FIRST_FRAME = `{
  const look = () => {
    if ((window.perigee?.framesDecoded() ?? 0) > 0) window.firstFrameMs = performance.now();
    else setTimeout(look, 5);
  };
  look();
}`;
const timesSchema = Type.Object({
  firstByteMs: Type.Number({ minimum: 1 }),
  firstFrameMs: Type.Number({ minimum: 1 }),
});

interface Newcomer extends AsyncDisposable {
  readonly page: Page;
  /** Where the name led, then where it was sent. */
  readonly statuses: readonly number[];
}

/** A browser with a profile of its own, for which that edge answers for the site's name. */
async function openSite(t: Test, edge: Edge): Promise<Newcomer> {
  const rule = `MAP ${HOST} ${formatAddress(edge.content)}`;
  const browser: RunningChromium = await launchChromium({
    arguments: [`--host-resolver-rules=${rule}`],
    width: 480,
    height: 600,
  });
  t.teardown(() => browser[Symbol.asyncDispose]());
  const page = await browser.context.newPage();
  await page.addInitScript(RECORD_FIRST_FRAME);
  const answer = await page.goto(`http://${HOST}/`, { timeout: WAIT_MS_MAX });
  const sentFrom = await answer?.request().redirectedFrom()?.response();
  const statuses = [sentFrom, answer].flatMap((response) => response?.status() ?? []);
  return { page, statuses, [Symbol.asyncDispose]: () => browser[Symbol.asyncDispose]() };
}

/** Its first byte and its first decoded frame, each beside its bound. */
async function checkGetsIn(t: Test, { page }: Newcomer, who: string): Promise<void> {
  await untilInPage(page, "window.firstFrameMs !== undefined");
  const times: unknown = await page.evaluate(`({
    firstByteMs: performance.getEntriesByType("navigation")[0].responseStart,
    firstFrameMs: window.firstFrameMs,
  })`);
  const { firstByteMs, firstFrameMs } = Value.Parse(timesSchema, times);
  const shown = (ms: number, most: number) => `${Math.round(ms)} ms (at most ${most})`;
  const { agent, edge } = await stateOf(page);
  t.comment(
    `${who}: first byte ${shown(firstByteMs, FIRST_BYTE_MS_MAX)}, first frame ${shown(firstFrameMs, FIRST_FRAME_MS_MAX)}, from ${agent} by ${edge}`,
  );
  t.ok(firstByteMs <= FIRST_BYTE_MS_MAX, `${who}: first byte`);
  t.ok(firstFrameMs <= FIRST_FRAME_MS_MAX, `${who}: first frame`);
}

async function untilInPage(page: Page, condition: string): Promise<void> {
  await page.waitForFunction(condition, undefined, { timeout: WAIT_MS_MAX, polling: 20 }).catch(async (cause) => {
    const state = await page.evaluate("JSON.stringify(window.perigee?.state() ?? document.title)").catch(String);
    throw new Error(`${condition} did not come at ${page.url()}: ${state}`, { cause });
  });
}

t.test(
  "who never was here gets in by the site's name with the cloud dead, and is taken over when it is back",
  async (t) => {
    const startedMs = systemClock.monotonicMs();
    const world = await startWorld(t);
    t.comment(`all stood after ${Math.round(systemClock.monotonicMs() - startedMs)} ms`);
    const { edges, agents, origin, scheduler } = world;
    await killCloud(t, world);
    {
      await using sent = await openSite(t, edges.far);
      t.same(sent.statuses, [302, 200], "an edge that has not the site sends on");
      await checkGetsIn(t, sent, "by way of an edge without the site");
      t.match(await stateOf(sent.page), { pool: "middle", attempt: 1, edge: `http://vr.${edges.middle.hostname}` });
    }
    const newcomer = await openSite(t, edges.near);
    t.same(newcomer.statuses, [200], "an edge that has it serves it under its own name");
    await checkGetsIn(t, newcomer, "at an edge with the site");
    const first = await stateOf(newcomer.page);
    t.match(first, { phase: "running", attempt: 1, pool: "near", agent: "near-gpu-1", edge: `http://${HOST}` });
    t.equal(first.decision, undefined, "no scheduler has decided it");
    await checkTakenOver(t, world, newcomer);
    if (t.passing()) return;
    for (const member of [origin, scheduler, ...Object.values(edges), ...agents]) {
      t.comment(`${member.spec.name}:\n${endOfLog(member)}`);
    }
  },
);

/** The scheduler knows nothing of the session but what the page shows it, once its agent and with it the pool is dead. */
async function checkTakenOver(t: Test, world: World, { page }: Newcomer): Promise<void> {
  const { ground, origin, scheduler, agents, perigee } = world;
  await start(ground, origin);
  await start(ground, scheduler);
  await untilPlacing(world);
  await untilInPage(page, 'perigee.state().phase === "running"');
  // Of this moment: one that a loaded machine has starved of pictures may have begun again, at an edge as before.
  const before = await stateOf(page);
  const { session } = before;
  t.match(session, /^d-/, "an edge has made it");
  const agent = agents.find(({ name }) => name === before.agent);
  if (agent === undefined) throw new Error(`no agent ${before.agent}`);
  const killedMs = systemClock.monotonicMs();
  await kill(agent);
  await page.evaluate("window.framesThen = perigee.framesDecoded()");
  const isElsewhere = `perigee.state().agent !== "${before.agent}"`;
  await untilInPage(page, `${isElsewhere} && perigee.framesDecoded() > window.framesThen + 5`);
  const after = await stateOf(page);
  const tookMs = Math.round(systemClock.monotonicMs() - killedMs);
  t.comment(
    `taken over by the scheduler that is back: frames from ${after.agent} ${tookMs} ms after its agent's death`,
  );
  t.match(after, { session, attempt: before.attempt + 1 }, "the same session, placed by the scheduler");
  t.not(after.pool, before.pool, "in another pool");
  const why = await perigee("why", "--session", session);
  t.comment(why);
  t.match(why, new RegExp(`session ${session}, attempt ${after.attempt}`));
}

/** A scheduler that was started gives nothing of a pool until that has reported. */
async function untilPlacing({ scheduler, appToken }: World): Promise<void> {
  const key = { kty: "EC", crv: "P-256", x: "A".repeat(43), y: "A".repeat(43) };
  const headers = { authorization: `Bearer ${appToken}`, "content-type": "application/json" };
  const body = JSON.stringify({ app: "hall", tier: "standard", key, device: { name: "test" } });
  await untilSo(
    "the scheduler has slots of both pools to give",
    () => ask(scheduler.client, "/v1/sessions", { method: "POST", headers, body }),
    ({ status, body: answer }) => status < 300 && answer.includes('"near"') && answer.includes('"middle"'),
    { pauseMs: 500 },
  );
}
