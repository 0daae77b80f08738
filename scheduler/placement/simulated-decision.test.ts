/** A simulated arrival is decided as the scheduler decides a session, on the same facts. */
import fc from "fast-check";
import t from "tap";
import { budgetPartsOf, deviceTimes } from "#domain/latency/budget.ts";
import { fibreRttMsBetween } from "#domain/latency/distance-model.ts";
import { selectPolicy } from "#domain/placement/policy-selection.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import { NO_FIT_ACTIONS, TIERS, type WrittenPlacementPolicy } from "#domain/policy/placement-policy.ts";
import type { Day, DayPool } from "#domain/simulation/day.ts";
import { DayRun } from "#domain/simulation/simulate-day.ts";
import { decideSession } from "./session-decision.ts";

const renderClass = (name: string, frameRateHz: number) => ({
  ...{ name, eyeWidthPixels: 1024, eyeHeightPixels: 1024, frameRateHz },
});
const needs = { gpuShareRatio: 0.1, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 8_000_000 };
const app = { name: "hall", spec: { needs, classes: [renderClass("hd", 72), renderClass("sd", 60)] } };
const client = { latitude: 50, longitude: 8 };

const pool = fc.record({
  longitude: fc.double({ min: -5, max: 25, noNaN: true }),
  hd: fc.integer({ min: 0, max: 3 }),
  sd: fc.integer({ min: 0, max: 3 }),
  cordoned: fc.boolean(),
  owner: fc.constantFrom("us", "else"),
});
const fleet = fc.array(pool, { minLength: 1, maxLength: 8 });
const rules = fc.record({
  onNoFit: fc.constantFrom(...NO_FIT_ACTIONS),
  capacityReserveRatio: fc.constantFrom(0, 0.5),
  bonusMs: fc.constantFrom(-3, 6),
  isConstrained: fc.boolean(),
});

t.test("the same pool and class, or none", async (t) => {
  const property = fc.property(fleet, rules, fc.nat(2), (drawn, { bonusMs, isConstrained, ...said }, tier) => {
    const pools = drawn.map(({ longitude, hd, sd, cordoned, owner }, at): DayPool => {
      const slots = [
        { renderClass: "hd", slots: hd, renderEncodeMsP95: 12 },
        { renderClass: "sd", slots: sd, renderEncodeMsP95: 8 },
      ];
      return {
        ...{ name: `p${at}`, region: `r${at % 3}`, coordinates: { latitude: 50, longitude }, labels: { owner } },
        classes: slots.filter(({ slots: count }) => count > 0),
        ...{ reachable: true, cordoned, draining: false },
      };
    });
    const ours = { label: "owner", operator: "In", values: ["us"] } as const;
    const spec: WrittenPlacementPolicy = {
      ...{ apps: ["hall"], sites: [], latencyBudgetMs: {}, sessionSecondsMax: 14_400, stickinessMs: 2, ...said },
      constraints: isConstrained ? [ours] : [],
      preferences: [{ ...ours, bonusMs }],
    };
    const policies = [{ name: "eu", spec }];
    t.equal(simulated(pools, policies, tier), decided(pools, policies, tier));
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 300 }));
});

type Policies = readonly { readonly name: string; readonly spec: WrittenPlacementPolicy }[];

function simulated(pools: readonly DayPool[], policies: Policies, tier: number): string {
  const day: Day = {
    source: "one arrival",
    groups: [{ name: "one", coordinates: client, region: "r0" }],
    apps: [app],
    arrivals: {
      ...{ count: 1, atSeconds: Float64Array.of(0), durationSeconds: Float32Array.of(60) },
      ...{ group: Uint32Array.of(0), app: Uint16Array.of(0), tier: Uint8Array.of(tier) },
    },
    ...{ sessionsPerArrival: 1, slotsPerArrival: 1, busiestSeconds: 1 },
  };
  const run = new DayRun(day, { pools, policies, expressions: new Map() });
  run.runUntil(1);
  const [session] = run.listRunning();
  const { degraded, queued, refused } = run.summarise();
  const state = degraded > 0 ? "degraded" : queued > 0 ? "queued" : refused > 0 ? "rejected" : "placed";
  return `${state} ${session?.pool} ${app.spec.classes[session?.classAt ?? -1]?.name}`;
}

function decided(pools: readonly DayPool[], policies: Policies, tier: number): string {
  const policy = selectPolicy(policies, "hall", TIERS[tier] ?? "strict");
  const classes = app.spec.classes.map((held) => ({
    renderClass: held,
    candidates: pools.flatMap(({ name, labels, coordinates, cordoned, classes }) => {
      const slots = classes.find(({ renderClass: each }) => each === held.name);
      if (slots === undefined) return [];
      const fixed = { budgetMs: policy.budgetMs, device: deviceTimes({}), app: app.spec, renderClass: held };
      return {
        ...{ pool: name, labels, reachable: true, cordoned, draining: false, priceMs: 0, bundleMs: 0 },
        ...{ rttMs: Math.fround(fibreRttMsBetween(client, coordinates)), rttSource: "geography" as const },
        ...{ parts: budgetPartsOf(fixed, slots.renderEncodeMsP95), slotsTotal: slots.slots, slotsFree: slots.slots },
      };
    }),
  }));
  const { outcome } = decideSession({ classes, rules: policy.rules, pools: new PoolIds() });
  const chosen = "candidate" in outcome ? outcome : undefined;
  return `${outcome.state} ${chosen?.candidate.pool} ${chosen?.renderClass.name}`;
}
