/** What operators say of their resources in words of their own, and whether it meets a policy's requirements. Pure. */
import type { LabelPreference, LabelRequirement } from "../policy/placement-policy.ts";
import type { Expression } from "../policy/policy-match.ts";

export type Labels = Readonly<Record<string, string>>;

/** Every pool has these, so that a policy can name pools and regions. */
export const POOL_LABEL = "perigee.dev/pool";
export const REGION_LABEL = "perigee.dev/region";

/** What an expression of a policy may ask of a pool. */
export interface PoolSubject {
  readonly name: string;
  readonly region: string;
  readonly labels: Labels;
  readonly latitude: number;
  readonly longitude: number;
}

/** The part of a NodePool that requirements are of. */
interface LabelledPool {
  readonly metadata: { readonly name: string; readonly labels: Labels };
  readonly spec: {
    readonly region: string;
    readonly coordinates: { readonly latitude: number; readonly longitude: number };
  };
}

/** The operator's own with those of its name and region. */
export function labelsOfPool({ metadata, spec }: LabelledPool): Labels {
  return { ...metadata.labels, [POOL_LABEL]: metadata.name, [REGION_LABEL]: spec.region };
}

export function subjectOfPool(pool: LabelledPool): PoolSubject {
  const { metadata, spec } = pool;
  return { name: metadata.name, region: spec.region, labels: labelsOfPool(pool), ...spec.coordinates };
}

/** An expression enters a decision as a label of the pool, judged before: no operator's label has such a name. */
export function labelOfExpression(expression: string): string {
  return `(${expression})`;
}

/** What such a label begins with where the expression could not be judged: then it does not hold. */
export const FAILED_LABEL = "failed: ";

/** The labels of a pool with what each expression makes of it: `true`, `false`, or `failed: ` and the reason. */
export function judgeLabels(pool: LabelledPool, expressions: ReadonlyMap<string, Expression<PoolSubject>>): Labels {
  const subject = subjectOfPool(pool);
  const judged = [...expressions].map(([text, judge]) => {
    const judgement = judge(subject);
    const value =
      judgement.kind === "failed" ? `${FAILED_LABEL}${judgement.reason}` : String(judgement.kind === "holds");
    return [labelOfExpression(text), value];
  });
  return { ...subject.labels, ...Object.fromEntries(judged) };
}

export function meetsRequirement(labels: Labels, requirement: LabelRequirement): boolean {
  const value = Object.hasOwn(labels, requirement.label) ? labels[requirement.label] : undefined;
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}

/** The place of the first that does not hold, from 1; 0 where all do. */
export function firstUnmet(labels: Labels, constraints: readonly LabelRequirement[]): number {
  return constraints.findIndex((requirement) => !meetsRequirement(labels, requirement)) + 1;
}

/** To be added to a score: what is preferred is below 0. */
export function preferenceMsOf(labels: Labels, preferences: readonly LabelPreference[]): number {
  const matched = preferences.filter((preference) => meetsRequirement(labels, preference));
  return 0 - matched.reduce((sum, { bonusMs }) => sum + bonusMs, 0);
}

/** Why requirements of expressions do not hold of a pool, where they could not be judged. */
export function failedExpressions(labels: Labels, requirements: readonly LabelRequirement[]): readonly string[] {
  return requirements.flatMap(({ label }) => {
    const value = Object.hasOwn(labels, label) ? labels[label] : undefined;
    return value?.startsWith(FAILED_LABEL) === true ? [`${label} ${value}`] : [];
  });
}
