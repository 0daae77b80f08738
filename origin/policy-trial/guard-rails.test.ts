import t, { type Test } from "tap";
import { Failure } from "#domain/failure.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { ObservedNodes } from "../observed/observed-nodes.ts";
import { applyDocuments } from "../operator-api/apply.ts";
import { checkGuardRails } from "./guard-rails.ts";
import { createPolicyTrial, type PolicyTrial } from "./policy-trial.ts";

const document = (kind: string, name: string, spec: object, labels = {}) => ({
  ...{ apiVersion: "perigee.dev/v1", kind, metadata: { name, labels }, spec },
});
const pool = (name: string, region: string, longitude: number) =>
  document("NodePool", name, { region, coordinates: { latitude: 50, longitude } }, { "perigee.dev/slots": "40" });
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
  const parts = { log, observed: new ObservedNodes(), trial };
  const options = { dryRun: false, nowMs: 1 };
  const store = (documents: readonly object[]) => applyDocuments(log, documents, options);
  const judge = (documents: readonly object[], force = false) =>
    applyDocuments(log, documents, {
      ...{ ...options, dryRun: true, force },
      checkRails: (inputs) => checkGuardRails(parts, inputs, { force }),
    });
  await store([pool("near", "eu-central", 8), pool("far", "eu-west", 2), app("hall"), app("yard")]);
  return { store, judge };
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
