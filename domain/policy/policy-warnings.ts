/** What is suspicious of policies beside one another and over the fleet: nothing that has to be refused. Pure. */
import { distanceKm } from "../geography.ts";
import { formatNetwork } from "../ip-networks.ts";
import {
  FAILED_LABEL,
  type Labels,
  labelOfExpression,
  meetsRequirement,
  POOL_LABEL,
  REGION_LABEL,
} from "../placement/labels.ts";
import { requirementOf } from "../placement/policy-selection.ts";
import type { Fault } from "../schema-faults.ts";
import { type PolicyMatch, TIERS, type WrittenPlacementPolicy } from "./placement-policy.ts";
import { describeMatch, type NamedPolicy, networksOf, priorityOf, weightOf } from "./policy-match.ts";

export interface JudgedPool {
  readonly pool: string;
  /** With what each expression makes of it. */
  readonly labels: Labels;
  readonly coordinates: { readonly latitude: number; readonly longitude: number };
}

const NAMED_POOLS_MAX = 3;

/** Of one policy among all that there will be, itself included. */
export function findPolicyWarnings(
  policy: NamedPolicy,
  policies: readonly NamedPolicy[],
  pools: readonly JudgedPool[],
): readonly Fault[] {
  return [...findOverlaps(policy, policies), ...(pools.length === 0 ? [] : findUnmeetable(policy.spec, pools))];
}

function findUnmeetable(spec: WrittenPlacementPolicy, pools: readonly JudgedPool[]): Fault[] {
  const warnings: Fault[] = [];
  for (const list of ["constraints", "preferences"] as const) {
    for (const [index, written] of spec[list].entries()) {
      if (!("expression" in written) || pools.some(({ labels }) => meetsRequirement(labels, requirementOf(written))))
        continue;
      const failed = pools.filter(({ labels }) =>
        labels[labelOfExpression(written.expression)]?.startsWith(FAILED_LABEL),
      ).length;
      const why = failed === 0 ? "" : ` (it could not be judged of ${failed})`;
      const message = `spec.${list}[${index}].expression matches no pool of ${pools.length}${why}`;
      warnings.push({ pointer: `/spec/${list}/${index}/expression`, message });
    }
  }
  const constraints = spec.constraints.map(requirementOf);
  const permitted = pools.filter(({ labels }) =>
    constraints.every((constraint) => meetsRequirement(labels, constraint)),
  );
  if (permitted.length === 0) {
    warnings.push({
      pointer: "/spec/constraints",
      message: `spec.constraints: no pool of ${pools.length} meets them all`,
    });
    return warnings;
  }
  return [...warnings, ...spreadWarnings(spec, permitted), ...neighbourWarnings(spec, permitted)];
}

function spreadWarnings({ spread }: WrittenPlacementPolicy, permitted: readonly JudgedPool[]): Fault[] {
  if (spread === undefined) return [];
  const label = spread.over === "pool" ? POOL_LABEL : REGION_LABEL;
  const places = new Set(permitted.map(({ labels }) => labels[label])).size;
  const needed = Math.ceil(1 / spread.shareMax - 1e-9);
  if (places >= needed) return [];
  const message = `spec.spread: at most ${percent(spread.shareMax)} in one ${spread.over} needs ${needed} of them, the constraints leave ${places}`;
  return [{ pointer: "/spec/spread", message }];
}

function neighbourWarnings({ capacityReserve }: WrittenPlacementPolicy, permitted: readonly JudgedPool[]): Fault[] {
  if (capacityReserve?.largestNeighbour !== true) return [];
  const alone = permitted.filter(
    (pool) =>
      !permitted.some(
        (other) => other !== pool && distanceKm(pool.coordinates, other.coordinates) <= capacityReserve.withinKm,
      ),
  );
  if (alone.length === 0) return [];
  const named = alone
    .slice(0, NAMED_POOLS_MAX)
    .map(({ pool }) => pool)
    .join(", ");
  const more = alone.length > NAMED_POOLS_MAX ? ` and ${alone.length - NAMED_POOLS_MAX} more` : "";
  const message = `spec.capacityReserve: no permitted pool is within ${capacityReserve.withinKm} km of ${named}${more}: nothing is kept free there`;
  return [{ pointer: "/spec/capacityReserve/largestNeighbour", message }];
}

/** What a policy says beside whom it is for. */
const SAID = [
  "latencyBudgetMs",
  "constraints",
  "preferences",
  "capacityReserveRatio",
  "capacityReserve",
  "spread",
  "stability",
  "onNoFit",
  "sessionSecondsMax",
  "stickinessMs",
] as const satisfies readonly (keyof WrittenPlacementPolicy)[];

/** Another policy that only its name puts before or after this one, for some of the same clients. */
function findOverlaps(policy: NamedPolicy, policies: readonly NamedPolicy[]): Fault[] {
  return policies.flatMap((other): Fault[] => {
    if (other.name === policy.name || !isOfEqualPrecedence(policy.spec, other.spec)) return [];
    const shared = sharedSubject(policy.spec, other.spec);
    const differing = SAID.filter((field) => JSON.stringify(policy.spec[field]) !== JSON.stringify(other.spec[field]));
    if (shared === undefined || differing.length === 0) return [];
    const [first, second] = [policy.name, other.name].sort();
    const message = `policies ${first} and ${second} match some of the same clients of ${shared} by ${describeMatch(policy.spec.match)} and differ in ${differing.join(", ")}: ${first} applies, being first by name; a priority would say which`;
    return [{ pointer: "/spec/priority", message }];
  });
}

function isOfEqualPrecedence(a: WrittenPlacementPolicy, b: WrittenPlacementPolicy): boolean {
  if (priorityOf(a) !== priorityOf(b) || weightOf(a.match) !== weightOf(b.match)) return false;
  return (
    mayOverlap(a.match ?? {}, b.match ?? {}) &&
    tiersBoth(a, b).some((tier) => setsBudget(a, tier) === setsBudget(b, tier))
  );
}

function setsBudget({ latencyBudgetMs }: WrittenPlacementPolicy, tier: (typeof TIERS)[number]): boolean {
  return latencyBudgetMs[tier] !== undefined;
}

function tiersBoth(a: WrittenPlacementPolicy, b: WrittenPlacementPolicy) {
  return TIERS.filter((tier) => (a.match?.tiers ?? TIERS).includes(tier) && (b.match?.tiers ?? TIERS).includes(tier));
}

/** Of two that match by the same fields. Expressions may hold of the same client; of two networks the longer goes first. */
function mayOverlap(a: PolicyMatch, b: PolicyMatch): boolean {
  const meet = <T>(left: readonly T[] | undefined, right: readonly T[] | undefined) =>
    left === undefined || right === undefined || left.some((value) => right.includes(value));
  const networks = (match: PolicyMatch) => match.cidrs && networksOf(match.cidrs).map(formatNetwork);
  return (
    meet(a.tenants, b.tenants) &&
    meet(a.countries, b.countries) &&
    meet(a.asns, b.asns) &&
    meet(a.tiers, b.tiers) &&
    meet(networks(a), networks(b))
  );
}

function sharedSubject(a: WrittenPlacementPolicy, b: WrittenPlacementPolicy): string | undefined {
  const app = a.apps.find((name) => b.apps.includes(name));
  if (app !== undefined) return `app ${app}`;
  const site = a.sites.find((name) => b.sites.includes(name));
  return site === undefined ? undefined : `site ${site}`;
}

function percent(ratio: number): string {
  return `${Math.round(ratio * 1000) / 10} %`;
}
