import { createServer } from "node:http";
import { join } from "node:path";
import t, { type Test } from "tap";
import { closeServer, listen } from "#platform/http/listening.ts";
import { testFolder } from "#test/test-folder.ts";
import { EXIT } from "./exit-codes.ts";
import { runCommandLine } from "./program.ts";

async function run(...words: readonly string[]) {
  const out: string[] = [];
  const notes: string[] = [];
  const code = await runCommandLine(words, {
    output: { line: (text) => out.push(text), note: (text) => notes.push(text) },
    environment: { variables: { HOME: "/nowhere", PERIGEE_TOKEN: "x" }, folder: "/nowhere" },
    signal: new AbortController().signal,
    killSignal: new AbortController().signal,
  });
  return { code, out: out.join("\n"), notes: notes.join("\n") };
}

const pool = (name: string, region: string, longitude: number, slots: number) => `apiVersion: perigee.dev/v1
kind: NodePool
metadata: { name: ${name}, labels: { gpu: l40s, perigee.dev/slots: "${slots}", perigee.dev/gpus: "4" } }
spec: { region: ${region}, coordinates: { latitude: 50, longitude: ${longitude} } }
---
`;
const app = `apiVersion: perigee.dev/v1
kind: RenderApp
metadata: { name: hall }
spec:
  bundle: { site: scenes, path: /hall.json }
  classes: [{ name: hd, eyeWidthPixels: 1024, eyeHeightPixels: 1024, frameRateHz: 72 }]
`;
const policy = (region: string, onNoFit = "reject") => `apiVersion: perigee.dev/v1
kind: PlacementPolicy
metadata: { name: eu }
spec:
  apps: [hall]
  onNoFit: ${onNoFit}
  constraints: [{ label: perigee.dev/region, operator: In, values: [${region}] }]
`;
const sized = app.replace("{ name: hall }", `{ name: hall, labels: { perigee.dev/bundle-bytes: "5000" } }`);
const FLEET = `${pool("frankfurt", "eu-central", 8.7, 20)}${pool("paris", "eu-west", 2.4, 20)}${app}`;

function filesOf(t: Test) {
  const folder = testFolder(t, {
    "fleet.yaml": FLEET,
    "sized.yaml": FLEET.replace(app, sized),
    "west.yaml": policy("eu-west"),
    "nowhere.yaml": policy("atlantis"),
    "railed.yaml": `${FLEET}---\n${policy("eu-west, eu-central")}  guardRails: { refusalsMayRiseByPoints: 1, movesMax: 0 }\n`,
    "unlabelled.yaml": FLEET.replaceAll("gpu: l40s, ", ""),
    "bad.yaml": policy("eu-west", "perhaps"),
    "empty.yaml": `${pool("a", "eu", 8, 0)}${app}`,
  });
  return (name: string) => join(folder, name);
}

t.test("simulate says what a policy would do: to regions and tiers, in round trips, and to whom most", async (t) => {
  const file = filesOf(t);
  const fleet = ["simulate", "--fleet", file("fleet.yaml")];
  const told = await run(...fleet, file("west.yaml"));
  t.equal(told.code, EXIT.ok, told.notes);
  t.match(told.out, /^a synthetic day: \d+ places within 1500 km of a pool/);
  t.match(told.out, /within their limit +\d+\.\d % +\d+\.\d % +-\d+\.\d\nmean RTT/);
  t.match(told.out, /refused +0 +(\d+) +\+\1\n/);
  t.match(told.out, /eu-central +strict +\d+ /);
  t.match(told.out, /WHO LOSES MOST .*\n\w.* \d+\.\d ms/);
  t.match(told.out, /fill bytes +0 +0 +\+0\n/);
  t.match(told.out, /note: fill bytes are without the bundles of hall: no edge has reported the release, and no label/);
  t.equal((await run(...fleet, file("west.yaml"))).out, told.out, "the same seed, the same words");
  const other = await run(...fleet, file("west.yaml"), "--seed", "2");
  t.not(other.out, told.out);
});

t.test("simulate says what bytes of scenes pools would fetch for whom they are given", async (t) => {
  const file = filesOf(t);
  const told = await run("simulate", "--fleet", file("sized.yaml"), file("west.yaml"));
  t.match(told.out, /fill bytes +10000 +5000 +-5000\n/, "one pool instead of two, each once");
  t.notMatch(told.out, /fill bytes are without/);
  const added = await run("simulate", "--fleet", file("sized.yaml"), "--add", "4xL40S@berlin", "-o", "json");
  t.match(JSON.parse(added.out), { before: { fillBytes: 10_000 }, after: { fillBytes: 15_000 } });
});

t.test("simulate without a change has no delta; for a program it is JSON", async (t) => {
  const file = filesOf(t);
  const { code, out } = await run("simulate", "--fleet", file("fleet.yaml"), "-o", "json");
  t.equal(code, EXIT.ok);
  const { before, after, ...rest } = JSON.parse(out);
  t.same(after, before);
  t.match(rest, { moves: 0, lost: 0, losers: [] });
  t.ok(before.sessions > 100 && before.shareWithinLimit > 0.5);
  t.equal(before.groups.length, rest.source.match(/(\d+) places/)?.[1] | 0);
});

t.test("simulate takes pools away, adds GPUs, and raises the load", async (t) => {
  const file = filesOf(t);
  const fleet = ["simulate", "--fleet", file("fleet.yaml"), "-o", "json"];
  const killed = JSON.parse((await run(...fleet, "--kill", "paris")).out);
  t.same(
    killed.after.pools.map(({ pool }: { pool: string }) => pool),
    ["frankfurt"],
  );
  t.ok(killed.moves > 0);
  const grown = JSON.parse((await run(...fleet, "--add", "4xL40S@london", "--load", "1.5")).out);
  t.same(
    grown.after.pools.map(({ pool }: { pool: string }) => pool),
    ["frankfurt", "new-london", "paris"],
  );
  t.ok(Math.abs(grown.after.sessions / grown.before.sessions - 1.5) < 0.1);
  t.match(grown.notes.join("\n"), /new-london is new, in region eu-west, with labels gpu=l40s/);
});

t.test(
  "GPUs without a place go where plan-capacity would put them, one after the other, and not to a pool that is gone",
  async (t) => {
    const file = filesOf(t);
    const of = ["--fleet", file("fleet.yaml")];
    const plan = JSON.parse((await run("plan-capacity", ...of, "--gpus", "4", "--model", "L40S", "-o", "json")).out);
    const { notes, after } = JSON.parse((await run("simulate", ...of, "--add", "4xL40S", "-o", "json")).out);
    t.match(notes.join("\n"), `4 L40S went to ${plan.gains[0].place}, of ${plan.placesLookedAt} places`);
    t.match(notes.join("\n"), `${plan.gains[0].hoursGained.toFixed(1)} hours within the limit on a synthetic day`);
    t.ok(after.pools.length > 0);
    const twice = JSON.parse(
      (await run("simulate", ...of, "--add", "4xL40S", "--add", "4xL40S", "--kill", "paris", "-o", "json")).out,
    );
    t.equal(twice.notes.filter((note: string) => note.startsWith("4 L40S went to ")).length, 2);
    t.notMatch(twice.notes.join("\n"), /went to paris,/);
  },
);

t.test("simulate says what apply would: warnings of policies, and guard-rails that break", async (t) => {
  const file = filesOf(t);
  const run_ = (...words: string[]) => run("simulate", "--fleet", file("railed.yaml"), ...words);
  const west = await run_(file("west.yaml"));
  t.match(
    west.out,
    /note: guard-rail of eu is broken: \d+\.\d % of \d+ sessions would be refused .*refusalsMayRiseByPoints is 1/,
  );
  t.notMatch(west.out, /warning of/);
  const nowhere = await run_(file("nowhere.yaml"));
  t.match(nowhere.out, /note: warning of eu: spec\.constraints: no pool of 2 meets them all/);
  t.match((await run_("--kill", "paris")).out, /guard-rail of eu is broken: \d+ sessions would have to move/);
  t.notMatch((await run_(file("railed.yaml"))).out, /guard-rail|warning/, "nothing is changed");
});

t.test("what simulate cannot make sense of is told by name, bound, file and line", async (t) => {
  const file = filesOf(t);
  const fleet = ["simulate", "--fleet", file("fleet.yaml")];
  const usage = (notes: RegExp) => ({ code: EXIT.usage, notes });
  t.match(await run(...fleet, "--kill", "pariss"), {
    code: EXIT.notFound,
    notes: /no pool pariss: did you mean paris\?/,
  });
  t.match(await run(...fleet, "--load", "11"), usage(/--load must be 0\.1 to 10, got "11"/));
  t.match(await run(...fleet, "--load", "1e1"), usage(/--load must be 0\.1 to 10/));
  t.match(await run(...fleet, "--seed", "-1"), usage(/--seed must be a whole number/));
  t.match(await run(...fleet, "--add", "4@paris"), usage(/--add must be COUNTxMODEL or COUNTxMODEL@PLACE/));
  t.match(await run(...fleet, file("bad.yaml")), usage(/bad\.yaml:6: spec\.onNoFit/));
  t.match(await run("simulate", "--fleet", file("empty.yaml")), usage(/no pool has a slot of a class of the apps/));
  t.match(await run("simulate", "--fleet", file("west.yaml")), usage(/the fleet has no RenderApp/));
  const unlabelled = await run("plan-capacity", "--fleet", file("unlabelled.yaml"));
  t.match(unlabelled, usage(/no pool has the label gpu; give --slots-per-gpu/));
});

t.test("plan-capacity ranks places by hours within the limit, and says what it takes for granted", async (t) => {
  const file = filesOf(t);
  const plan = ["plan-capacity", "--fleet", file("fleet.yaml"), "--gpus", "4"];
  const told = await run(...plan);
  t.equal(told.code, EXIT.ok, told.notes);
  t.match(told.out, /now: \d+ hours of sessions within their limit a day, \d+\.\d % of sessions/);
  t.match(told.out, /HOURS GAINED A DAY.*\n1 +\w+ +new +\d+\.\d +\d+\.\d %/);
  t.match(told.out, /assumed: who comes, and when, does not change/);
  const { gains, hoursNow } = JSON.parse((await run(...plan, "-o", "json")).out);
  t.equal(gains.length, 10);
  const hours = gains.map(({ hoursGained }: { hoursGained: number }) => hoursGained);
  t.same(
    hours,
    [...hours].sort((a, b) => b - a),
  );
  const [first] = gains;
  const simulated = await run(
    "simulate",
    "--fleet",
    file("fleet.yaml"),
    "--add",
    `4xl40s@${first.place}`,
    "-o",
    "json",
  );
  const { after, before } = JSON.parse(simulated.out);
  t.equal(before.hoursWithinLimit, hoursNow);
  t.equal(after.hoursWithinLimit - before.hoursWithinLimit, first.hoursGained, "simulate says the same");
  t.match(await run(...plan, "--gpus", "0"), { code: EXIT.usage, notes: /--gpus must be 1 to 10000/ });
});

t.test("simulate asks the origin for the fleet, with what agents report of themselves", async (t) => {
  const slots = (total: number) => [{ renderClass: "hd", total, free: total, frameMsP95: 10 }];
  const metadata = (name: string) => ({ name, labels: {}, generation: 1, resourceVersion: 1, createdAtMs: 0 });
  const resource = (kind: string, name: string, spec: object) => ({
    ...{ apiVersion: "perigee.dev/v1", kind, metadata: metadata(name), spec, status: {} },
  });
  const place = { region: "eu", coordinates: { latitude: 50, longitude: 8 } };
  const hd = { name: "hd", eyeWidthPixels: 64, eyeHeightPixels: 64, frameRateHz: 72 };
  const agents = [{ agent: "gpu-1", slots: slots(7) }];
  const sites = [{ site: "s", activeGeneration: 0, desiredGeneration: 3, objectsMissing: 2, releaseBytes: 800 }];
  const node = (name: string, role: string, status: object) => ({
    ...resource("Node", name, { role, pool: "near", cordoned: false, draining: false }),
    status,
  });
  const items: Record<string, readonly object[]> = {
    "/v1/resources/NodePool": [resource("NodePool", "near", place)],
    "/v1/resources/RenderApp": [resource("RenderApp", "hall", { bundle: { site: "s", path: "/b" }, classes: [hd] })],
    "/v1/resources/PlacementPolicy": [],
    "/v1/nodes": [
      node("edge-1", "edge", { liveness: "connected", status: { agents, sites } }),
      node("edge-2", "edge", { liveness: "connected", status: { agents } }),
      ...[node("gpu-1", "agent", {}), node("gpu-2", "agent", {})],
    ],
  };
  const server = createServer((request, response) => {
    response.setHeader("content-type", "application/json").end(JSON.stringify({ items: items[request.url ?? ""] }));
  });
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(server));
  const { code, out, notes } = await run("--origin", `http://127.0.0.1:${port}`, "simulate", "-o", "json");
  t.equal(code, EXIT.ok, notes);
  const { before, notes: said } = JSON.parse(out);
  t.match(said.join("\n"), /agents that have not reported count as nothing: gpu-2/);
  t.equal(before.fillBytes, 800, "of the release that no edge serves yet");
  const used = before.pools[0].slotHours / 24;
  t.ok(used > 2 && used < 7, `${used} of 7 slots on average, not of the 14 that two edges tell of`);
});
