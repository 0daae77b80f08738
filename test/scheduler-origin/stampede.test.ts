/** A scheduler as a process, real edges, one of which is killed: the sessions of its pool leave it together. */
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { createClientKey } from "#client/session/key.ts";
import { createSessionApi, type SessionApi } from "#client/session/session-api.ts";
import type { PlacementAnswer } from "#contracts/operator-api/sessions.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { freeAddress } from "#test/free-ports.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  api,
  type Cloud,
  document,
  type EdgeProcess,
  get,
  joinSettings,
  kill,
  shop,
  spawnEdge,
  startCloud,
  untilAnswer,
} from "../edge-origin/edge-and-origin.ts";
import { dial, joinAs } from "../edge-origin/joined-agents.ts";
import { untilSo } from "../end-to-end/waiting.ts";
import { probeEach, schedulerSettings, spawnScheduler } from "./steering-cloud.ts";

const MS_MAX = 30_000;
/** As many as are placed one by one before it counts as a stampede, and those that have no other pool than the middle. */
const POOLS = { near: 16, middle: 6, far: 16 };
const FLEXIBLE = { near: 5, middle: 12, far: 20 };
const BOUND = { near: 5, middle: 12, far: 65 };
const VIEWERS = [...Array.from({ length: 8 }, () => FLEXIBLE), ...Array.from({ length: 4 }, () => BOUND)];
const hall = document("RenderApp", "hall", {
  bundle: { site: "shop", path: "/hall.json" },
  classes: [{ name: "small", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 72 }],
});
const policy = document("PlacementPolicy", "sessions", { apps: ["hall"], onNoFit: "degrade" });
const pool = (name: string, longitude: number) =>
  document("NodePool", name, { region: name, coordinates: { latitude: 38.72, longitude } });

interface World {
  readonly edges: ReadonlyMap<string, EdgeProcess>;
  readonly scheduler: ChildProcess;
  readonly admin: Address;
  readonly client: Address;
  readonly clientUrl: string;
  readonly appToken: string;
}

async function startWorld(t: Test): Promise<World> {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  const documents = [shop, pool("near", -9.14), pool("middle", -3.7), pool("far", 2.35), hall, policy];
  await api(cloud, "POST", "/v1/apply", { documents });
  const made = { app: "hall", origins: ["http://vr.test"], maxSessions: 100 };
  const { token: appToken }: { token: string } = JSON.parse(await api(cloud, "POST", "/v1/app-tokens", made));
  const edges = new Map<string, EdgeProcess>();
  for (const [name, slots] of Object.entries(POOLS))
    edges.set(name, await startPool(t, cloud, folder, { name, slots }));
  const [client, admin] = [await freeAddress(), await freeAddress()];
  const clientUrl = `http://${formatAddress(client)}`;
  const listening = { client: formatAddress(client), admin: formatAddress(admin) };
  const scheduler = spawnScheduler(t, await schedulerSettings(cloud, folder, "s1", { clientUrl, listen: listening }));
  return { edges, scheduler, admin, client, clientUrl, appToken };
}

async function startPool(
  t: Test,
  cloud: Cloud,
  folder: string,
  { name, slots }: { readonly name: string; readonly slots: number },
): Promise<EdgeProcess> {
  const edge = await spawnEdge(t, await joinSettings(cloud, folder, `${name}-1`, { pool: name }));
  const isOpen = ({ status }: { readonly status: number }) => status === 204;
  await untilAnswer(() => get(edge.content, "/.perigee/v1/ping"), isOpen, "the door is open");
  const who = { role: "agent", name: `${name}-gpu-1`, through: edge, pool: name } as const;
  await dial(t, edge, await joinAs(t, cloud, join(folder, "identities"), who), { name: `${name}-1`, slots });
  return edge;
}

interface Viewer {
  readonly sessions: SessionApi;
  readonly session: string;
  readonly answer: Exclude<PlacementAnswer, { state: "queued" }>;
}

/** Placed in the nearest pool; again until the scheduler knows the slots of all. */
async function view({ clientUrl, appToken }: World, rttMs: typeof FLEXIBLE): Promise<Viewer> {
  const { nowMs, monotonicMs, deadline, sleep } = systemClock;
  const clock = { nowMs, monotonicMs, deadline, sleep };
  const sessions = createSessionApi({ scheduler: clientUrl, appToken, key: await createClientKey(clock), clock });
  const wish = { app: "hall", tier: "relaxed", device: { name: "test" } } as const;
  const limit = systemClock.deadline(MS_MAX);
  while (!limit.aborted) {
    const created = await sessions.create(wish).catch(() => undefined);
    if (created?.candidates.length !== Object.keys(POOLS).length) continue;
    const answer = await sessions.place(created.session, await probeEach(created.candidates, rttMs));
    if (answer.state === "queued") continue;
    if (answer.pool === "near") return { sessions, session: created.session, answer };
    // The slots of the nearest were not told yet.
    await sessions.end(created.session, undefined);
  }
  throw new Error("the scheduler gives no slot of all pools");
}

/** Connections to the port that hold bytes which nobody has read (proc_pid_net(5)). */
function countWaiting(port: number): number {
  const at = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1);
  const fields = rows.map((row) => row.trim().split(/\s+/));
  return fields.filter(([, local, , , queues]) => local?.endsWith(at) && !queues?.endsWith(":00000000")).length;
}

t.test("sessions whose pool has died are placed as one batch: none takes the only pool of another", async (t) => {
  const world = await startWorld(t);
  const viewers: Viewer[] = [];
  for (const rttMs of VIEWERS) viewers.push(await view(world, rttMs));
  t.ok(
    viewers.every(({ answer }) => answer.pool === "near" && answer.state === "placed"),
    "all are in the nearest",
  );
  const near = world.edges.get("near");
  if (near === undefined) throw new Error("it is there");
  await kill(near.child);

  // They ask while it sleeps, so that it finds all of them at once: who has a choice comes first.
  world.scheduler.kill("SIGSTOP");
  const asked = viewers.map(({ sessions, session, answer }) =>
    sessions.renew(session, { placement: answer.placement, reason: "pool-lost" }),
  );
  const waiting = async () => countWaiting(world.client.port);
  await untilSo("all requests have come", waiting, (count) => count >= viewers.length);
  const sentMs = systemClock.monotonicMs();
  world.scheduler.kill("SIGCONT");
  const answers = await Promise.all(asked);
  t.comment(`all answered after ${Math.round(systemClock.monotonicMs() - sentMs)} ms`);
  const got = answers.map((answer) => (answer === undefined || answer.state === "queued" ? answer : answer.pool));
  t.ok(
    answers.every((answer) => answer?.state === "placed"),
    `each is within its limit: ${got.join(" ")}`,
  );
  t.same(got.slice(-4), ["middle", "middle", "middle", "middle"], "who has no other pool has it");
  t.ok(got.filter((name) => name === "middle").length <= POOLS.middle, "no slot is given twice");
  t.ok(got.includes("far"), "who has a choice leaves it");
  const { body } = await get(world.admin, "/metrics");
  const together = body.toString().match(/^perigee_scheduler_sessions_placed_together_total\{[^}]*\} \d+$/gm);
  t.match(together?.join(), /\b10\b/, `all after the second were placed together: ${together?.join()}`);
});
