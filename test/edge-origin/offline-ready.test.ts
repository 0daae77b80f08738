/** Whether an edge could go on without the cloud, as it says it to who runs it and to the origin. */
import { join } from "node:path";
import t from "tap";
import { type Clock, systemClock } from "#platform/clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { api, get, joinSettings, startCloud, startEdgeHere, untilAnswer } from "./edge-and-origin.ts";

const REASON = 'offline_unready_reason{reason="ClockUnsynchronised"}';

t.test("a clock that is not the origin's stands against going on without it, until it is set right", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  const settings = await joinSettings(cloud, folder, "near-1");
  let wrongByMs = 4_000;
  const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + wrongByMs };
  const { admin } = (await startEdgeHere(t, settings, undefined, clock)).addresses;
  const asked = () => get(admin, "/readyz?offline");
  const refused = await untilAnswer(asked, ({ status, body }) => status === 503 && body.includes("Clock"), "not ready");
  t.match(refused.body.toString(), /ClockUnsynchronised: the clock is \d\.\d s ahead of the origin's/);
  t.ok((await get(admin, "/metrics")).body.includes(`${REASON} 1`));
  t.equal((await get(admin, "/readyz")).status, 200, "it serves all the same");
  const said = async () => ({ status: 200, headers: {}, body: Buffer.from(await api(cloud, "GET", "/v1/nodes")) });
  await untilAnswer(said, ({ body }) => body.includes("ClockUnsynchronised"), "the origin knows");
  wrongByMs = 0;
  await untilAnswer(asked, ({ status }) => status === 200, "ready");
  t.ok((await get(admin, "/metrics")).body.includes(`${REASON} 0`));
});
