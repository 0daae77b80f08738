/** A real origin, an edge as a process of its own, and an agent that joined through it: sessions with and without the cloud. */
import { join } from "node:path";
import t from "tap";
import { createClientKey } from "#client/session/key.ts";
import { createSessionApi } from "#client/session/session-api.ts";
import { type PlacementClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { systemClock } from "#platform/clock.ts";
import { thumbprintOf } from "#platform/identity/dpop.ts";
import { signToken } from "#platform/identity/tokens.ts";
import { until } from "#test/simulation/until.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  api,
  document,
  type EdgeProcess,
  get,
  joinSettings,
  kill,
  shop,
  spawnEdge,
  startCloud,
  untilAnswer,
} from "./edge-and-origin.ts";
import { dial, joinAs } from "./joined-agents.ts";

const SESSION = "s-12345678";
const hall = document("RenderApp", "hall", {
  bundle: { site: "shop", path: "/hall.json" },
  needs: { gpuShareRatio: 0.5, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 14_400_000 },
  classes: [{ name: "small", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 72 }],
});

async function openClient(edge: EdgeProcess, appToken: string) {
  const { nowMs, monotonicMs, deadline, sleep } = systemClock;
  const clock = { nowMs, monotonicMs, deadline, sleep };
  const key = await createClientKey(clock);
  const thumbprint = await thumbprintOf({ ...key.publicKey });
  const sessions = createSessionApi({ scheduler: "http://127.0.0.1:1", appToken, key, clock });
  const { host, port } = edge.content;
  return { sessions, thumbprint, url: `http://${host}:${port}` };
}

const grant = { transport: "webrtc", offerSdp: "offer" } as const;

const hasAgents = async (edge: EdgeProcess, count: number) =>
  untilAnswer(
    () => get(edge.admin, "/metrics"),
    ({ body }) => body.toString().includes(`perigee_edge_node_agents_connected ${count}\n`),
    `${count} agents are connected`,
  );

t.test(
  "sessions are placed, resumed and ended at an edge, also with the cloud gone and the edge started anew",
  async (t) => {
    const folder = testFolder(t);
    const cloud = await startCloud(t, join(folder, "origin"));
    await api(cloud, "POST", "/v1/apply", { documents: [shop, hall] });
    const app = await api(cloud, "POST", "/v1/app-tokens", { app: "hall", origins: ["http://vr.test"] });
    const { token: appToken }: { token: string } = JSON.parse(app);
    const settings = await joinSettings(cloud, folder, "near-1");
    const edge = await spawnEdge(t, settings);
    await untilAnswer(
      () => get(edge.content, "/.perigee/v1/ping"),
      ({ status }) => status === 204,
      "the door is open",
    );
    const identities = join(folder, "identities");
    const scheduler = await joinAs(t, cloud, identities, { role: "scheduler", name: "sched-1", through: undefined });
    const gpu1 = await joinAs(t, cloud, identities, { role: "agent", name: "gpu-1", through: edge });
    const gpu2 = await joinAs(t, cloud, identities, { role: "agent", name: "gpu-2", through: edge });
    const agents = [await dial(t, edge, gpu1), await dial(t, edge, gpu2)];
    await hasAgents(edge, 2);

    const client = await openClient(edge, appToken);
    const claims: PlacementClaims = {
      ...{ session: SESSION, attempt: 1, app: "hall", tier: "strict", pool: "near", renderClass: "small" },
      cnf: { jkt: client.thumbprint },
      exp: Math.floor(systemClock.nowMs() / 1000) + 30,
      budget: {
        ...{ budgetMs: 30, networkMsP95: 4, renderEncodeMsP95: 8, decodeJitterMs: 6, serialisationMs: 2 },
        rttLimitMs: 14,
      },
    };
    const placement = await signToken(TOKEN_TYPES.placement, claims, scheduler.signer());
    const first = await client.sessions.connect(client.url, { placement, ...grant });
    t.match(first, { session: SESSION, attempt: 1 });

    await cloud.origin[Symbol.asyncDispose]();
    agents.find(({ name }) => name === first.agent)?.kill();
    await hasAgents(edge, 1);
    const second = await client.sessions.connect(client.url, { resume: first.resume, ...grant });
    t.match(second, { session: SESSION, attempt: 1, agent: first.agent === "gpu-1" ? "gpu-2" : "gpu-1" });
    t.ok(await client.sessions.renewTicket(client.url, SESSION));
    const newcomer = await openClient(edge, appToken);
    const direct = await newcomer.sessions.connect(newcomer.url, { appToken, ...grant });
    t.match(direct, { attempt: 1, placement: /\./ }, "new users get in without the cloud");

    await kill(edge.child);
    const again = await spawnEdge(t, settings);
    await untilAnswer(
      () => get(again.content, "/.perigee/v1/ping"),
      ({ status }) => status === 204,
      "it is open again",
    );
    const survivor = await dial(t, again, second.agent === "gpu-1" ? gpu1 : gpu2, { sessions: [SESSION] });
    await hasAgents(again, 1);
    const { host, port } = again.content;
    const third = await client.sessions.connect(`http://${host}:${port}`, { resume: second.resume, ...grant });
    t.match(third, { session: SESSION, agent: second.agent });
    await client.sessions.end(SESSION, `http://${host}:${port}`);
    await until(() => survivor.ended.length === 1, "the agent is told");
  },
);
