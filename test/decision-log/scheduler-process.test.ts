/** A scheduler as a process places sessions with a real edge and is killed: the next one still says why, all is decided again, and its log is a day. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { EXIT } from "#cli/exit-codes.ts";
import { runCommandLine } from "#cli/program.ts";
import { createClientKey } from "#client/session/key.ts";
import { createSessionApi } from "#client/session/session-api.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { freePort } from "#test/free-ports.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  api,
  document,
  get,
  joinSettings,
  kill,
  shop,
  spawnEdge,
  startCloud,
  untilAnswer,
} from "../edge-origin/edge-and-origin.ts";
import { dial, joinAs } from "../edge-origin/joined-agents.ts";
import { probeEach, schedulerSettings, spawnScheduler } from "../scheduler-origin/steering-cloud.ts";

const MS_MAX = 30_000;
const lisbon = { latitude: 38.72, longitude: -9.14 };
const near = document("NodePool", "near", { region: "near", coordinates: lisbon });
const hall = document("RenderApp", "hall", {
  bundle: { site: "shop", path: "/hall.json" },
  needs: { gpuShareRatio: 0.5, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 14_400_000 },
  classes: [{ name: "small", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 72 }],
});

async function perigee(words: readonly string[], variables: Record<string, string> = {}) {
  const lines: string[] = [];
  const code = await runCommandLine(words, {
    output: { line: (text) => lines.push(text), note: (text) => lines.push(text) },
    environment: { variables: { HOME: "/nowhere", ...variables }, folder: "/nowhere" },
    signal: new AbortController().signal,
    killSignal: new AbortController().signal,
  });
  return { code, text: lines.join("\n") };
}

/** A session's whole way, again until its pool's slots are known. */
async function placeSessions(sessions: ReturnType<typeof createSessionApi>, count: number) {
  const limit = systemClock.deadline(MS_MAX);
  const placed: { session: string; decision: string }[] = [];
  while (placed.length < count) {
    if (limit.aborted) throw new Error(`${placed.length} of ${count} sessions are placed`);
    const wish = { app: "hall", tier: "relaxed", device: { name: "test" } } as const;
    const created = await sessions.create(wish).catch(() => undefined);
    if (created === undefined || created.candidates.length === 0) continue;
    const { session, candidates } = created;
    const answer = await sessions.place(session, await probeEach(candidates, { near: 7.3 }));
    if (answer.state !== "queued") placed.push({ session, decision: answer.decision });
  }
  return placed;
}

t.test(
  "sessions placed by a scheduler that is killed are explained by the next, and decided again from its log",
  async (t) => {
    const folder = testFolder(t);
    const cloud = await startCloud(t, join(folder, "origin"));
    await api(cloud, "POST", "/v1/apply", { documents: [shop, near, hall] });
    const made = { app: "hall", origins: ["http://vr.test"], maxSessions: 10 };
    const { token: appToken }: { token: string } = JSON.parse(await api(cloud, "POST", "/v1/app-tokens", made));
    const edge = await spawnEdge(t, await joinSettings(cloud, folder, "near-1"));
    const isOpen = ({ status }: { readonly status: number }) => status === 204;
    await untilAnswer(() => get(edge.content, "/.perigee/v1/ping"), isOpen, "the door is open");
    const gpu = await joinAs(t, cloud, join(folder, "identities"), { role: "agent", name: "gpu-1", through: edge });
    await dial(t, edge, gpu);

    const client: Address = { host: "127.0.0.1", port: await freePort() };
    const clientUrl = `http://${formatAddress(client)}`;
    const listening = { client: formatAddress(client), admin: "127.0.0.1:0" };
    const settings = await schedulerSettings(cloud, folder, "s1", {
      clientUrl,
      listen: listening,
      steeringLoggedRatio: 1,
    });
    const first = spawnScheduler(t, settings);
    const { nowMs, monotonicMs, deadline, sleep } = systemClock;
    const clock = { nowMs, monotonicMs, deadline, sleep };
    const key = await createClientKey(clock);
    const placed = await placeSessions(createSessionApi({ scheduler: clientUrl, appToken, key, clock }), 3);
    const log = join(folder, "s1", "decisions");
    const logged = async () => JSON.parse((await perigee(["simulate", "--log", log, "-o", "json"])).text);
    const limit = systemClock.deadline(MS_MAX);
    while (!limit.aborted && (await perigee(["simulate", "--log", log])).code !== EXIT.ok);
    while (!limit.aborted && (await logged()).sessions < placed.length);
    await kill(first);

    spawnScheduler(t, settings);
    const asker = { PERIGEE_TOKEN: cloud.operatorToken };
    const why = (...words: string[]) => perigee(["--scheduler", clientUrl, ...words], asker);
    const [one, two] = placed;
    while (!limit.aborted && (await why("why", one?.decision ?? "")).code !== EXIT.ok);
    for (const { session, decision } of placed) {
      t.match(
        (await why("why", decision)).text,
        new RegExp(`decision ${decision} .*session ${session}[\\s\\S]*placed: near`),
      );
    }
    t.match((await why("why", "--session", two?.session ?? "")).text, new RegExp(`decision ${two?.decision}`));
    const whyNot = await why("why-not", "near", "--session", one?.session ?? "", "-o", "json");
    t.match(JSON.parse(whyNot.text), { verdict: "chosen", decision: one?.decision });
    t.match(await why("why-not", "naer", "--session", one?.session ?? ""), {
      ...{ code: EXIT.notFound, text: /there is no NodePool naer: did you mean near\?/ },
    });
    const fleet = join(folder, "fleet.yaml");
    writeFileSync(fleet, JSON.stringify(hall));
    const recorded = JSON.parse((await perigee(["simulate", "--log", log, "--fleet", fleet, "-o", "json"])).text);
    t.match(recorded.source, /^a recorded day: \d+ sessions/);
    t.ok(recorded.before.sessions >= placed.length, `${recorded.before.sessions} sessions`);
    t.match(recorded, { before: { pools: [{ pool: "near" }] }, shares: [{ region: "near", tier: "relaxed" }] });
    t.match(recorded.notes.join("\n"), /pools: they are those of the log[\s\S]*before and after are the same/);
    const again = await logged();
    t.match(again, { mismatched: 0, faulty: 0 });
    t.ok(
      again.sessions >= placed.length && again.steps >= placed.length,
      `${again.sessions} decisions, ${again.steps} steps`,
    );
  },
);
