/** What a PlacementPolicy says against itself: every fault at once. Pure. */
import { parseNetwork } from "../ip-networks.ts";
import type { Fault } from "../schema-faults.ts";
import { BUDGET_MS_BY_TIER, type LabelRequirement, TIERS, type WrittenPlacementPolicy } from "./placement-policy.ts";
import { rulesOf } from "./spec-rules.ts";

type Of<Field extends keyof WrittenPlacementPolicy> = Pick<WrittenPlacementPolicy, Field>;

const rule = rulesOf<WrittenPlacementPolicy>();

export const PLACEMENT_POLICY_RULES = [
  rule(["constraints"], constraintFaults),
  rule(["preferences"], ({ preferences }) =>
    preferences.flatMap((preference, index) =>
      "expression" in preference ? [] : valueFaults(preference, `preferences/${index}`),
    ),
  ),
  rule(["apps", "sites"], subjectFaults),
  rule(["apps", "sites", "match"], sessionMatchFaults),
  rule(["latencyBudgetMs"], budgetFaults),
  rule(["latencyBudgetMs", "match"], tierFaults),
  rule(["capacityReserveRatio", "capacityReserve"], reserveFaults),
  rule(["match"], networkFaults),
];

/** Of requirements that are complete, whether any pool can meet them all. */
function constraintFaults({ constraints }: Of<"constraints">): Fault[] {
  const judged = constraints.flatMap((constraint, index) =>
    "expression" in constraint ? [] : [{ constraint, faults: valueFaults(constraint, `constraints/${index}`) }],
  );
  return [
    ...judged.flatMap(({ faults }) => faults),
    ...unsatisfiableFaults(judged.flatMap(({ constraint, faults }) => (faults.length === 0 ? [constraint] : []))),
  ];
}

function subjectFaults({ apps, sites }: Of<"apps" | "sites">): Fault[] {
  if (apps.length > 0 || sites.length > 0) return [];
  return [{ pointer: "/spec", message: "spec must name at least one app or site that the policy is for" }];
}

/** Tenants and tiers are of sessions: for content alone they match nobody. */
function sessionMatchFaults({ apps, sites, match }: Of<"apps" | "sites" | "match">): Fault[] {
  if (apps.length > 0 || sites.length === 0) return [];
  const ofSessions = (["tenants", "tiers"] as const).filter((field) => match?.[field] !== undefined);
  return ofSessions.map((field) => ({
    pointer: `/spec/match/${field}`,
    message: `spec.match.${field} is of sessions, and the policy names no app: it would match nobody`,
  }));
}

function budgetFaults({ latencyBudgetMs }: Of<"latencyBudgetMs">): Fault[] {
  const budgets = TIERS.map((tier) => latencyBudgetMs[tier] ?? BUDGET_MS_BY_TIER[tier]);
  return TIERS.flatMap((tier, index): Fault[] => {
    const [own, looser] = [budgets[index], budgets[index + 1]];
    if (looser === undefined || own === undefined || own <= looser) return [];
    const message = `spec.latencyBudgetMs.${tier} (${own}) must not exceed that of ${TIERS[index + 1]} (${looser})`;
    return [{ pointer: "/spec/latencyBudgetMs", message }];
  });
}

function tierFaults({ latencyBudgetMs, match }: Of<"latencyBudgetMs" | "match">): Fault[] {
  return TIERS.flatMap((tier): Fault[] => {
    if (latencyBudgetMs[tier] === undefined || match?.tiers?.includes(tier) !== false) return [];
    const message = `spec.latencyBudgetMs.${tier} is never asked for: spec.match.tiers leaves ${tier} out`;
    return [{ pointer: `/spec/latencyBudgetMs/${tier}`, message }];
  });
}

function reserveFaults({
  capacityReserveRatio,
  capacityReserve,
}: Of<"capacityReserveRatio" | "capacityReserve">): Fault[] {
  const ratio = capacityReserve?.ratio;
  if (ratio === undefined || capacityReserveRatio === 0 || capacityReserveRatio === ratio) return [];
  const message = `spec.capacityReserve.ratio (${ratio}) and spec.capacityReserveRatio (${capacityReserveRatio}) say two things: give one`;
  return [{ pointer: "/spec/capacityReserve/ratio", message }];
}

function networkFaults({ match }: Of<"match">): Fault[] {
  return (match?.cidrs ?? []).flatMap((cidr, index): Fault[] => {
    const parsed = parseNetwork(cidr);
    if (parsed.kind === "network") return [];
    return [{ pointer: `/spec/match/cidrs/${index}`, message: `spec.match.cidrs[${index}] ${parsed.reason}` }];
  });
}

function valueFaults({ operator, values }: LabelRequirement, at: string): Fault[] {
  const takesValues = operator === "In" || operator === "NotIn";
  if (takesValues === (values !== undefined && values.length > 0)) return [];
  const message = `spec.${at.replace(/\/(\d+)/, "[$1]")}: ${operator} takes ${takesValues ? "at least one value" : "no values"}`;
  return [{ pointer: `/spec/${at}`, message }];
}

/** Requirements on one label that no value can meet together. */
function unsatisfiableFaults(constraints: readonly LabelRequirement[]): Fault[] {
  const labels = [...new Set(constraints.map(({ label }) => label))];
  return labels
    .filter((label) => !isSatisfiable(constraints.filter((requirement) => requirement.label === label)))
    .map((label) => ({
      pointer: "/spec/constraints",
      message: `spec.constraints contradict each other on the label ${label}: no pool can meet them all`,
    }));
}

/** Absent, or one of the values every `In` allows and no `NotIn` excludes. */
function isSatisfiable(requirements: readonly LabelRequirement[]): boolean {
  const operators = new Set(requirements.map((requirement) => requirement.operator));
  const mustExist = operators.has("In") || operators.has("Exists");
  if (!mustExist) return true;
  if (operators.has("DoesNotExist")) return false;
  const allowing = requirements.filter((requirement) => requirement.operator === "In");
  const first = allowing[0];
  if (first === undefined) return true;
  const excluded = new Set(requirements.flatMap((r) => (r.operator === "NotIn" ? (r.values ?? []) : [])));
  return (first.values ?? []).some(
    (value) => !excluded.has(value) && allowing.every((requirement) => requirement.values?.includes(value)),
  );
}
