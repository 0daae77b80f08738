/** Plans which published sites and apps are to be on which pool. Pure. */
import type { AssignmentSpec } from "#domain/placement/assignment.ts";
import { meetsRequirement } from "#domain/placement/labels.ts";
import { rulesForSome, selectPolicy } from "#domain/placement/policy-selection.ts";
import { type ContentRules, contentRulesOf, findResidencyBreach } from "#domain/policy/content-rules.ts";
import { TIERS } from "#domain/policy/placement-policy.ts";
import type { DesiredView } from "../facts/desired-view.ts";
import { rankByHash } from "../steering/rendezvous.ts";

/** One for each pool, in the order of their names. `planned` has the pools of sites that not all can hold. */
export function planAssignments(
  view: DesiredView,
  planned: ReadonlyMap<string, ReadonlySet<string>> = new Map(),
): readonly AssignmentSpec[] {
  const pools = [...view.pools.keys()].sort();
  const poolsBySite = new Map(
    [...view.sites].flatMap(([site, spec]) =>
      spec.publish === undefined ? [] : [[site, planned.get(site) ?? holdersOf(view, site)]],
    ),
  );
  const poolsByApp = new Map([...view.apps.keys()].map((app) => [app, new Set(rendererPools(view, app, pools))]));
  const named = (holders: ReadonlyMap<string, ReadonlySet<string>>, pool: string) =>
    [...holders].flatMap(([name, held]) => (held.has(pool) ? [name] : [])).sort();
  return pools.map((pool) => ({ pool, sites: named(poolsBySite, pool), apps: named(poolsByApp, pool) }));
}

/** In the order of their names. */
export function permittedPools(
  { poolLabels }: Pick<DesiredView, "poolLabels">,
  { residency }: Pick<ContentRules, "residency">,
): readonly string[] {
  const permitted = [...poolLabels].filter(([, labels]) => findResidencyBreach(labels, residency) === undefined);
  return permitted.map(([pool]) => pool).sort();
}

/** With fewer replicas than pools, and nothing planned, the hash of site and pool chooses. */
function holdersOf(view: DesiredView, site: string): ReadonlySet<string> {
  const rules = contentRulesOf(view.contentPolicies, site);
  if (rules.isNever) return new Set();
  const permitted = permittedPools(view, rules);
  return new Set(rankByHash(site, permitted).slice(0, rules.replicas ?? permitted.length));
}

/** Pools with a render-agent that any policy of the app permits, whomever it is for. */
function rendererPools(view: DesiredView, app: string, pools: readonly string[]): readonly string[] {
  const withAgents = new Set(
    [...view.nodes.values()].flatMap(({ spec }) => (spec.role === "agent" ? [spec.pool] : [])),
  );
  const anybody = TIERS.map((tier) => selectPolicy(view.placementPolicies, app, tier).rules);
  const rules = [...anybody, ...rulesForSome(view.placementPolicies, app)];
  return pools.filter((pool) => {
    const labels = view.poolLabels.get(pool) ?? {};
    const isPermitted = rules.some(({ constraints }) =>
      constraints.every((requirement) => meetsRequirement(labels, requirement)),
    );
    return withAgents.has(pool) && isPermitted;
  });
}
