/**
 * A row that breaks edges: three crashes, then what was proven, with the origin and without it, until the row is mended.
 * Pools whose turn comes later never get it.
 */
import { once } from "node:events";
import { join } from "node:path";
import t, { type Test } from "tap";
import { RECORDS_MIGRATIONS } from "#origin/records/records.ts";
import { systemClock } from "#platform/clock.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  type Answer,
  api,
  document,
  type EdgeProcess,
  type EdgeSettings,
  get,
  hasBody,
  joinSettings,
  kill,
  type OperatorApi,
  publish,
  shop,
  spawnEdge,
  startCloud,
} from "../edge-origin/edge-and-origin.ts";
import { untilSo } from "./waiting.ts";

const PRELOAD = join(import.meta.dirname, "broken-by-a-row.ts");
const pull = { upstream: "http://crash.invalid", connectTimeoutMs: 2000, responseTimeoutMs: 10_000 };
const bad = document("Site", "bad", { hostnames: ["bad.example"], pull });
const nearFirst = document("RolloutPolicy", "fleet", { waves: [{ pools: ["near"] }] });
/** From the third crash to the first answer. */
const BACK_MS_MAX = 30_000;
const PROVEN_MS_MAX = 100_000;
const ASK_MS = 200;

function untilSeen(ask: () => Promise<Answer>, isWanted: (answer: Answer) => boolean, limitMs: number, what: string) {
  return untilSo(what, ask, isWanted, { limitMs, pauseMs: ASK_MS });
}

const metric = ({ body }: Answer, name: string) =>
  Number(new RegExp(`^perigee_edge_node_${name} (.*)$`, "m").exec(body.toString())?.[1]);

async function untilCrashed({ child }: EdgeProcess): Promise<number | null> {
  if (child.exitCode === null) await once(child, "exit", { signal: systemClock.deadline(BACK_MS_MAX) });
  return child.exitCode;
}

interface SeenRollout {
  readonly phase: string;
  readonly because: string;
  readonly waves: readonly { readonly heldBack: number; readonly resources: readonly string[] }[];
}

async function rolloutOf(cloud: OperatorApi): Promise<SeenRollout> {
  const { status }: { status: SeenRollout } = JSON.parse(await api(cloud, "GET", "/v1/resources/Rollout/fleet"));
  return status;
}

function untilRollout(cloud: OperatorApi, phase: string, limitMs: number): Promise<SeenRollout> {
  const patience = { limitMs, pauseMs: ASK_MS };
  return untilSo(
    `the roll-out is ${phase}`,
    () => rolloutOf(cloud),
    (seen) => seen.phase === phase,
    patience,
  );
}

/** Where every start takes the row and ends by it, so one that answers has not got it. */
async function checkNeverHadIt(t: Test, { child, content, admin }: EdgeProcess, when: string): Promise<void> {
  t.equal(child.exitCode, null, `the later pool has not crashed ${when}`);
  t.ok(hasBody("one")(await get(content, "/")), `the later pool serves what it did ${when}`);
  const metrics = await get(admin, "/metrics");
  t.equal(metric(metrics, "synced"), 1, `the later pool refuses nothing ${when}`);
}

/** Two starts that crash, as a supervisor makes them, and the one after; gives that and how long its answer took. */
async function restartUntilBack(t: Test, settings: EdgeSettings) {
  for (const start of ["second", "third"]) {
    const edge = await spawnEdge(t, settings, PRELOAD);
    t.equal(await untilCrashed(edge), 70, `${settings.name}: the ${start} crash`);
  }
  const crashedMs = systemClock.monotonicMs();
  const edge = await spawnEdge(t, settings, PRELOAD);
  await untilSeen(() => get(edge.content, "/"), hasBody("one"), BACK_MS_MAX, "served from the proven set");
  const backMs = Math.round(systemClock.monotonicMs() - crashedMs);
  t.comment(`${settings.name}: ${backMs} ms from the third crash to the first answer (at most ${BACK_MS_MAX})`);
  const metrics = await untilSeen(
    () => get(edge.admin, "/metrics"),
    ({ status }) => status === 200,
    BACK_MS_MAX,
    "up",
  );
  t.match(metrics.body.toString(), /returns_to_proven_total\{what="set"\} 1/);
  t.equal(metric(metrics, "synced"), 0);
  return edge;
}

t.test(
  "edges that a row breaks are back on what was proven, cut off too, later pools never get it, and what mends it all take",
  async (t) => {
    const folder = testFolder(t);
    const cloud = await startCloud(t, join(folder, "origin"));
    await api(cloud, "POST", "/v1/apply", { documents: [shop] });
    await publish(cloud, "shop", { "/index.html": "one" });
    const first = await joinSettings(cloud, folder, "near-1");
    const second = await joinSettings(cloud, folder, "near-2");
    const edges = await Promise.all([first, second].map((each) => spawnEdge(t, each, PRELOAD)));
    const far = await spawnEdge(t, await joinSettings(cloud, folder, "far-1", { pool: "far" }), PRELOAD);
    for (const { content, admin } of [...edges, far]) {
      await untilSeen(() => get(content, "/"), hasBody("one"), PROVEN_MS_MAX, "served");
      const isProven = (answer: Answer) => metric(answer, "proven_revision") > 0;
      await untilSeen(() => get(admin, "/metrics"), isProven, PROVEN_MS_MAX, "proven");
    }
    await api(cloud, "POST", "/v1/apply", { documents: [nearFirst] });
    await untilRollout(cloud, "idle", BACK_MS_MAX);
    await api(cloud, "POST", "/v1/apply", { documents: [bad] });
    for (const edge of edges) t.equal(await untilCrashed(edge), 70, "the first crash");

    const online = await restartUntilBack(t, first);
    const nodeOf = async (name: string) => {
      const text = await api(cloud, "GET", `/v1/resources/Node/${name}`);
      return { status: 200, headers: {}, body: Buffer.from(text) };
    };
    const isTold = ({ body }: Answer) => /"type":"Synced","status":false,"reason":"Quarantined"/.test(body.toString());
    const told = await untilSeen(() => nodeOf("near-1"), isTold, BACK_MS_MAX, "the origin hears of it");
    t.match(told.body.toString(), /Site\/bad/);
    t.match(await untilRollout(cloud, "halted", BACK_MS_MAX), {
      because: /^near-1: three crashes .*Site\/bad/,
      waves: [{ heldBack: 0 }, { heldBack: 1, resources: ["Site/bad"] }],
    });
    await publish(cloud, "shop", { "/index.html": "two" });
    const refused = ({ body }: Answer) =>
      /batches_refused_total\{code="revision-quarantined"\} [1-9]/.test(body.toString());
    await untilSeen(() => get(online.admin, "/metrics"), refused, BACK_MS_MAX, "a revision with the row is not taken");
    t.ok(hasBody("one")(await get(online.content, "/")));

    await checkNeverHadIt(t, far, "with the roll-out halted");
    await cloud.origin[Symbol.asyncDispose]();
    const offline = await restartUntilBack(t, second);
    await kill(offline.child);
    const again = await spawnEdge(t, second, PRELOAD);
    await untilSeen(() => get(again.content, "/"), hasBody("one"), BACK_MS_MAX, "served after a further start");

    const back = await startCloud(t, cloud.dataDir, cloud);
    t.equal((await rolloutOf(back)).phase, "halted", "halted, though the origin has started again");
    await checkNeverHadIt(t, far, "after the origin has started again");
    await api(back, "DELETE", "/v1/resources/Site/bad");
    for (const edge of [online, again]) {
      await untilSeen(() => get(edge.content, "/"), hasBody("two"), PROVEN_MS_MAX, "the mended set is taken");
      const metrics = await get(edge.admin, "/metrics");
      t.equal(metric(metrics, "synced"), 1);
    }
    await checkNeverHadIt(t, far, "before what mends it is proven");
    await untilSeen(() => get(far.content, "/"), hasBody("two"), PROVEN_MS_MAX, "the later pool takes it then");
    t.match(await untilRollout(back, "idle", BACK_MS_MAX), { waves: [{ heldBack: 0 }, { heldBack: 0 }] });
    const records = openDatabase(join(cloud.dataDir, "records.sqlite"), {
      migrations: RECORDS_MIGRATIONS,
      durability: "normal",
    });
    t.teardown(() => records.close());
    const reports = records.prepare("SELECT json FROM records WHERE kind = 'returned-to-proven'").all();
    t.equal(reports.length, 2, "each is reported once");
    for (const { json } of reports) t.match(String(json), /"what":"set".*Site\/bad/);
  },
);
