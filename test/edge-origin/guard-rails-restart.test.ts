/** Guard-rails over a restart of the origin: what an agent's edge reported is known until it is said again. */
import { join } from "node:path";
import t from "tap";
import { testFolder } from "#test/test-folder.ts";
import {
  api,
  type Cloud,
  document,
  get,
  joinSettings,
  kill,
  spawnEdge,
  startCloud,
  untilAnswer,
} from "./edge-and-origin.ts";
import { dial, joinAs } from "./joined-agents.ts";

const hall = document("RenderApp", "hall", {
  bundle: { site: "shop", path: "/hall.json" },
  classes: [{ name: "small", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 72 }],
});
const policy = (spec: object) =>
  document("PlacementPolicy", "eu", {
    apps: ["hall"],
    onNoFit: "reject",
    guardRails: { refusalsMayRiseByPoints: 50 },
    ...spec,
  });
const nowhere = { constraints: [{ label: "perigee.dev/region", operator: "In", values: ["nowhere"] }] };

t.test("an origin that was started again refuses what the one before would have, without a node", async (t) => {
  const folder = testFolder(t);
  const dataDir = join(folder, "origin");
  const cloud = await startCloud(t, dataDir);
  const settings = await joinSettings(cloud, folder, "near-1");
  await api(cloud, "POST", "/v1/apply", { documents: [hall] });
  const edge = await spawnEdge(t, settings);
  await untilAnswer(
    () => get(edge.content, "/.perigee/v1/ping"),
    ({ status }) => status === 204,
    "the door is open",
  );
  const identity = await joinAs(t, cloud, join(folder, "ids"), { role: "agent", name: "gpu-1", through: edge });
  const apply = async (of: Cloud, spec: object) =>
    await api(of, "POST", "/v1/apply", { documents: [policy(spec)] }).catch((error: unknown) => String(error));
  t.match(await apply(cloud, {}), /503 .*none of 1 agents has ever reported to this origin/, "nothing was ever known");
  await dial(t, edge, identity);
  const applied = await untilText(() => apply(cloud, {}), /"action":"created"/);
  t.same(JSON.parse(applied).warnings, []);
  t.match(await apply(cloud, nowhere), /422 .*guard-rails-broken/);

  await kill(edge.child);
  await cloud.origin[Symbol.asyncDispose]();
  const again = await startCloud(t, dataDir, cloud);
  const aged = /422 .*guard-rail of eu: .* \(slots are as last reported of near less than a minute ago\)/;
  t.match(await apply(again, nowhere), aged);
  const warned = JSON.parse(await apply(again, { stickinessMs: 7 }));
  t.match(warned.warnings, [{ message: /^guard-rails were judged, and slots are as last reported of near/ }]);
});

async function untilText(ask: () => Promise<string>, wanted: RegExp): Promise<string> {
  let last = "";
  for (let tries = 0; tries < 400; tries += 1) {
    last = await ask();
    if (wanted.test(last)) return last;
  }
  throw new Error(`still not so: ${last}`);
}
