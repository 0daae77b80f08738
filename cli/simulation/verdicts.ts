/** What the origin would say of changed policies: its warnings, and guard-rails that the simulated change breaks. */
import { isDeepStrictEqual } from "node:util";
import { judgeLabels } from "#domain/placement/labels.ts";
import { findPolicyWarnings } from "#domain/policy/policy-warnings.ts";
import type { Comparison } from "#domain/simulation/compare-days.ts";
import { judgeRails } from "#domain/simulation/guard-rails.ts";
import type { World } from "#domain/simulation/simulate-day.ts";
import type { WrittenPolicy } from "#platform/cel/worlds.ts";

/** Of the policies that are written otherwise than they are, by the pools that there then are. */
export function policyNotes(
  before: readonly WrittenPolicy[],
  { pools, policies, expressions }: Pick<World, "pools" | "policies" | "expressions">,
): readonly string[] {
  const judged = pools.map(({ name, region, coordinates, labels }) => ({
    pool: name,
    labels: judgeLabels({ metadata: { name, labels }, spec: { region, coordinates } }, expressions ?? new Map()),
    coordinates,
  }));
  return policies.flatMap((policy) => {
    const was = before.find(({ name }) => name === policy.name);
    if (isDeepStrictEqual(was?.spec, policy.spec)) return [];
    return findPolicyWarnings(policy, policies, judged).map(({ message }) => `warning of ${policy.name}: ${message}`);
  });
}

/** As they are and as they would be, of all policies: a change of pools is judged too. */
export function railNotes(
  before: readonly WrittenPolicy[],
  after: readonly WrittenPolicy[],
  comparison: Comparison,
): readonly string[] {
  const byName = Map.groupBy([...before, ...after], ({ name }) => name);
  return [...byName].flatMap(([name, of]) => {
    const rails = of.flatMap(({ spec }) => spec.guardRails ?? []);
    if (rails.length === 0) return [];
    const apps = [...new Set(of.flatMap(({ spec }) => spec.apps))];
    const { breaches, notes } = judgeRails(comparison, { name, apps, rails });
    return [...breaches.map(({ message }) => `guard-rail of ${name} is broken: ${message}`), ...notes];
  });
}
