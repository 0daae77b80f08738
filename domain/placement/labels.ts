/** What operators say of their resources in words of their own, and whether it meets a policy's requirements. Pure. */
import type { LabelPreference, LabelRequirement } from "../policy/placement-policy.ts";

export type Labels = Readonly<Record<string, string>>;

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
