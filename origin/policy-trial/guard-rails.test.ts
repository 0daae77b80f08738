import { join } from "node:path";
import t, { type Test } from "tap";
import { Failure } from "#domain/failure.ts";
import type { NodeStatus } from "#domain/fleet/node.ts";
import type { Kind } from "#domain/resource.ts";
import { testFolder } from "#test/test-folder.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { planWrite } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { ObservedNodes } from "../observed/observed-nodes.ts";
import { applyDocuments } from "../operator-api/apply.ts";
import { deleteResource } from "../operator-api/delete.ts";
import { openRecords } from "../records/records.ts";
import { checkGuardRails, type RailWarnings } from "./guard-rails.ts";
import { createPolicyTrial, type PolicyTrial } from "./policy-trial.ts";
import { keepReports, REPORTS_KEPT_EVERY_MS, startKeepingReports } from "./pool-knowledge.ts";

const document = (kind: string, name: string, spec: object, labels = {}) => ({
  ...{ apiVersion: "perigee.dev/v1", kind, metadata: { name, labels }, spec },
});
const pool = (name: string, region: string, longitude: number, slots = 40) =>
  document(
    "NodePool",
    name,
    { region, coordinates: { latitude: 50, longitude } },
    { "perigee.dev/slots": String(slots) },
  );
const app = (name: string) => {
  const classes = [{ name: "hd", eyeWidthPixels: 1024, eyeHeightPixels: 1024, frameRateHz: 72 }];
  return document("RenderApp", name, { bundle: { site: "scenes", path: `/${name}.json` }, classes });
};
const policy = (name: string, spec: object) =>
  document("PlacementPolicy", name, { apps: ["hall"], onNoFit: "reject", ...spec });

const guardRails = { shareWithinLimitMayFallByPoints: 5 };
const FAR_ONLY = { constraints: [{ label: "perigee.dev/region", operator: "In", values: ["eu-west"] }] };

/** A fleet of two pools and two apps; `store` writes without judging. */
async function openFleet(t: Test, trial: PolicyTrial = createPolicyTrial()) {
  const log = openSqliteLog(":memory:");
  t.teardown(() => log[Symbol.dispose]());
  const records = openRecords(":memory:");
  t.teardown(() => records[Symbol.dispose]());
  const parts = { log, observed: new ObservedNodes(), trial, records, clock: new VirtualClock() };
  const options = { dryRun: false, nowMs: 1 };
  const store = (documents: readonly object[]) => applyDocuments(log, documents, options);
  const judge = (documents: readonly object[], force = false) =>
    applyDocuments(log, documents, {
      ...{ ...options, dryRun: true, force },
      checkRails: (written) => checkGuardRails(parts, { written, deleted: [] }, { force }),
    });
  const forced: string[] = [];
  const onForced = (breaches: RailWarnings) => void forced.push(...breaches.map(({ message }) => message));
  const remove = (kind: Kind, name: string, force = false) =>
    deleteResource(parts, { kind, name }, { force, onForced });
  await store([pool("near", "eu-central", 8), pool("far", "eu-west", 2), app("hall"), app("yard")]);
  return { parts, store, judge, remove, forced };
}

t.test("the rails of a policy hold for every change that is of one of its apps", async (t) => {
  const { store, judge } = await openFleet(t);
  await store([policy("eu", { guardRails }), policy("yards", { apps: ["yard"], priority: 5 })]);
  const broken = { code: "guard-rails-broken", message: /^document 0: guard-rail of eu: .* points less/ };
  const above = policy("above", { ...FAR_ONLY, priority: 10 });
  await t.rejects(judge([above]), broken, "a new policy before it");
  await t.rejects(judge([above, policy("eu", { guardRails })]), broken, "itself in the request as it is stored");
  await t.rejects(judge([policy("yards", { ...FAR_ONLY, apps: ["yard", "hall"], priority: 5 })]), broken);
  t.same((await judge([policy("yards", { ...FAR_ONLY, apps: ["yard"], priority: 5 })])).warnings, [], "another app");
  t.same((await judge([policy("above", { priority: 10 })])).warnings, [], "what keeps within them");
});

t.test("the day has clients of what is changed, however many policies there are", async (t) => {
  const { store, judge } = await openFleet(t);
  const ofTenant = (index: number, spec: object = {}) => {
    const rails = { shareWithinLimitMayFallByPoints: 1 };
    return policy(`t${index}`, { match: { tenants: [`tenant-${index}`] }, guardRails: rails, ...spec });
  };
  await store(Array.from({ length: 40 }, (_, index) => ofTenant(10 + index)));
  const nowhere = { constraints: [{ label: "perigee.dev/region", operator: "In", values: ["nowhere"] }] };
  for (const index of [10, 30, 49]) {
    const broken = { code: "guard-rails-broken", message: new RegExp(`guard-rail of t${index}: .* points less`) };
    await t.rejects(judge([ofTenant(index, nowhere)]), broken, `policy ${index}`);
    await t.rejects(
      judge([ofTenant(index, { match: { tenants: ["other"] }, ...nowhere })]),
      broken,
      "of its new match",
    );
    t.same((await judge([ofTenant(index, { sessionSecondsMax: 60 })])).warnings, [], "nothing is said of the others");
  }
});

t.test("where the simulation fails nothing is applied, unless it is forced", async (t) => {
  let fault = new Failure("unavailable", "its thread ended with status 1", { retryable: true });
  const { judge } = await openFleet(t, () => Promise.reject(fault));
  const change = [policy("eu", { guardRails })];
  const said = /^guard-rails could not be judged: its thread ended with status 1/;
  await t.rejects(judge(change), { code: "unavailable", message: said, retryable: true });
  t.match((await judge(change, true)).warnings, [{ document: 0, pointer: "/spec/guardRails", message: said }]);
  fault = new Failure("overloaded", "another change is being simulated", { retryable: true });
  await t.rejects(judge(change, true), { code: "overloaded" }, "who waits a second is judged");
});

t.test("the deletion of a policy is judged by its own rails and by those that share an app", async (t) => {
  const { store, remove, forced } = await openFleet(t);
  const nearOnly = { constraints: [{ label: "perigee.dev/region", operator: "In", values: ["eu-central"] }] };
  const west = {
    match: { tenants: ["west"] },
    priority: 9,
    latencyBudgetMs: { strict: 60, standard: 60, relaxed: 60 },
  };
  await store([
    policy("eu", { guardRails, ...nearOnly }),
    policy("west", west),
    policy("idle", { apps: ["gone"], guardRails }),
  ]);
  const broken = { code: "guard-rails-broken", message: /^guard-rail of eu: .* points less/ };
  await t.rejects(remove("PlacementPolicy", "west"), broken, "its clients would have their limit no more");
  t.match(await remove("PlacementPolicy", "idle"), {
    warnings: [{ message: /idle are not judged: it applies to no/ }],
  });
  t.same(forced, []);
  t.match(await remove("PlacementPolicy", "west", true), { warnings: [{ message: /^forced: guard-rail of eu/ }] });
  t.match(forced, [/^guard-rail of eu: .* points less/]);
  await t.rejects(remove("PlacementPolicy", "west"), { code: "not-found" });
});

t.test("changes and deletions of pools are judged, by all that counts of them", async (t) => {
  const { store, judge, remove, parts } = await openFleet(t);
  const tight = { shareWithinLimitMayFallByPoints: 1 };
  await store([policy("eu", { guardRails: tight })]);
  const broken = { code: "guard-rails-broken", message: /guard-rail of eu: .* points less/ };
  const inPlace = [pool("far", "eu-west", 2), pool("near", "eu-central", 8)];
  t.same((await judge(inPlace)).warnings, [], "as they are");
  await t.rejects(judge([pool("near", "eu-central", 8, 4)]), broken, "fewer slots");
  await t.rejects(judge([pool("near", "eu-central", -120)]), broken, "another place");
  await t.rejects(remove("NodePool", "near"), broken);
  const lost = policy("eu", { guardRails: tight, ...FAR_ONLY });
  await t.rejects(judge([lost]), broken, "a policy that leaves a pool");
  const apart = [pool("near", "eu-central", 8, 4), pool("next", "eu-central", 8.1, 36)];
  t.same((await judge(apart)).warnings, [], "of a batch the whole counts: what one loses another has");
  t.same((await judge([lost, pool("new", "eu-west", 8)])).warnings, [], "a policy with the pool that it needs");
  await t.rejects(
    judge([document("Site", "shop", { hostnames: ["a.example"], publish: {} }), pool("near", "eu-central", 8, 4)]),
    {
      ...broken,
      message: /^document 1: /,
    },
  );
  await remove("NodePool", "near", true);
  t.equal(parts.log.find("NodePool", "near"), undefined);
  t.match(
    await judge([pool("far", "eu-west", 2, 0)], true),
    { warnings: [{ message: /^forced: / }] },
    "the last slots",
  );
});

const status = (agents: readonly (readonly [string, number])[]): NodeStatus => ({
  ...{
    incarnation: "i",
    softwareVersion: "1.0.0",
    contentUrl: "http://e",
    hostname: "e",
    epoch: 1,
    appliedRevision: 1,
  },
  ...{ storeBytesUsed: 0, storeBytesMax: 0, certificateExpiresAtMs: 0, conditions: [], sites: [] },
  agents: agents.map(([agent, total]) => ({
    ...{ agent, incarnation: "i", ready: true, reasons: [], sessions: [] },
    slots: [{ renderClass: "hd", total, free: total, frameMsP95: 12 }],
  })),
});

async function joinNodes(log: ResourceLog, nodes: readonly (readonly [string, "edge" | "agent", string])[]) {
  for (const [name, role, of] of nodes) {
    const spec = { role, pool: of, cordoned: false, draining: false };
    const { write } = planWrite(log, { kind: "Node", metadata: { name, labels: {} }, spec }, 1);
    if (write !== undefined) await log.write([write]);
  }
}

t.test("nodes that are cordoned or deleted count, as what their pool loses", async (t) => {
  const { store, judge, remove, parts } = await openFleet(t);
  const bare = {
    near: document("NodePool", "near", { region: "eu-central", coordinates: { latitude: 50, longitude: 8 } }),
  };
  await store([bare.near, policy("eu", { guardRails })]);
  await joinNodes(parts.log, [
    ["edge-1", "edge", "near"],
    ["gpu-1", "agent", "near"],
    ["gpu-2", "agent", "near"],
  ]);
  parts.observed.setLink("edge-1", "near", true, 1);
  parts.observed.setStatus(
    "edge-1",
    status([
      ["gpu-1", 36],
      ["gpu-2", 2],
    ]),
  );
  const cordoned = (name: string) =>
    document("Node", name, { role: "agent", pool: "near", cordoned: true, draining: false });
  t.same((await judge([cordoned("gpu-2")])).warnings, []);
  await t.rejects(judge([cordoned("gpu-1")]), { code: "guard-rails-broken", message: /^document 0: guard-rail of eu/ });
  await t.rejects(remove("Node", "gpu-1"), { code: "guard-rails-broken" });
  await remove("Node", "gpu-2");
});

t.test("an origin that was started again judges by what pools held last, and says how old that is", async (t) => {
  const path = join(testFolder(t), "records.sqlite");
  const { store, parts } = await openFleet(t);
  const bare = (name: string, longitude: number) =>
    document("NodePool", name, { region: name, coordinates: { latitude: 50, longitude } });
  await store([bare("near", 8), bare("far", 2), policy("eu", { guardRails })]);
  await joinNodes(parts.log, [
    ["edge-1", "edge", "near"],
    ["gpu-1", "agent", "near"],
    ["gpu-2", "agent", "near"],
  ]);
  const clock = new VirtualClock();
  const started = (force = false) => {
    const records = openRecords(path);
    t.teardown(() => records[Symbol.dispose]());
    const observed = new ObservedNodes();
    const own = { ...parts, records, observed, clock };
    const check = (documents: readonly object[]) =>
      applyDocuments(parts.log, documents, {
        ...{ dryRun: true, nowMs: 1, force },
        checkRails: (written) => checkGuardRails(own, { written, deleted: [] }, { force }),
      });
    return { own, check, observed };
  };
  const worse = [policy("eu", { guardRails, ...FAR_ONLY, onNoFit: "reject" })];
  const fine = [policy("eu", { guardRails, stickinessMs: 3 })];
  const never = { code: "unavailable", message: /none of 2 agents has ever reported to this origin/, retryable: true };
  await t.rejects(started().check(fine), never, "nothing was ever known");
  t.match(await started(true).check(fine), { warnings: [{ message: /none of 2 agents has ever/ }] });

  const first = started();
  first.observed.setLink("edge-1", "near", true, 1);
  first.observed.setStatus(
    "edge-1",
    status([
      ["gpu-1", 30],
      ["gpu-2", 10],
    ]),
  );
  const events = { housekeepingFailed: (error: unknown) => t.fail(String(error)) };
  const keeping = startKeepingReports({ ...first.own, events });
  await clock.advance(REPORTS_KEPT_EVERY_MS);
  t.same([...first.own.records.reports.list().keys()], ["near"]);
  first.observed.setStatus("edge-1", status([]));
  await clock.advance(REPORTS_KEPT_EVERY_MS);
  keeping[Symbol.dispose]();
  await clock.advance(3 * 3_600_000 - REPORTS_KEPT_EVERY_MS);

  const second = started();
  const aged = /slots are as last reported of near 3 h ago/;
  await t.rejects(second.check(worse), { code: "guard-rails-broken", message: aged });
  t.match(await second.check(fine), { warnings: [{ message: aged }] });
  second.observed.setLink("edge-1", "near", true, 1);
  second.observed.setStatus("edge-1", status([]));
  t.match(await second.check(fine), { warnings: [{ message: aged }] }, "an edge whose agents are yet to come");
  second.observed.setStatus("edge-1", status([["gpu-1", 30]]));
  t.same((await second.check(fine)).warnings, [], "what is reported goes before what is remembered");
  await parts.log.write([{ kind: "NodePool", name: "near", render: () => undefined }]);
  keepReports(second.own);
  t.same([...second.own.records.reports.list().keys()], [], "a pool that is gone is forgotten");
});
